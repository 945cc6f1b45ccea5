"""Bars made up for tests: walks, flats, lines, extreme prices and holes."""

import numpy as np
import polars as pl

from mmf.bars import BAR_SCHEMA, Interval

HOUR = Interval("60")


def bars_of_close(
    close: np.ndarray, *, seed: int = 0, wick: float = 0.002, keep: np.ndarray | None = None
) -> pl.DataFrame:
    """Bars whose close is given; open is the close before, wicks are random parts of the price.

    `keep` holds the bar numbers, for series with holes; by default they are consecutive.
    """
    rng = np.random.default_rng(seed)
    close = np.asarray(close, float)
    opened = np.concatenate([close[:1], close[:-1]])
    high = np.maximum(opened, close) * (1 + wick * rng.random(len(close)))
    low = np.minimum(opened, close) * (1 - wick * rng.random(len(close)))
    volume = rng.lognormal(3, 1, len(close))
    numbers = np.arange(len(close)) + 400_000 if keep is None else keep
    return pl.DataFrame(
        {
            "open_time": numbers * HOUR.ms,
            "open": opened,
            "high": high,
            "low": low,
            "close": close,
            "volume": volume,
            "turnover": volume * close,
        }
    ).cast(BAR_SCHEMA)


def walk(n: int, *, seed: int = 0, start: float = 100.0, step: float = 0.01) -> np.ndarray:
    """Close prices of a geometric random walk with fat tails."""
    returns = np.random.default_rng(seed).standard_t(4, n) * step
    return start * np.exp(np.cumsum(returns))


def numbers_with_holes(n: int, *, seed: int = 0) -> np.ndarray:
    """n bar numbers, of which about one in ten is followed by a hole of up to 40."""
    rng = np.random.default_rng(seed)
    gaps = np.where(rng.random(n) < 0.1, rng.integers(2, 41, n), 1)
    return 400_000 + np.cumsum(gaps)
