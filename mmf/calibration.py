"""Platt calibration: make a probability mean what it says."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit, logit

from mmf.errors import DataError

CLIP = 1e-6  # the logit of 0 or 1 is not finite
MIN_SLOPE = 0.01


@dataclass(frozen=True, slots=True)
class PlattCalibration:
    """Sigmoid of an affine map of the logit; two parameters.

    Attributes
    ----------
    slope : float
        At least 0.01: calibration may shrink an opinion, never turn it around. At the least slope
        (`is_flat`) all probabilities are close to the base rate, for the mixture ranked its
        calibration rows no better than at random; the order of the rows is kept even then, so that
        it can still be judged.
    intercept : float
        Shift of the logit.
    """

    slope: float
    intercept: float

    @property
    def is_flat(self) -> bool:
        """Whether the calibration rows gave no reason to believe the mixture."""
        return self.slope <= MIN_SLOPE

    @classmethod
    def fit(cls, probability: np.ndarray, label: np.ndarray, /) -> Self:
        """Minimise the log-loss of (n,) probabilities against (n,) labels of 0.0 and 1.0.

        The targets are smoothed to (n1 + 1) / (n1 + 2) and 1 / (n0 + 2), so that the slope stays
        finite where the classes separate: Platt (1999), Probabilistic outputs for support vector
        machines.

        Raises
        ------
        DataError
            Only one class is present.
        """
        n_ones, n = int(label.sum()), len(label)
        if n_ones in (0, n):
            raise DataError(f"calibration needs both labels, got {n_ones} ones in {n} rows. Take more history.")
        target = np.where(label == 1, (n_ones + 1) / (n_ones + 2), 1 / (n - n_ones + 2))
        score = _logit(probability)

        def loss_and_gradient(parameters: np.ndarray) -> tuple[float, np.ndarray]:
            margin = parameters[0] * score + parameters[1]
            error = expit(margin) - target
            loss = np.mean(np.logaddexp(0.0, margin) - target * margin)
            return float(loss), np.array([np.mean(error * score), np.mean(error)])

        start = np.array([1.0, 0.0])
        bounds = [(MIN_SLOPE, None), (None, None)]
        found = minimize(loss_and_gradient, start, jac=True, method="L-BFGS-B", bounds=bounds)
        return cls(float(found.x[0]), float(found.x[1]))

    def apply(self, probability: np.ndarray, /) -> np.ndarray:
        """Return (n,) calibrated probabilities; the order of the rows is kept."""
        return expit(self.slope * _logit(probability) + self.intercept)


# ------------------------------------------------------------------------------------


def _logit(probability: np.ndarray) -> np.ndarray:
    return logit(np.clip(probability, CLIP, 1 - CLIP))
