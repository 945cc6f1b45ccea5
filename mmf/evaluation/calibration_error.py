"""Whether probabilities mean what they say: the slope and intercept that would mend them, and the mean error."""

from dataclasses import asdict, dataclass

import numpy as np
from scipy.special import logit
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits

from mmf.evaluation.telemetry import reliability

CLIP = 1e-6  # the logit of 0 or 1 is not finite
N_BINS = 10


@dataclass(frozen=True, slots=True)
class CalibrationError:
    """How far probabilities are from what happened; None where undefined.

    Attributes
    ----------
    slope, intercept : float or None
        Of the logistic regression of the label on the logit of the probability: 1 and 0 where probabilities mean what
        they say, a slope below 1 where they dare too much, near 0 or below where they say nothing. None where there is
        one label only, or one probability.
    ece : float or None
        Expected calibration error: mean distance between the probability said and the share observed, over ten bins of
        equally many rows.
    """

    slope: float | None
    intercept: float | None
    ece: float | None

    def as_dict(self) -> dict[str, float | None]:
        """Return the figures as JSON takes them."""
        return {f"calibration_{name}" if name != "ece" else name: value for name, value in asdict(self).items()}


def calibration_error(probability: np.ndarray, label: np.ndarray, /) -> CalibrationError:
    """Compare (n,) probabilities of label 1 with (n,) labels of 0.0, 1.0 or NaN (left out).

    Examples
    --------
    >>> calibration_error(np.array([0.5, 0.5]), np.array([0.0, 1.0]))
    CalibrationError(slope=None, intercept=None, ece=0.5)
    """
    is_known = ~np.isnan(label)
    probability, label = probability[is_known], label[is_known]
    if not len(label):
        return CalibrationError(None, None, None)
    curve = reliability(probability, label, n_bins=N_BINS)
    distance = (curve["mean_predicted"] - curve["observed_rate"]).abs()
    ece = float((distance * curve["count"]).sum() / len(label))
    score = logit(np.clip(probability, CLIP, 1 - CLIP))
    if np.ptp(score) == 0 or not 0 < label.sum() < len(label):
        return CalibrationError(None, None, ece)
    with threadpool_limits(1):
        found = LogisticRegression(C=np.inf, tol=1e-8, max_iter=1_000).fit(score[:, None], label)
    return CalibrationError(float(found.coef_[0, 0]), float(found.intercept_[0]), ece)
