"""Trend features: directional movement, distance of the close from its moving averages, and slope."""

import numpy as np

from mmf.features.kernels.directional import directional_movement
from mmf.features.kernels.regression import window_slopes
from mmf.features.kernels.smoothing import smoothed
from mmf.features.record import LEAD_BARS, WINDOWS, Computation, Feature
from mmf.features.volatility import BANDS

SLOPE_WINDOWS = (20, 24, 50, 100)
ADX_MEMORY = 27  # windows; the longest one measures 25 and has all that a chunk reads
DI_MEMORY = 25  # windows
EMA_MEMORY = 12  # windows


def directional(
    high: np.ndarray, low: np.ndarray, close: np.ndarray, /, *, windows: tuple[int, ...]
) -> dict[str, np.ndarray]:
    """Return Wilder's average directional index and both directional indicators in percent."""
    shares = directional_movement(high, low, close, np.array(windows))
    columns = {}
    for stem, share in zip(("adx", "plus_di", "minus_di"), shares, strict=True):
        percent = 100 * share
        columns |= {f"{stem}_{w}": percent[j] for j, w in enumerate(windows)}
    return columns


def exponential_distance(close: np.ndarray, /, *, windows: tuple[int, ...]) -> dict[str, np.ndarray]:
    """Return the distance of the close from its exponential mean, over that mean."""
    lengths = np.array(windows)
    mean = smoothed(close, lengths, 2 / (lengths + 1), 0)
    return {f"ema_dist_{w}": (close - mean[j]) / mean[j] for j, w in enumerate(windows)}


def slope(close: np.ndarray, /, *, windows: tuple[int, ...]) -> dict[str, np.ndarray]:
    """Return the least-squares slope of the last W closes."""
    slopes = window_slopes(close, np.array(windows))
    return {f"slope_{w}": slopes[j] for j, w in enumerate(windows)}


_DIRECTIONAL = Computation.kernel(directional, "high", "low", "close", windows=WINDOWS)
_DISTANCE = Computation.kernel(exponential_distance, "close", windows=WINDOWS)
_SLOPE = Computation.kernel(slope, "close", windows=SLOPE_WINDOWS)

FEATURES = (
    *(
        Feature(
            name=f"adx_{w}",
            family="trend",
            unit="0..100",
            description=f"Average directional index over {w} bars: distance of both directional indicators over their "
            "sum, smoothed after Wilder.",
            oracle="TA-Lib ADX",
            undefined=f"first {2 * w - 1} rows; both directional indicators of the row undefined or zero (TA-Lib: "
            "the value before)",
            computation=_DIRECTIONAL,
            memory=min(ADX_MEMORY * w, LEAD_BARS),
        )
        for w in WINDOWS
    ),
    *(
        Feature(
            name=f"{side}_di_{w}",
            family="trend",
            unit="0..100",
            description=f"Directional indicator over {w} bars: {way} movement over true range, both smoothed after "
            "Wilder.",
            oracle=f"TA-Lib {side.upper()}_DI",
            undefined=f"first {w} rows; no true range since the first bar read, or all of it faded (TA-Lib: 0)",
            computation=_DIRECTIONAL,
            memory=DI_MEMORY * w,
        )
        for side, way in (("plus", "up"), ("minus", "down"))
        for w in WINDOWS
    ),
    *(
        Feature(
            name=f"sma_dist_{w}",
            family="trend",
            unit="ratio",
            description=f"(close - mean) / mean, with the mean of the last {w} closes.",
            oracle="TA-Lib SMA",
            undefined=f"first {w - 1} rows",
            computation=BANDS,
            lookback=w - 1,
        )
        for w in WINDOWS
    ),
    *(
        Feature(
            name=f"ema_dist_{w}",
            family="trend",
            unit="ratio",
            description=f"(close - mean) / mean, with the exponential mean of {w} bars (alpha 2 / (W + 1)).",
            oracle="TA-Lib EMA",
            undefined=f"first {w - 1} rows",
            computation=_DISTANCE,
            memory=EMA_MEMORY * w,
        )
        for w in WINDOWS
    ),
    *(
        Feature(
            name=f"slope_{w}",
            family="trend",
            unit="price per bar",
            description=f"Slope of the least-squares line through the last {w} closes.",
            oracle="TA-Lib LINEARREG_SLOPE",
            undefined=f"first {w - 1} rows",
            computation=_SLOPE,
            lookback=w - 1,
        )
        for w in SLOPE_WINDOWS
    ),
)
