"""From scores to votes: every voter ranks all columns, ties go to the higher F, then to the name."""

from collections.abc import Collection, Mapping, Sequence

import numpy as np
import polars as pl

from mmf.features.lags import split_lag


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


def n_top(n_columns: int, top_ratio: float, /) -> int:
    """Columns that a voter votes for: the share of all, rounded up, at least one.

    Examples
    --------
    >>> n_top(1_365, 0.5)
    683
    """
    return max(1, int(np.ceil(round(top_ratio * n_columns, 6))))


def votes_table(
    columns: Sequence[str],
    scores: Mapping[str, np.ndarray],
    f: np.ndarray,
    /,
    *,
    top_ratio: float,
    min_votes: int = 2,
    max_features: int | None,
    one_per_family: bool = False,
    always_keep: Collection[str],
) -> pl.DataFrame:
    """Rank the columns by each voter, count the votes and select.

    Parameters
    ----------
    columns : sequence of str
        p names in alphabetical order, which settles the last ties.
    scores : mapping of str to np.ndarray
        (p,) of each voter by its name, higher is better.
    f : np.ndarray
        (p,) F statistics.
    top_ratio, min_votes, max_features, one_per_family, always_keep
        As of `AlphaCouncil`.

    Returns
    -------
    pl.DataFrame
        One row for each column in the order of mean rank; see `AlphaCouncil`.
    """
    ranks = {voter: rank(score, f) for voter, score in scores.items()}
    table = pl.DataFrame(
        {"column": columns}
        | dict(zip(("base", "lag"), zip(*map(split_lag, columns), strict=True), strict=True))
        | {f"{voter}_{what}": of[voter] for voter in scores for what, of in (("score", scores), ("rank", ranks))}
        | {"anova_f": f}
    )
    rank_columns = [f"{voter}_rank" for voter in scores]
    table = table.with_columns(
        mean_rank=pl.mean_horizontal(rank_columns),
        count_votes=pl.sum_horizontal(pl.col(rank_columns) <= n_top(len(columns), top_ratio)).cast(pl.Int64),
        is_kept=pl.col("column").is_in(list(always_keep)),
    ).sort("mean_rank", "anova_f", "column", descending=[False, True, False])
    is_voted = (pl.col("count_votes") >= min_votes) & ~pl.col("is_kept")
    if one_per_family:
        is_first = is_voted.cum_sum().over("base", order_by=pl.int_range(pl.len())) == 1
        is_voted &= is_first & ~pl.col("is_kept").any().over("base")
    n_voted = len(columns) if max_features is None else max_features - len(always_keep)
    return table.with_columns(is_selected=pl.col("is_kept") | (is_voted & (is_voted.cum_sum() <= n_voted)))
