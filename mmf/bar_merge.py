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


def merge_bars(stored: pl.DataFrame, incoming: pl.DataFrame, /) -> Merge:
    """Merge incoming bars into stored ones; other numbers for a closed bar are a revision.

    Parameters
    ----------
    stored, incoming : pl.DataFrame
        `STORED_SCHEMA`, unique by open_time. `incoming.revision` is ignored.

    Notes
    -----
    A null turnover never replaces a number: the source is silent about it, not in disagreement.
    """
    old = stored.select("open_time", "revision", *(pl.col(c).alias(f"_{c}") for c in VALUE_COLUMNS))
    joined = incoming.drop("revision").join(old, on="open_time", how="left", maintain_order="left")
    joined = joined.with_columns(pl.coalesce("turnover", "_turnover").alias("turnover"))
    is_new = pl.col("revision").is_null()
    differs = pl.any_horizontal(pl.col(c).ne_missing(pl.col(f"_{c}")) for c in VALUE_COLUMNS)
    added = joined.filter(is_new).with_columns(pl.lit(0, pl.Int32).alias("revision"))
    revised = joined.filter(~is_new & differs).with_columns(pl.col("revision") + 1)
    changed = pl.concat([added, revised]).select(*STORED_SCHEMA).sort("open_time")
    kept = stored.join(revised, on="open_time", how="anti")
    return Merge(
        bars=pl.concat([kept.select(*STORED_SCHEMA), changed]).sort("open_time"),
        changed=changed,
        superseded=stored.join(revised, on="open_time", how="semi").select(*STORED_SCHEMA),
        n_added=added.height,
        n_revised=revised.height,
        n_unchanged=incoming.height - changed.height,
    )
