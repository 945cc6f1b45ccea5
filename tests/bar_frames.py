"""Bars written by hand."""

import polars as pl

from mmf.bars import BAR_SCHEMA, STORED_SCHEMA, VALUE_COLUMNS

HOUR_MS = 3_600_000
FAR_FUTURE_MS = 4_102_444_800_000


def bar_frame(*rows: tuple[int, float, float, float, float, float, float | None]) -> pl.DataFrame:
    """Rows of (hour, open, high, low, close, volume, turnover)."""
    frame = pl.DataFrame(rows, schema={"hour": pl.Int64} | dict.fromkeys(VALUE_COLUMNS, pl.Float64), orient="row")
    open_time = (pl.col("hour") * HOUR_MS).cast(BAR_SCHEMA["open_time"])
    return frame.select(open_time.alias("open_time"), *VALUE_COLUMNS)


def stored_frame(bars: pl.DataFrame, *, source: str = "a", revision: int = 0) -> pl.DataFrame:
    ledger = (source, 0, revision)
    names = ("source", "fetched_at", "revision")
    return bars.with_columns(pl.lit(v).cast(STORED_SCHEMA[n]).alias(n) for n, v in zip(names, ledger, strict=True))


GOOD = (10, 100.0, 110.0, 90.0, 105.0, 7.0, 700.0)
