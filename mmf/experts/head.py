"""Logistic head: joins the logits of several models to one probability."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from scipy.special import expit, logit

CLIP = 1e-6  # the logit of 0 or 1 is not finite


@dataclass(frozen=True, slots=True)
class LogisticHead:
    """Sigmoid of an affine map of logits.

    Attributes
    ----------
    weights : tuple of float
        One for each logit.
    bias : float
        Shift of the sum.
    """

    weights: tuple[float, ...]
    bias: float = 0.0

    @classmethod
    def equal(cls, n_parts: int, /) -> Self:
        """Return the head that averages logits."""
        return cls((1 / n_parts,) * n_parts)

    def probability(self, logits: np.ndarray, /) -> np.ndarray:
        """Return (n,) float64 probabilities for (n, parts) logits."""
        # one column after the other: a product's sums may differ in the last bits with the number of rows
        margin = np.full(len(logits), self.bias)
        for weight, column in zip(self.weights, logits.T, strict=True):
            margin = margin + weight * column
        return expit(margin)


def logits_of(probability: np.ndarray, /) -> np.ndarray:
    """Return finite logits of probabilities."""
    return logit(np.clip(probability, CLIP, 1 - CLIP))
