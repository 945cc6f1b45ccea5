"""How votes spread: over base features and over lags."""

import polars as pl


def by_feature(votes: pl.DataFrame, /) -> pl.DataFrame:
    """Sum up the votes of each base feature and its lags.

    Parameters
    ----------
    votes : pl.DataFrame
        `AlphaCouncil.votes_`.

    Returns
    -------
    pl.DataFrame
        One row a base feature, best first: base, count_columns, count_votes, count_selected, best_rank (the best
        mean rank of its columns), best_column, selected_lags (ascending; 0 is the feature itself).
    """
    return (
        votes.sort("mean_rank", "column")
        .group_by("base", maintain_order=True)
        .agg(
            pl.len().cast(pl.Int64).alias("count_columns"),
            pl.col("count_votes").sum(),
            pl.col("is_selected").sum().cast(pl.Int64).alias("count_selected"),
            pl.col("mean_rank").first().alias("best_rank"),
            pl.col("column").first().alias("best_column"),
            pl.col("lag").filter("is_selected").sort().alias("selected_lags"),
        )
    )


def by_lag(votes: pl.DataFrame, /) -> pl.DataFrame:
    """Sum up the votes of each lag over all base features.

    Parameters
    ----------
    votes : pl.DataFrame
        `AlphaCouncil.votes_`.

    Returns
    -------
    pl.DataFrame
        One row a lag, ascending: lag, count_columns, count_votes, count_selected, share_selected, mean_rank (the
        mean over its columns; half of all columns where the lag tells neither more nor less than others).
    """
    is_selected = pl.col("is_selected").sum().cast(pl.Int64)
    return (
        votes.sort("lag", "column")
        .group_by("lag", maintain_order=True)
        .agg(
            pl.len().cast(pl.Int64).alias("count_columns"),
            pl.col("count_votes").sum(),
            is_selected.alias("count_selected"),
            (is_selected / pl.len()).alias("share_selected"),
            pl.col("mean_rank").mean().round(6),
        )
    )
