"""Volatility features: spread of returns, average true range and Bollinger bands."""

import numpy as np

from mmf.features.kernels.logarithm import log_returns
from mmf.features.kernels.moments import window_moments
from mmf.features.kernels.smoothing import smoothed, true_range
from mmf.features.record import WINDOWS, Computation, Feature

VOLATILITY_WINDOWS = (20, 100, 200)
ATR_MEMORY = 22  # windows


def volatility(close: np.ndarray, /, *, windows: tuple[int, ...]) -> dict[str, np.ndarray]:
    """Return the sample standard deviation of the last W log-returns."""
    lengths = np.array(windows)
    _, variance = window_moments(log_returns(close), lengths)
    unbiased = lengths / (lengths - 1)
    return {f"volatility_{w}": np.sqrt(variance[j] * unbiased[j]) for j, w in enumerate(windows)}


def average_true_range(
    high: np.ndarray, low: np.ndarray, close: np.ndarray, /, *, windows: tuple[int, ...]
) -> dict[str, np.ndarray]:
    """Return Wilder's average true range, in price and in percent of the close."""
    lengths = np.array(windows)
    atr = smoothed(true_range(high, low, close), lengths, 1 / lengths, 1)
    percent = 100 / close
    return {f"atr_{w}": atr[j] for j, w in enumerate(windows)} | {
        f"natr_{w}": atr[j] * percent for j, w in enumerate(windows)
    }


def bollinger(close: np.ndarray, /, *, windows: tuple[int, ...]) -> dict[str, np.ndarray]:
    """Return the distance from the moving average and the place within bands two deviations around it.

    Notes
    -----
    With m the mean and s the population deviation of the last W closes: sma_dist = (close - m) / m, percent_b =
    (close - (m - 2s)) / 4s, bandwidth = 4s / m.
    """
    offset, variance = window_moments(close, np.array(windows))
    columns = {}
    for j, w in enumerate(windows):
        mean = close + offset[j]
        width = 4 * np.sqrt(variance[j])
        columns[f"sma_dist_{w}"] = -offset[j] / mean
        columns[f"bb_bandwidth_{w}"] = width / mean
        with np.errstate(divide="ignore", invalid="ignore"):
            columns[f"bb_percent_b_{w}"] = 0.5 - offset[j] / width
    return columns


BANDS = Computation.kernel(bollinger, "close", windows=WINDOWS)
_VOLATILITY = Computation.kernel(volatility, "close", windows=VOLATILITY_WINDOWS)
_TRUE_RANGE = Computation.kernel(average_true_range, "high", "low", "close", windows=WINDOWS)

FEATURES = (
    *(
        Feature(
            name=f"volatility_{w}",
            family="volatility",
            unit="log-return",
            description=f"Standard deviation (ddof 1) of the last {w} log-returns.",
            oracle="pandas rolling std",
            undefined=f"first {w} rows",
            computation=_VOLATILITY,
            lookback=w,
        )
        for w in VOLATILITY_WINDOWS
    ),
    *(
        Feature(
            name=f"atr_{w}",
            family="volatility",
            unit="price",
            description=f"Average true range over {w} bars, smoothed after Wilder.",
            oracle="TA-Lib ATR",
            undefined=f"first {w} rows",
            computation=_TRUE_RANGE,
            memory=ATR_MEMORY * w,
        )
        for w in WINDOWS
    ),
    *(
        Feature(
            name=f"natr_{w}",
            family="volatility",
            unit="percent",
            description=f"atr_{w} in percent of the close.",
            oracle="TA-Lib NATR",
            undefined=f"first {w} rows",
            computation=_TRUE_RANGE,
            memory=ATR_MEMORY * w,
        )
        for w in WINDOWS
    ),
    *(
        Feature(
            name=f"bb_percent_b_{w}",
            family="volatility",
            unit="ratio",
            description=f"Place of the close between Bollinger bands ({w} bars, 2 population deviations): "
            "0 at the lower, 1 at the upper.",
            oracle="TA-Lib BBANDS",
            undefined=f"first {w - 1} rows; all {w} closes equal",
            computation=BANDS,
            lookback=w - 1,
        )
        for w in WINDOWS
    ),
    *(
        Feature(
            name=f"bb_bandwidth_{w}",
            family="volatility",
            unit="ratio",
            description=f"Distance between the Bollinger bands of {w} bars over their middle.",
            oracle="TA-Lib BBANDS",
            undefined=f"first {w - 1} rows",
            computation=BANDS,
            lookback=w - 1,
        )
        for w in WINDOWS
    ),
)
