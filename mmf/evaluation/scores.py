"""Scores of probabilities against labels, and the threshold from which a row counts as long."""

from dataclasses import asdict, dataclass

import numpy as np
from sklearn.metrics import average_precision_score, roc_auc_score

from mmf.errors import CallError, DataError

CLIP = 1e-15


@dataclass(frozen=True, slots=True)
class Scores:
    """How probabilities fared; None where a score is undefined.

    Attributes
    ----------
    n : int
        Rows judged; rows without a label are left out.
    n_effective : float
        Independent outcomes among them, n / horizon: labels of neighbouring rows overlap.
    base_rate : float or None
        Share of label 1.
    threshold : float
        A row is long where its probability is above this.
    long_share : float or None
        Share of rows that are long.
    precision, recall : float or None
        Of the long rows the share with label 1; of the rows with label 1 the share that is long.
    pr_auc : float or None
        Average precision; without skill it equals the base rate.
    roc_auc : float or None
        Chance that a row of label 1 ranks above one of label 0; without skill 0.5.
    brier, log_loss : float or None
        Mean squared error and mean negative log-likelihood of the probabilities.
    """

    n: int
    n_effective: float
    base_rate: float | None
    threshold: float
    long_share: float | None
    precision: float | None
    recall: float | None
    pr_auc: float | None
    roc_auc: float | None
    brier: float | None
    log_loss: float | None

    def as_dict(self) -> dict[str, float | None]:
        """Return the scores as JSON takes them."""
        return asdict(self)


def evaluate(probability: np.ndarray, label: np.ndarray, /, *, threshold: float, horizon: int) -> Scores:
    """Score (n,) probabilities of label 1 against (n,) labels of 0.0, 1.0 or NaN (not known yet).

    Parameters
    ----------
    probability, label : np.ndarray
        (n,) each.
    threshold : float
        From `choose_threshold` on out-of-fold predictions, never on the rows judged here.
    horizon : int
        Bars that a label looks ahead.

    Raises
    ------
    CallError
        Lengths differ or the horizon is not positive.
    DataError
        A probability is outside 0..1 or a label is neither 0, 1 nor NaN.
    """
    if horizon < 1:
        raise CallError(f"horizon is {horizon}; expected a positive number of bars.")
    probability, label = _known(probability, label)
    n, is_one, is_long = len(label), label == 1, probability > threshold
    has_both = 0 < is_one.sum() < n
    chance = np.clip(np.where(is_one, probability, 1 - probability), CLIP, None)
    return Scores(
        n=n,
        n_effective=n / horizon,
        base_rate=_share(is_one, n),
        threshold=float(threshold),
        long_share=_share(is_long, n),
        precision=_share(is_one & is_long, is_long.sum()),
        recall=_share(is_one & is_long, is_one.sum()),
        pr_auc=float(average_precision_score(is_one, probability)) if is_one.any() else None,
        roc_auc=float(roc_auc_score(is_one, probability)) if has_both else None,
        brier=float(np.mean((probability - label) ** 2)) if n else None,
        log_loss=float(-np.mean(np.log(chance))) if n else None,
    )


def choose_threshold(oof_probability: np.ndarray, label: np.ndarray, /) -> float:
    """Return the threshold at which as many out-of-fold rows are long as have label 1.

    The rule looks at ranks only. Maximising F1 was left out on purpose: without skill its optimum
    is to call every row long.

    Parameters
    ----------
    oof_probability, label : np.ndarray
        (n,) out-of-fold probabilities of training rows and their labels.

    Notes
    -----
    Rows are long strictly above the threshold, so ties never lift the share of longs over the base
    rate: of probabilities that are all equal none is long.

    Examples
    --------
    >>> choose_threshold(np.array([0.1, 0.2, 0.3, 0.9]), np.array([0.0, 0.0, 0.0, 1.0]))
    0.3
    """
    probability, label = _known(oof_probability, label)
    n_ones = int(label.sum())
    if n_ones in (0, len(label)):
        raise DataError(f"a threshold needs both labels, got {n_ones} ones in {len(label)} rows. Take more history.")
    return float(np.sort(probability)[len(label) - n_ones - 1])


# ------------------------------------------------------------------------------------


def _known(probability: np.ndarray, label: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows that have a label, checked."""
    if probability.shape != label.shape or probability.ndim != 1:
        raise CallError(f"probabilities {probability.shape} and labels {label.shape} must be (n,) both.")
    known = ~np.isnan(label)
    probability, label = probability[known].astype(np.float64), label[known]
    if not ((probability >= 0) & (probability <= 1)).all():
        raise DataError("a probability is undefined or outside 0..1. Predict on imputed rows.")
    if not np.isin(label, (0.0, 1.0)).all():
        raise DataError("a label is neither 0 nor 1. Labels come from mmf.labels.")
    return probability, label


def _share(of: np.ndarray, n: int) -> float | None:
    return float(of.sum() / n) if n else None
