"""Features of one's own: an example to start from. `mmf features new FILE` copies it.

A function of nothing returns a Polars expression; a function of bar columns is a kernel in NumPy arrays. `lookback`
counts the earlier bars that a row reads. A recursive feature declares `memory`: how far back a bar still moves it by
more than 2^-24 of the column's scale. `mmf features audit` measures both and tells the right number.
"""

import numpy as np
import polars as pl
from numba import njit

from mmf.features.user import feature


@feature(lookback=0, unit="0..1", undefined="flat bars")
def close_place() -> pl.Expr:
    """Place of the close within its bar: 0 at the low, 1 at the high."""
    span = pl.col("high") - pl.col("low")
    return pl.when(span > 0).then((pl.col("close") - pl.col("low")) / span)


@feature(memory=300, unit="1 / turnover", undefined="first row; bars without turnover")
def illiquidity() -> pl.Expr:
    """Absolute log-return over turnover, exponential mean with alpha 0.1 (after Amihud)."""
    log_return = (pl.col("close") / pl.col("close").shift(1)).log()
    return (log_return.abs() / pl.col("turnover")).ewm_mean(alpha=0.1, adjust=False)


@feature(windows=(20, 100), lookback=lambda window: window, unit="0..1", undefined="first W rows; no movement")
def efficiency(close: np.ndarray, *, window: int) -> np.ndarray:
    """Net change over the path of the last W bars (Kaufman): 1 for a line."""
    return straightness(close, window)


@njit(cache=True, nogil=True, error_model="numpy")
def straightness(close, window):
    """Sum the path of each window anew, so that no rounding of older bars stays in it."""
    out = np.full(len(close), np.nan)
    for t in range(window, len(close)):
        path = 0.0
        for k in range(t - window + 1, t + 1):
            path += abs(close[k] - close[k - 1])
        if path > 0:
            out[t] = abs(close[t] - close[t - window]) / path
    return out
