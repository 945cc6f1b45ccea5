"""From scores to votes: every voter ranks all columns, ties go to the higher F, then to the name."""

import re
from collections.abc import Collection, Sequence

import numpy as np
import polars as pl

_LAGGED = re.compile(r"(.+)_lag_(\d+)")
VOTERS = ("linear", "forest", "mutual")


def standardise(X: np.ndarray, /) -> np.ndarray:
    """Scale columns to mean 0 and variance 1; a constant column becomes zeros.

    Parameters
    ----------
    X : np.ndarray
        (n, p) finite numbers.

    Returns
    -------
    np.ndarray
        (n, p) float32, columns contiguous. Moments are taken in float64.
    """
    Z = np.empty(X.shape, np.float32, order="F")
    for j, column in enumerate(X.T):
        mean, std = column.mean(dtype=np.float64), column.std(dtype=np.float64)
        # a spread below the rounding of the values themselves is none
        is_constant = std <= 10 * np.finfo(column.dtype).eps * abs(mean)
        Z[:, j] = 0.0 if is_constant else (column - mean) / std
    return Z


def anova_f(Z: np.ndarray, codes: np.ndarray, /) -> np.ndarray:
    """F statistic of the difference between two class means, column by column.

    Parameters
    ----------
    Z : np.ndarray
        (n, p) standardised columns.
    codes : np.ndarray
        (n,) int64 classes 0 and 1, both present.

    Returns
    -------
    np.ndarray
        (p,) float64 as `sklearn.feature_selection.f_classif`; 0 for a constant column, inf where a column tells the
        classes apart without error.
    """
    n, n_ones = len(codes), int(codes.sum())
    is_one = codes == 1
    mean_ones = Z[is_one].mean(axis=0, dtype=np.float64)
    mean_zeros = Z[~is_one].mean(axis=0, dtype=np.float64)
    n_zeros = n - n_ones
    between = (mean_ones - mean_zeros) ** 2 * n_ones * n_zeros / n
    within = np.einsum("ij,ij->j", Z, Z, dtype=np.float64) - n_ones * mean_ones**2 - n_zeros * mean_zeros**2
    f = np.full(Z.shape[1], np.inf)
    np.divide(between * (n - 2), within, out=f, where=within > 0)
    return np.where(between > 0, f, 0.0)


def rank(score: np.ndarray, f: np.ndarray, /) -> np.ndarray:
    """Rank columns, 1 for the highest score, equal scores by the higher F and then by place."""
    order = np.lexsort((-f, -score))
    ranks = np.empty(len(order), np.int64)
    ranks[order] = np.arange(1, len(order) + 1)
    return ranks


def votes_table(
    columns: Sequence[str],
    scores: dict[str, np.ndarray],
    f: np.ndarray,
    /,
    *,
    top_ratio: float,
    max_features: int | None,
    always_keep: Collection[str],
) -> pl.DataFrame:
    """Rank the columns by each voter, count the votes and select.

    Parameters
    ----------
    columns : sequence of str
        p names in alphabetical order, which settles the last ties.
    scores : dict of str to np.ndarray
        (p,) for each of `VOTERS`, higher is better.
    f : np.ndarray
        (p,) F statistics.
    top_ratio, max_features, always_keep
        As of `AlphaCouncil`.

    Returns
    -------
    pl.DataFrame
        One row for each column in the order of mean rank; see `AlphaCouncil`.
    """
    n_top = int(np.ceil(round(top_ratio * len(columns), 6)))
    ranks = {voter: rank(scores[voter], f) for voter in VOTERS}
    table = pl.DataFrame(
        {"column": columns}
        | dict(zip(("base", "lag"), zip(*map(_base_and_lag, columns), strict=True), strict=True))
        | {f"{voter}_{what}": of[voter] for voter in VOTERS for what, of in (("score", scores), ("rank", ranks))}
        | {"anova_f": f}
    )
    rank_columns = [f"{voter}_rank" for voter in VOTERS]
    table = table.with_columns(
        mean_rank=pl.mean_horizontal(rank_columns),
        count_votes=pl.sum_horizontal(pl.col(rank_columns) <= n_top).cast(pl.Int64),
        is_kept=pl.col("column").is_in(list(always_keep)),
    ).sort("mean_rank", "anova_f", "column", descending=[False, True, False])
    is_voted = (pl.col("count_votes") >= 2) & ~pl.col("is_kept")
    n_voted = len(columns) if max_features is None else max_features - len(always_keep)
    return table.with_columns(is_selected=pl.col("is_kept") | (is_voted & (is_voted.cum_sum() <= n_voted)))


# ------------------------------------------------------------------------------------


def _base_and_lag(column: str) -> tuple[str, int]:
    match = _LAGGED.fullmatch(column)
    return (match[1], int(match[2])) if match else (column, 0)
