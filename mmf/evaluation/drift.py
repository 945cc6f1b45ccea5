"""Whether the judged rows still look like the training rows, column by column."""

import numpy as np
import polars as pl

from mmf.errors import LeakError
from mmf.rows import Rows, TrainingRows

N_BINS = 10
FLOOR = 1e-4  # share of an empty bin, so that the index stays finite


def feature_drift(training: TrainingRows, judged: Rows, columns: tuple[str, ...], /) -> pl.DataFrame:
    """Compare the distribution of each column.

    Parameters
    ----------
    training : TrainingRows
        What was fitted on.
    judged : Rows
        What came later.
    columns : tuple of str
        Columns of both; NaN is left out.

    Returns
    -------
    pl.DataFrame
        One row a column, the most drifted first: column, psi (population stability index over ten bins cut at the
        training deciles; under 0.1 is usually called stable, over 0.25 shifted), ks (largest distance of the two
        distribution functions), mean_training, mean_judged, std_training; null where a side has no value.

    Raises
    ------
    LeakError
        The rows were not admitted to training.
    """
    if not isinstance(training, TrainingRows):
        raise LeakError("drift is measured from training rows. Use Split.training(rows).")
    before, after = training.matrix(columns), judged.matrix(columns)
    lines = [(name, *_compared(before[:, i], after[:, i])) for i, name in enumerate(columns)]
    figures = ("psi", "ks", "mean_training", "mean_judged", "std_training")
    table = pl.DataFrame(lines, schema={"column": pl.String, **dict.fromkeys(figures, pl.Float64)}, orient="row")
    return table.sort("psi", "column", descending=[True, False], nulls_last=True)


# ------------------------------------------------------------------------------------


def _compared(before: np.ndarray, after: np.ndarray) -> tuple[float | None, ...]:
    before, after = (np.sort(part[~np.isnan(part)]).astype(np.float64) for part in (before, after))
    if len(before) == 0 or len(after) == 0:
        return (None,) * 5
    return _psi(before, after), _ks(before, after), float(before.mean()), float(after.mean()), float(before.std())


def _psi(before: np.ndarray, after: np.ndarray) -> float:
    edges = np.unique(np.quantile(before, np.arange(1, N_BINS) / N_BINS))
    told, seen = (
        np.maximum(np.bincount(np.searchsorted(edges, part), minlength=len(edges) + 1) / len(part), FLOOR)
        for part in (before, after)
    )
    return float(((seen - told) * np.log(seen / told)).sum())


def _ks(before: np.ndarray, after: np.ndarray) -> float:
    at = np.concatenate([before, after])
    reached = [np.searchsorted(part, at, side="right") / len(part) for part in (before, after)]
    return float(np.abs(reached[0] - reached[1]).max())
