"""Stress expert: a linear model that is wary of going long."""

from typing import ClassVar, Self

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from mmf.experts.layout import Layout
from mmf.experts.protocol import ALONE, EpochRecord, Session, View
from mmf.scheduler import Effort
from mmf.threads import single_threaded


class StressExpert(BaseEstimator):
    """Logistic regression on standardised columns in which a false long costs double.

    The double cost of label-0 rows about halves the odds that the model gives to label 1: its
    probabilities are pessimistic on purpose. The trader's calibration accounts for it.

    Parameters
    ----------
    false_long_cost : float
        Weight of a row of label 0 against one of label 1.
    C : float
        Inverse strength of the L2 penalty. Overlapping labels show each outcome about 36 times, so
        the likelihood is that much too sure of itself; about 1/36 undoes it.

    Attributes
    ----------
    scaler_ : StandardScaler
        Means and deviations of the rows fitted on.
    logistic_ : LogisticRegression
        Fitted in float64 on one thread: the rounding of threaded float32 sums moves the last digits.
    """

    name: ClassVar[str] = "stress"
    reads: ClassVar[View] = "selected"
    context_bars: ClassVar[int] = 0
    history_: ClassVar[tuple[EpochRecord, ...]] = ()

    def __init__(self, *, false_long_cost: float = 2.0, C: float = 0.03) -> None:
        self.false_long_cost = false_long_cost
        self.C = C

    def fit(
        self,
        X: np.ndarray,
        y: np.ndarray,
        *,
        effort: Effort,  # noqa: ARG002 - it runs to its optimum
        session: Session = ALONE,  # noqa: ARG002 - in milliseconds
        layout: Layout | None = None,  # noqa: ARG002 - each row is answered by itself
    ) -> Self:
        """Fit to the optimum on (n, p) features and (n,) labels 0.0 or 1.0."""
        self.scaler_ = StandardScaler().fit(X)
        weights = {0.0: self.false_long_cost, 1.0: 1.0}
        logistic = LogisticRegression(C=self.C, class_weight=weights, max_iter=2_000)
        with threadpool_limits(1):
            self.logistic_ = logistic.fit(self._scaled(X), y)
        return self

    def predict_proba(self, X: np.ndarray, /, *, layout: Layout | None = None) -> np.ndarray:  # noqa: ARG002 - each row is answered by itself
        """Return (n,) float64 probabilities of label 1, pessimistic by the cost of a false long."""
        with single_threaded():
            return self.logistic_.predict_proba(self._scaled(X))[:, 1]

    def vital_signs(self) -> dict[str, int]:
        """Count the coefficients, the intercept included."""
        return {"stress_coefficients": self.logistic_.coef_.size + self.logistic_.intercept_.size}

    def _scaled(self, X: np.ndarray) -> np.ndarray:
        return self.scaler_.transform(X.astype(np.float64))
