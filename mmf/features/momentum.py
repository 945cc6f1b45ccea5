"""Momentum features: relative strength and rate of change."""

import numpy as np
import polars as pl

from mmf.features.kernels.smoothing import smoothed
from mmf.features.record import WINDOWS, Computation, Feature

RSI_MEMORY = 24  # windows


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


_STRENGTH = Computation.kernel(relative_strength, "close", windows=WINDOWS)
_CHANGE = Computation.expressions(rate_of_change, "close", windows=WINDOWS)

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
)
