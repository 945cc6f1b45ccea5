"""A source that answers what it is given, and bars to give it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from mmf.bars import BAR_SCHEMA, Series
from mmf.markets.source import Batch

HOUR_MS = 3_600_000
SERIES = Series("simulated", "linear", "BTCUSDT", "60")


@dataclass(frozen=True)
class ListSource:
    """Answers the frames that it holds, one batch each."""

    frames: tuple[pl.DataFrame, ...]
    closed_before_ms: int = 1 << 60

    def batches(self, series: Series, wanted: Sequence[tuple[int, int]], /) -> Iterator[Batch]:
        for place, rows in enumerate(self.frames):
            yield Batch(series, rows, f"list:{place}", 1_000, self.closed_before_ms)


def walk(first: int, count: int, *, seed: int = 1) -> pl.DataFrame:
    """Bars number `first` to `first + count - 1` of one fixed random walk."""
    steps = np.random.default_rng(seed).normal(0, 0.01, first + count)
    close = 100 * np.exp(np.cumsum(steps))[first:]
    open_ = close * np.exp(-steps[first:])
    columns = {
        "open_time": (np.arange(first, first + count) * HOUR_MS).astype("datetime64[ms]"),
        "open": open_,
        "high": np.maximum(open_, close) * 1.001,
        "low": np.minimum(open_, close) * 0.999,
        "close": close,
        "volume": 1 + np.abs(steps[first:]) * 1e4,
        "turnover": (1 + np.abs(steps[first:]) * 1e4) * close,
    }
    return pl.DataFrame(columns).with_columns(pl.col("open_time").cast(BAR_SCHEMA["open_time"]))
