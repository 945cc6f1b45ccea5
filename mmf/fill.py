"""Filling holes when bars are read: a choice of the reader, flagged in every row, and never stored."""

from typing import Literal

import polars as pl

from mmf.bars import BAR_SCHEMA, Interval

Fill = Literal["none", "forward_flat"]


def fill(bars: pl.DataFrame, /, *, interval: Interval, how: Fill) -> pl.DataFrame:
    """Return bars with a column `is_filled`, and with stand-ins for the missing ones where asked.

    Parameters
    ----------
    bars : pl.DataFrame
        `BAR_SCHEMA`, sorted by open_time; further columns are null in stand-ins.
    interval : Interval
        Theirs.
    how : {"none", "forward_flat"}
        Leave holes as they are; or put flat bars at the last close before the hole, with volume 0, into them. Their
        turnover is 0, and null where the bar before the hole has none.

    Notes
    -----
    Slots before the first and after the last bar are not filled: nothing says that the market existed.

    Examples
    --------
    >>> times = pl.Series("open_time", [0, 180_000]).cast(BAR_SCHEMA["open_time"])
    >>> values = {name: [1.0, 2.0] for name in ("open", "high", "low", "close", "volume", "turnover")}
    >>> filled = fill(pl.DataFrame({"open_time": times, **values}), interval=Interval("1"), how="forward_flat")
    >>> filled.select("close", "volume", "is_filled").rows()
    [(1.0, 1.0, False), (1.0, 0.0, True), (1.0, 0.0, True), (2.0, 2.0, False)]
    """
    flagged = bars.with_columns(pl.lit(value=False).alias("is_filled"))
    match how:
        case "none":
            return flagged
        case "forward_flat":
            return _forward_flat(flagged, interval)


# ------------------------------------------------------------------------------------


def _forward_flat(flagged: pl.DataFrame, interval: Interval) -> pl.DataFrame:
    if flagged.is_empty():
        return flagged
    first, last = flagged["open_time"].to_physical()[0], flagged["open_time"].to_physical()[-1]
    slots = pl.int_range(first, last + 1, interval.ms, dtype=pl.Int64, eager=True).alias("open_time")
    whole = (
        slots.cast(BAR_SCHEMA["open_time"]).to_frame().join(flagged, on="open_time", how="left", maintain_order="left")
    )
    is_filled = pl.col("is_filled").is_null()
    whole = whole.with_columns(is_filled.alias("is_filled"))
    flat = {name: pl.col("close").forward_fill() for name in ("open", "high", "low", "close")}
    nothing = {"volume": pl.lit(0.0), "turnover": pl.col("turnover").forward_fill() * 0.0}
    return whole.with_columns(
        pl.when("is_filled").then(value).otherwise(pl.col(name)).alias(name) for name, value in (flat | nothing).items()
    ).select(flagged.columns)
