"""What the trader asks of an expert."""

from typing import ClassVar, Protocol, Self

import numpy as np

from mmf.scheduler import Effort


class Expert(Protocol):
    """A probability model that the trader mixes with others.

    An expert follows scikit-learn: `__init__` only stores parameters, so that
    `sklearn.base.clone` gives an unfitted copy, and learned values end in `_`. It sees finite numbers
    only (the trader imputes), and scales them itself where it must.

    Attributes
    ----------
    name : str
        Key in the registry; prefix of the expert's columns in predictions.
    vital_sign : str
        What `n_parameters` counts, as the vital signs name it.
    """

    name: ClassVar[str]
    vital_sign: ClassVar[str]

    def fit(self, X: np.ndarray, y: np.ndarray, *, effort: Effort) -> Self:
        """Learn from (n, p) float32 features and (n,) labels 0.0 or 1.0, both present."""
        ...

    def predict_proba(self, X: np.ndarray) -> np.ndarray:
        """Return (n,) float64 probabilities of label 1."""
        ...

    def n_parameters(self) -> int:
        """Count what the expert has learned, in the unit of `vital_sign`."""
        ...
