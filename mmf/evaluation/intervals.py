"""How far scores of overlapping labels may be trusted: block-bootstrap intervals, all models on the same samples."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np
import polars as pl
from threadpoolctl import threadpool_limits

from mmf.evaluation.bootstrap import block_samples

SCORES = ("precision", "recall", "pr_auc", "roc_auc", "brier", "log_loss")
LEVEL = 0.95
N_SAMPLES = 500
CLIP = 1e-15


def score_intervals(
    probabilities: Mapping[str, np.ndarray],
    label: np.ndarray,
    /,
    *,
    thresholds: Mapping[str, float | np.ndarray],
    horizon: int,
    n_samples: int = N_SAMPLES,
    seed: int = 0,
) -> pl.DataFrame:
    """Return 95 % intervals of each model's scores.

    Parameters
    ----------
    probabilities : mapping of str to np.ndarray
        (n,) probabilities of label 1 by model.
    label : np.ndarray
        (n,) 0.0, 1.0, or NaN where it is not known yet: such rows are left out.
    thresholds : mapping of str to float or np.ndarray
        Of each model, one or (n,), one a row; a row is long above it.
    horizon : int
        Bars that a label looks ahead; blocks are twice as long on average.
    n_samples, seed
        See `mmf.evaluation.bootstrap.block_samples`.

    Returns
    -------
    pl.DataFrame
        model, score, value, low, high; null where a score is undefined on too many samples to tell.
    """
    is_known = ~np.isnan(label)
    n = int(is_known.sum())
    samples = block_samples(n, mean_block=2.0 * horizon, n_samples=n_samples, seed=seed)
    counts = [np.ones(n), *(np.bincount(rows, minlength=n).astype(np.float64) for rows in samples)]
    lines = []
    for model, probability in probabilities.items():
        cut = np.broadcast_to(thresholds[model], label.shape)
        ranked = _Ranked.of(probability[is_known], label[is_known], cut[is_known])
        with threadpool_limits(1):  # threads for sums this short cost eight times what they save
            drawn = np.array([ranked.scores(weight) for weight in counts])
        lines += [(model, score, *_interval(drawn[:, i])) for i, score in enumerate(SCORES)]
    schema = {"model": pl.String, "score": pl.String, **dict.fromkeys(("value", "low", "high"), pl.Float64)}
    return pl.DataFrame(lines, schema=schema, orient="row")


# ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Ranked:
    """Rows from the most to the least probable, ranked once for all samples.

    Attributes
    ----------
    order : np.ndarray
        (n,) rows from the highest probability down.
    begins : np.ndarray
        Where each group of equal probabilities begins in that order.
    label, is_long, squared, loss : np.ndarray
        (n,) in that order.
    """

    order: np.ndarray
    begins: np.ndarray
    label: np.ndarray
    is_long: np.ndarray
    squared: np.ndarray
    loss: np.ndarray

    @classmethod
    def of(cls, probability: np.ndarray, label: np.ndarray, threshold: np.ndarray) -> Self:
        order = np.argsort(-probability, kind="stable")
        p, y = probability[order], label[order]
        begins = np.flatnonzero(np.diff(p, prepend=np.inf))
        loss = -np.log(np.clip(np.where(y == 1, p, 1 - p), CLIP, None))
        return cls(order, begins, y, p > threshold[order], (p - y) ** 2, loss)

    def scores(self, weight: np.ndarray) -> tuple[float, ...]:
        """`SCORES` where each row counts as often as the sample holds it; NaN where undefined."""
        w = weight[self.order]
        ones, all_rows = w * self.label, w.sum()
        n_ones, n_long, n_right = ones.sum(), w[self.is_long].sum(), ones[self.is_long].sum()
        right = np.cumsum(np.add.reduceat(ones, self.begins))
        seen = np.cumsum(np.add.reduceat(w, self.begins))
        with np.errstate(invalid="ignore", divide="ignore"):
            recall = right / n_ones
            gained = np.diff(recall, prepend=0.0)
            pr_auc = np.where(gained > 0, gained * right / seen, 0.0).sum() if n_ones else np.nan
            wrong = (seen - right) / (all_rows - n_ones)
            roc_auc = (np.diff(wrong, prepend=0.0) * (recall + np.append(0.0, recall[:-1])) / 2).sum()
            precision = n_right / n_long
        return (
            float(precision),
            float(n_right / n_ones) if n_ones else np.nan,
            float(pr_auc),
            float(roc_auc),
            float((w @ self.squared) / all_rows),
            float((w @ self.loss) / all_rows),
        )


def _interval(drawn: np.ndarray) -> tuple[float | None, float | None, float | None]:
    """The value itself comes first; an interval takes nine samples in ten."""
    value, defined = drawn[0], drawn[1:][~np.isnan(drawn[1:])]
    told = None if np.isnan(value) else float(value)
    if len(defined) < 0.9 * (len(drawn) - 1):
        return told, None, None
    low, high = np.quantile(defined, ((1 - LEVEL) / 2, (1 + LEVEL) / 2))
    return told, float(low), float(high)
