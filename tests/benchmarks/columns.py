"""Computing alone, one thread, beside plain pandas and beside TA-Lib in the same process.

python -m tests.benchmarks.columns FILE   prints one JSON line; run it with POLARS_MAX_THREADS=1.
"""

import json
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass

import numpy as np
import pandas as pd
import polars as pl
import talib

from mmf.bars import CHUNK_BARS, Interval
from mmf.features.build import compute_chunk, compute_columns
from mmf.features.record import LEAD_BARS, WINDOWS
from mmf.features.registry import FeatureSet, feature_set
from tests.reference import chaos

N_RUNS = 5
N_PANDAS = 2_000  # bars that the plain implementation gets; it takes as long for each


@dataclass(frozen=True)
class Speeds:
    """Microseconds of CPU for a bar, the least of several runs; ours over chunks, lead included."""

    chaos: float
    chaos_pandas: float
    columns: float
    columns_pandas: float
    rows: float
    like_talib: float
    talib: float


def measure(bars: pl.DataFrame, /) -> Speeds:
    """Measure on chunks from the middle of the bars."""
    core = feature_set("core")
    chaos_only = FeatureSet("chaos", tuple(f for f in core.features if f.family == "chaos"))
    like_talib = FeatureSet("talib", tuple(f for f in core.features if f.oracle.startswith("TA-Lib")))
    middle = bars.height // 2
    read = bars[middle : middle + LEAD_BARS + CHUNK_BARS]
    plain = bars[middle : middle + N_PANDAS + max(WINDOWS)].to_pandas()
    n = CHUNK_BARS
    return Speeds(
        chaos=_us(lambda: compute_columns(chaos_only, read, n_own=n), n),
        chaos_pandas=_us(lambda: pandas_chaos(plain), N_PANDAS, n_runs=1),
        columns=_us(lambda: compute_columns(core, read, n_own=n), n),
        columns_pandas=_us(lambda: (pandas_chaos(plain), pandas_columns(plain)), N_PANDAS, n_runs=1),
        rows=_us(lambda: compute_chunk(core, read, interval=Interval("1"), n_own=n), n),
        like_talib=_us(lambda: compute_columns(like_talib, read, n_own=read.height), read.height),
        talib=_us(lambda: talib_columns(read), read.height),
    )


def pandas_chaos(bars: pd.DataFrame, /) -> None:
    """The six chaos columns as one writes them first: a function applied to each window."""
    log_price = np.log(bars["close"])
    returns = log_price.diff()
    for window in (100, 200):
        returns.rolling(window).apply(_hurst, raw=True)
        returns.rolling(window).apply(chaos.entropy, raw=True)
        log_price.rolling(window).apply(chaos.fdi, raw=True)


def pandas_columns(bars: pd.DataFrame, /) -> None:
    """Most other columns of the catalogue in plain pandas: the rolling and exponential ones, and the linear fits."""
    close, high, low, volume = bars["close"], bars["high"], bars["low"], bars["volume"]
    returns, before = np.log(close).diff(), close.shift()
    true_range = np.maximum(high, before) - np.minimum(low, before)
    typical = (high + low + close) / 3
    up, down = high.diff().clip(lower=0), (-low.diff()).clip(lower=0)
    flow = np.sign(typical.diff()) * typical * volume
    for w in WINDOWS:
        rolling, wilder = close.rolling(w), {"alpha": 1 / w, "adjust": False}
        rolling.mean(), rolling.std(ddof=0), close.ewm(span=w, adjust=False).mean(), close.pct_change(w)
        true_range.ewm(**wilder).mean(), high.rolling(w).max(), low.rolling(w).min()
        close.diff().clip(lower=0).ewm(**wilder).mean(), close.diff().clip(upper=0).ewm(**wilder).mean()
        up.ewm(**wilder).mean(), down.ewm(**wilder).mean()
        flow.clip(lower=0).rolling(w).sum(), flow.clip(upper=0).rolling(w).sum()
        typical.rolling(w).apply(_mean_deviation, raw=True)
    for w in (20, 24, 50, 100):
        rolling = close.rolling(w)
        rolling.mean(), rolling.std(), rolling.skew(), rolling.kurt()
        rolling.apply(_slope, raw=True)
    for w in (20, 100, 200):
        returns.rolling(w).std(), (np.sign(close.diff()) * volume).rolling(w).sum()


def talib_columns(bars: pl.DataFrame, /) -> None:
    """The columns of the catalogue that TA-Lib has, by TA-Lib."""
    close, high, low, volume = (bars[name].to_numpy() for name in ("close", "high", "low", "volume"))
    for w in WINDOWS:
        for function in (talib.ATR, talib.NATR, talib.ADX, talib.PLUS_DI, talib.MINUS_DI, talib.WILLR, talib.CCI):
            function(high, low, close, w)
        for function in (talib.RSI, talib.ROC, talib.SMA, talib.EMA):
            function(close, w)
        talib.BBANDS(close, w, 2, 2, 0)
        if w < 50:
            talib.MFI(high, low, close, volume, w)
    for w in (20, 24, 50, 100):
        talib.LINEARREG_SLOPE(close, w)
    talib.MACD(close, 12, 26, 9)
    talib.OBV(close, volume)


# ------------------------------------------------------------------------------------


def _us(work: Callable[[], object], n_bars: int, *, n_runs: int = N_RUNS) -> float:
    if n_runs > 1:
        work()  # kernels are loaded
    times = []
    for _ in range(n_runs):
        began = time.thread_time()
        work()
        times.append(time.thread_time() - began)
    return min(times) / n_bars * 1e6


def _hurst(values: np.ndarray) -> float:
    """Rescaled range in NumPy, without the correction; nolds takes thirty times as long."""
    sizes = [n for n in range(10, len(values) + 1) if len(values) % n == 0]
    ratios = []
    for n in sizes:
        chunks = values.reshape(-1, n)
        profile = np.cumsum(chunks - chunks.mean(axis=1, keepdims=True), axis=1)
        ratios.append(np.mean(np.ptp(profile, axis=1) / chunks.std(axis=1, ddof=1)))
    return float(np.polyfit(np.log(sizes), np.log(ratios), 1)[0])


def _mean_deviation(values: np.ndarray) -> float:
    return float(np.abs(values - values.mean()).mean())


def _slope(values: np.ndarray) -> float:
    return float(np.polyfit(np.arange(len(values)), values, 1)[0])


if __name__ == "__main__":
    sys.stdout.write(json.dumps(asdict(measure(pl.read_parquet(sys.argv[1])))) + "\n")
