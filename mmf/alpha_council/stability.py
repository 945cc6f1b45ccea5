"""Stability over time: what the council selects in each of several periods by itself."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import polars as pl
from sklearn.base import clone

from mmf.alpha_council.council import AlphaCouncil
from mmf.errors import DataError, LeakError
from mmf.rows import TrainingRows
from mmf.tensor_flex.stability import time_blocks

OnProgress = Callable[[float], None]


@dataclass(frozen=True)
class Stability:
    """How often each column is selected, period by period.

    Attributes
    ----------
    folds : pl.DataFrame
        One row for each column and period, 0 the earliest: column, base, lag, fold, mean_rank, count_votes,
        is_selected.
    columns : pl.DataFrame
        One row for each column, most stable first: column, base, lag, count_folds (in which it is selected), share
        (of all periods), mean_rank (over the periods).
    counts : pl.DataFrame
        One row for each number of periods from 0 up: count_folds, count_columns (selected in so many), mean_shifted
        (the same on labels shifted in time; null without any).
    """

    folds: pl.DataFrame
    columns: pl.DataFrame
    counts: pl.DataFrame

    @property
    def features(self) -> pl.DataFrame:
        """One row for each base feature, most stable first: base, count_columns, share, mean_rank.

        `share` is of all its columns in all periods.
        """
        means = (pl.col(name).mean().round(6) for name in ("share", "mean_rank"))
        count = pl.len().cast(pl.Int64).alias("count_columns")
        of_base = self.columns.group_by("base", maintain_order=True).agg(count, *means)
        return of_base.sort("share", "mean_rank", "base", descending=[True, False, False])


def fold_stability(
    council: AlphaCouncil,
    rows: TrainingRows,
    /,
    *,
    n_folds: int = 5,
    n_estimators: int | None = 40,
    n_shifts: int = 1,
    on_progress: OnProgress = lambda _: None,
) -> Stability:
    """Let a council vote in each period alone, on the label and on labels that the columns can tell nothing of.

    Parameters
    ----------
    council : AlphaCouncil
        Its options are used; it is not fitted.
    rows : TrainingRows
        n rows without undefined values.
    n_folds : int
        Periods of equal length, each purged of rows whose label the next one tells.
    n_estimators : int, optional
        Trees of each period's forest; the council's number where None.
    n_shifts : int
        Labels turned around in time; each costs as much as the label itself.
    on_progress : callable
        Receives the share of all votes held.

    Raises
    ------
    LeakError
        The rows were not admitted to training.
    DataError
        See `AlphaCouncil.fit_rows`; or a period holds one class only.

    Notes
    -----
    Periods do not overlap. Folds that grow, each holding the one before, share most of their rows and agree whatever
    the columns are worth.

    Stability is no proof. A slow column follows any slow label within a period, now with one sign and now with the
    other, so it is selected again and again on a shifted label too; `counts` holds both side by side.
    """
    if not isinstance(rows, TrainingRows):
        raise LeakError("the council may see training rows only. Use Split.training(rows).")
    in_fold = clone(council).set_params(n_estimators=n_estimators or council.n_estimators)
    blocks = time_blocks(rows, n_folds)
    labels = [np.roll(rows.label, shift * len(rows) // (n_shifts + 1)) for shift in range(n_shifts + 1)]
    _check_classes(labels, blocks)
    of_labels = []
    for shift, label in enumerate(labels):
        turned = replace(rows, label=label)
        parts = []
        for fold, index in enumerate(blocks):
            votes = in_fold.fit_rows(turned.take(index)).votes_.sort("column")
            parts.append(votes.with_columns(fold=pl.lit(fold, pl.Int64)))
            on_progress((shift * n_folds + fold + 1) / (n_folds * (n_shifts + 1)))
        of_labels.append(pl.concat(parts))
    folds = of_labels[0].select("column", "base", "lag", "fold", "mean_rank", "count_votes", "is_selected")
    label, *shifted = (np.bincount(_by_column(of)["count_folds"], minlength=n_folds + 1) for of in of_labels)
    counts = {"count_folds": np.arange(n_folds + 1), "count_columns": label}
    chance = pl.Series("mean_shifted", np.mean(shifted, axis=0) if shifted else [None] * (n_folds + 1), pl.Float64)
    return Stability(folds, _by_column(folds), pl.DataFrame(counts).with_columns(chance))


# ------------------------------------------------------------------------------------


def _check_classes(labels: Sequence[np.ndarray], blocks: Sequence[np.ndarray]) -> None:
    for fold, index in enumerate(blocks, 1):
        if any(len(np.unique(label[index])) < 2 for label in labels):
            raise DataError(
                f"period {fold} of {len(blocks)} holds one class of the label only, so there is nothing to vote on. "
                "Use more days, fewer periods or another hurdle, or leave stability out."
            )


def _by_column(folds: pl.DataFrame) -> pl.DataFrame:
    return (
        folds.group_by("column", "base", "lag", maintain_order=True)
        .agg(
            pl.col("is_selected").sum().cast(pl.Int64).alias("count_folds"),
            (pl.col("is_selected").sum() / pl.len()).alias("share"),
            pl.col("mean_rank").mean().round(6),
        )
        .sort("share", "mean_rank", "column", descending=[True, False, False])
    )
