"""Trend features: distance of the close from its moving averages."""

import numpy as np

from mmf.features.kernels.smoothing import smoothed
from mmf.features.record import WINDOWS, Computation, Feature
from mmf.features.volatility import BANDS

EMA_MEMORY = 12  # windows


def exponential_distance(close: np.ndarray, /, *, windows: tuple[int, ...]) -> dict[str, np.ndarray]:
    """Return the distance of the close from its exponential mean, over that mean."""
    lengths = np.array(windows)
    mean = smoothed(close, lengths, 2 / (lengths + 1), 0)
    return {f"ema_dist_{w}": (close - mean[j]) / mean[j] for j, w in enumerate(windows)}


_DISTANCE = Computation.kernel(exponential_distance, "close", windows=WINDOWS)

FEATURES = (
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
)
