"""Merging of bars: what is new, what is the same, what a source has restated."""

from dataclasses import dataclass

import polars as pl

from mmf.bars import STORED_SCHEMA, VALUE_COLUMNS


@dataclass(frozen=True)
class Merge:
    """What `merge_bars` found: the union, and what happened to each incoming bar.

    Attributes
    ----------
    bars : pl.DataFrame
        The union in `STORED_SCHEMA`, sorted by open_time.
    changed : pl.DataFrame
        The rows of `bars` that are new or revised.
    n_outdated : int
        Incoming bars with other numbers that were fetched before the stored ones; counted as unchanged, too.
    superseded : pl.DataFrame
        The stored rows that a revision replaced.
    n_added, n_revised, n_unchanged : int
        Counts of the incoming bars.
    """

    bars: pl.DataFrame
    changed: pl.DataFrame
    superseded: pl.DataFrame
    n_added: int
    n_revised: int
    n_unchanged: int
    n_outdated: int


def merge_bars(stored: pl.DataFrame, incoming: pl.DataFrame, /) -> Merge:
    """Merge incoming bars into stored ones; other numbers for a closed bar are a revision, unless they are older.

    Parameters
    ----------
    stored, incoming : pl.DataFrame
        `STORED_SCHEMA`, unique by open_time. `incoming.revision` is ignored.

    Notes
    -----
    An answer that lay about while another one was fetched and stored (an earlier `fetched_at`) must not undo that one.
    A null turnover never replaces a number: the source is silent about it, not in disagreement.
    """
    old = stored.select(
        "open_time",
        "revision",
        pl.col("fetched_at").alias("_fetched_at"),
        *(pl.col(c).alias(f"_{c}") for c in VALUE_COLUMNS),
    )
    joined = incoming.drop("revision").join(old, on="open_time", how="left", maintain_order="left")
    joined = joined.with_columns(pl.coalesce("turnover", "_turnover").alias("turnover"))
    is_new = pl.col("revision").is_null()
    differs = pl.any_horizontal(pl.col(c).ne_missing(pl.col(f"_{c}")) for c in VALUE_COLUMNS)
    added = joined.filter(is_new).with_columns(pl.lit(0, pl.Int32).alias("revision"))
    is_outdated = differs & (pl.col("fetched_at") < pl.col("_fetched_at"))
    revised = joined.filter(~is_new & differs & ~is_outdated).with_columns(pl.col("revision") + 1)
    changed = pl.concat([added, revised]).select(*STORED_SCHEMA).sort("open_time")
    kept = stored.join(revised, on="open_time", how="anti")
    return Merge(
        bars=pl.concat([kept.select(*STORED_SCHEMA), changed]).sort("open_time"),
        changed=changed,
        superseded=stored.join(revised, on="open_time", how="semi").select(*STORED_SCHEMA),
        n_added=added.height,
        n_revised=revised.height,
        n_unchanged=incoming.height - changed.height,
        n_outdated=joined.filter(~is_new & is_outdated).height,
    )
