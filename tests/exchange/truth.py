"""Bars and fundings made up to be served: a walk on the ticks of an exchange."""

import numpy as np
import polars as pl

from mmf.bars import BAR_SCHEMA, Interval

JANUARY_2024_MS = 1_704_067_200_000


def walk_bars(n: int, /, *, interval: str = "60", start_ms: int = JANUARY_2024_MS, seed: int = 0) -> pl.DataFrame:
    """`n` bars in `BAR_SCHEMA` without holes: prices in tenths, volumes in thousandths, near 40,000."""
    rng = np.random.default_rng([seed, 0x5EED])
    close = 40_000.0 * np.exp(np.cumsum(rng.normal(0.0, 1e-4, n + 1)))
    opened, closed = np.round(close[:-1], 1), np.round(close[1:], 1)
    wick = np.round(rng.exponential(8.0, (2, n)), 1)
    volume = np.round(rng.lognormal(1.0, 1.0, n) + 0.001, 3)
    columns = {
        "open_time": start_ms + np.arange(n) * Interval(interval).ms,
        "open": opened,
        "high": np.round(np.maximum(opened, closed) + wick[0], 1),
        "low": np.round(np.minimum(opened, closed) - wick[1], 1),
        "close": closed,
        "volume": volume,
        "turnover": np.round(volume * closed, 4),
    }
    return pl.DataFrame(columns).select(pl.col(name).cast(kind) for name, kind in BAR_SCHEMA.items())


def walk_funding(n: int, /, *, start_ms: int = JANUARY_2024_MS, minutes: int = 480, seed: int = 0) -> pl.DataFrame:
    """`n` fundings, `funding_time` (Datetime ms UTC) and `rate` (Float64, eight decimals)."""
    rng = np.random.default_rng([seed, 0xF00D])
    columns = {
        "funding_time": start_ms + np.arange(n) * minutes * 60_000,
        "rate": np.round(rng.normal(1e-4, 1e-4, n), 8),
    }
    return pl.DataFrame(columns).cast({"funding_time": pl.Datetime("ms", "UTC"), "rate": pl.Float64})
