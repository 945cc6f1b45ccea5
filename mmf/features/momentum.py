"""Momentum features: relative strength, rate of change, place within the range, money flow and MACD."""

import numpy as np
import polars as pl

from mmf.features.kernels.convergence import convergence
from mmf.features.kernels.deviation import mean_deviations
from mmf.features.kernels.extremes import retreat
from mmf.features.kernels.flow import rising_share
from mmf.features.kernels.smoothing import smoothed
from mmf.features.record import WINDOWS, Computation, Feature

FLOW_WINDOWS = tuple(w for w in WINDOWS if w < 50)
FAST, SLOW, SIGNAL = 12, 26, 9
RSI_MEMORY = 24  # windows
MACD_MEMORY = 400


def relative_strength(close: np.ndarray, /, *, windows: tuple[int, ...]) -> dict[str, np.ndarray]:
    """Return Wilder's relative strength index."""
    lengths = np.array(windows)
    change = np.diff(close, prepend=np.nan)
    gain = smoothed(np.maximum(change, 0.0), lengths, 1 / lengths, 1)
    loss = smoothed(np.maximum(-change, 0.0), lengths, 1 / lengths, 1)
    columns = {}
    for j, w in enumerate(windows):
        with np.errstate(invalid="ignore"):
            columns[f"rsi_{w}"] = 100 * (gain[j] / (gain[j] + loss[j]))
    return columns


def rate_of_change(*, windows: tuple[int, ...]) -> dict[str, pl.Expr]:
    """Return the change of the close over W bars in percent."""
    close = pl.col("close")
    return {f"roc_{w}": 100 * (close / close.shift(w) - 1) for w in windows}


def williams(
    high: np.ndarray, low: np.ndarray, close: np.ndarray, /, *, windows: tuple[int, ...]
) -> dict[str, np.ndarray]:
    """Return Williams' percent range: 0 where the close is the highest of W bars, -100 where it is the lowest."""
    percent = 100 * retreat(high, low, close, np.array(windows))
    return {f"willr_{w}": percent[j] for j, w in enumerate(windows)}


def commodity_channel(
    high: np.ndarray, low: np.ndarray, close: np.ndarray, /, *, windows: tuple[int, ...]
) -> dict[str, np.ndarray]:
    """Return Lambert's commodity channel index of the typical price."""
    index = mean_deviations(typical_price(high, low, close), np.array(windows)) / 0.015
    return {f"cci_{w}": index[j] for j, w in enumerate(windows)}


def money_flow(
    high: np.ndarray, low: np.ndarray, close: np.ndarray, volume: np.ndarray, /, *, windows: tuple[int, ...]
) -> dict[str, np.ndarray]:
    """Return the share of money (typical price times volume) that flowed while the typical price rose, in percent."""
    percent = 100 * rising_share(typical_price(high, low, close), volume, np.array(windows))
    return {f"mfi_{w}": percent[j] for j, w in enumerate(windows)}


def moving_averages(close: np.ndarray, /, *, fast: int, slow: int, signal: int) -> dict[str, np.ndarray]:
    """Return the difference of two exponential means, its own exponential mean, and the histogram."""
    return dict(zip(("macd", "macd_signal", "macd_hist"), convergence(close, fast, slow, signal), strict=True))


def typical_price(high: np.ndarray, low: np.ndarray, close: np.ndarray, /) -> np.ndarray:
    """Mean of high, low and close; equal sums may differ in the last bits, which the kernels take for equal."""
    return (high + low + close) / 3


_STRENGTH = Computation.kernel(relative_strength, "close", windows=WINDOWS)
_CHANGE = Computation.expressions(rate_of_change, "close", windows=WINDOWS)
_RANGE = Computation.kernel(williams, "high", "low", "close", windows=WINDOWS)
_CHANNEL = Computation.kernel(commodity_channel, "high", "low", "close", windows=WINDOWS)
_FLOW = Computation.kernel(money_flow, "high", "low", "close", "volume", windows=FLOW_WINDOWS)
_CONVERGENCE = Computation.kernel(moving_averages, "close", fast=FAST, slow=SLOW, signal=SIGNAL)

_CONVERGENCE_DESCRIPTIONS = {
    "macd": f"Exponential mean of {FAST} closes less that of {SLOW}.",
    "macd_signal": f"Exponential mean of {SIGNAL} values of macd.",
    "macd_hist": "macd less macd_signal.",
}

FEATURES = (
    *(
        Feature(
            name=f"rsi_{w}",
            family="momentum",
            unit="0..100",
            description=f"Relative strength index over {w} changes of the close, smoothed after Wilder.",
            oracle="TA-Lib RSI",
            undefined=f"first {w} rows; no change of the close since the first bar read",
            computation=_STRENGTH,
            memory=RSI_MEMORY * w,
        )
        for w in WINDOWS
    ),
    *(
        Feature(
            name=f"roc_{w}",
            family="momentum",
            unit="percent",
            description=f"Change of the close over {w} bars, in percent of the earlier one.",
            oracle="TA-Lib ROC",
            undefined=f"first {w} rows",
            computation=_CHANGE,
            lookback=w,
        )
        for w in WINDOWS
    ),
    *(
        Feature(
            name=f"willr_{w}",
            family="momentum",
            unit="-100..0",
            description=f"Williams %R: place of the close between the lowest low and the highest high of {w} bars.",
            oracle="TA-Lib WILLR",
            undefined=f"first {w - 1} rows; all {w} bars at one price (TA-Lib: 0)",
            computation=_RANGE,
            lookback=w - 1,
        )
        for w in WINDOWS
    ),
    *(
        Feature(
            name=f"cci_{w}",
            family="momentum",
            unit="mean deviations / 0.015",
            description=f"Commodity channel index: typical price less its mean of {w} bars, in mean deviations.",
            oracle="TA-Lib CCI",
            undefined=f"first {w - 1} rows; all {w} typical prices equal but for rounding (TA-Lib: 0)",
            computation=_CHANNEL,
            lookback=w - 1,
        )
        for w in WINDOWS
    ),
    *(
        Feature(
            name=f"mfi_{w}",
            family="momentum",
            unit="0..100",
            description=f"Money flow index: share of the turnover of {w} bars that came with a rising typical price.",
            oracle="TA-Lib MFI",
            undefined=f"first {w} rows; no volume in those of {w} bars whose typical price changed by more than "
            "rounding (TA-Lib: 0)",
            computation=_FLOW,
            lookback=w,
        )
        for w in FLOW_WINDOWS
    ),
    *(
        Feature(
            name=name,
            family="momentum",
            unit="price",
            description=description,
            oracle="TA-Lib MACD",
            undefined=f"first {SLOW + SIGNAL - 2} rows",
            computation=_CONVERGENCE,
            memory=MACD_MEMORY,
        )
        for name, description in _CONVERGENCE_DESCRIPTIONS.items()
    ),
)
