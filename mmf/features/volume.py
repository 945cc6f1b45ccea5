"""Volume features: money flow and signed volume over a window."""

import numpy as np

from mmf.features.kernels.window_sums import window_sums
from mmf.features.record import Computation, Feature

FLOW_WINDOWS = (20,)
SIGNED_WINDOWS = (20, 100, 200)


def chaikin_money_flow(
    high: np.ndarray, low: np.ndarray, close: np.ndarray, volume: np.ndarray, /, *, windows: tuple[int, ...]
) -> dict[str, np.ndarray]:
    """Return the volume of the last W bars, weighted by where each closed in its range, over their volume.

    Notes
    -----
    A bar weighs ((close - low) - (high - close)) / (high - low), from -1 at its low to 1 at its high; a flat bar
    (high = low) weighs 0.
    """
    span = high - low
    lean = (close - low) - (high - close)
    weight = np.divide(lean, span, out=np.zeros_like(span), where=span > 0)
    flow = window_sums(weight * volume, windows=windows)
    total = window_sums(volume, windows=windows)
    with np.errstate(invalid="ignore"):
        return {f"cmf_{w}": flow[j] / total[j] for j, w in enumerate(windows)}


def signed_volume(close: np.ndarray, volume: np.ndarray, /, *, windows: tuple[int, ...]) -> dict[str, np.ndarray]:
    """Return the volume of the last W bars, each signed as its change of the close; on-balance volume in a window."""
    change = np.diff(close, prepend=np.nan)
    total = window_sums(np.sign(change) * volume, windows=windows)
    return {f"obv_{w}": total[j] for j, w in enumerate(windows)}


_FLOW = Computation.kernel(chaikin_money_flow, "high", "low", "close", "volume", windows=FLOW_WINDOWS)
_SIGNED = Computation.kernel(signed_volume, "close", "volume", windows=SIGNED_WINDOWS)

FEATURES = (
    *(
        Feature(
            name=f"cmf_{w}",
            family="volume",
            unit="-1..1",
            description=f"Chaikin money flow: volume of the last {w} bars weighted by the place of the close in the "
            "bar's range, over their volume; a flat bar weighs 0.",
            oracle="pandas rolling sums",
            undefined=f"first {w - 1} rows; no volume in {w} bars",
            computation=_FLOW,
            lookback=w - 1,
        )
        for w in FLOW_WINDOWS
    ),
    *(
        Feature(
            name=f"obv_{w}",
            family="volume",
            unit="volume",
            description=f"On-balance volume of the last {w} bars: their volume, signed as the change of the close.",
            oracle="TA-Lib OBV, differences",
            undefined=f"first {w} rows",
            computation=_SIGNED,
            lookback=w,
        )
        for w in SIGNED_WINDOWS
    ),
)
