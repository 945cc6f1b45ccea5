"""What exchanges tell beside klines, in the same columns for all of them."""

import polars as pl

FUNDING_SCHEMA: dict[str, pl.DataType] = {"funding_time": pl.Datetime("ms", "UTC"), "rate": pl.Float64()}
INSTRUMENT_SCHEMA: dict[str, pl.DataType] = {
    "symbol": pl.String(),
    "status": pl.String(),
    "launch_ms": pl.Int64(),
    "delivery_ms": pl.Int64(),
    "funding_interval_min": pl.Int64(),
    "base": pl.String(),
    "quote": pl.String(),
}
