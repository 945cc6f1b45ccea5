"""How far two councils agree: what they have in common of each voter's top and of the selection."""

from collections.abc import Collection

import polars as pl

from mmf.alpha_council.ranking import n_top


def agreement(one: pl.DataFrame, other: pl.DataFrame, /, *, top_ratio: float) -> pl.DataFrame:
    """Compare two tables of votes, such as those of two seeds.

    Parameters
    ----------
    one, other : pl.DataFrame
        `AlphaCouncil.votes_` on the same columns.
    top_ratio : float
        Share of the columns that each voter votes for.

    Returns
    -------
    pl.DataFrame
        One row for each voter that sits in both, for the columns that it votes for, and a last row `council` for the
        selection: voter, count_one, count_other, count_both, overlap (of the shorter of the two), jaccard (common
        columns over all that either has). Null where both are empty.

    Notes
    -----
    Two draws of half the columns have an overlap of 0.50 and a Jaccard index of 0.33 by chance.
    """
    top = n_top(one.height, top_ratio)
    ranks = [name for name in one.columns if name.endswith("_rank") and name != "mean_rank" and name in other.columns]
    chosen = {name.removesuffix("_rank"): pl.col(name) <= top for name in ranks} | {"council": pl.col("is_selected")}
    rows = [
        {"voter": voter} | _common(*(set(votes.filter(is_chosen)["column"]) for votes in (one, other)))
        for voter, is_chosen in chosen.items()
    ]
    return pl.DataFrame(rows, schema_overrides={"overlap": pl.Float64, "jaccard": pl.Float64})


# ------------------------------------------------------------------------------------


def _common(one: Collection[str], other: Collection[str]) -> dict[str, float | None]:
    both = len(set(one) & set(other))
    shorter, either = min(len(one), len(other)), len(set(one) | set(other))
    return {
        "count_one": len(one),
        "count_other": len(other),
        "count_both": both,
        "overlap": both / shorter if shorter else None,
        "jaccard": both / either if either else None,
    }
