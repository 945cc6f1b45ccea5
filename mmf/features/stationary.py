"""Columns of `core` that drift with the level of price or volume, scaled by that level."""

from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from mmf.features import chaos, momentum, statistics, trend, volume
from mmf.features.kernels.window_sums import window_sums
from mmf.features.record import WINDOWS, Computation, Feature


def stationary(core: Iterable[Feature], /) -> tuple[Feature, ...]:
    """Return the features of a set in the same order, without those that drift; entropy_sigma follows.

    Parameters
    ----------
    core : iterable of Feature
        Features of `core`.

    Returns
    -------
    tuple of Feature
        A column that is an amount of price (macd, slope, rolling_std) stands in percent of the close in its old
        place, one that is an amount of volume (obv) as a share of the window's volume. Left out are atr, which natr
        has in percent already, and rolling_mean, whose distance from the close is zscore times rolling_std_pct.

    Notes
    -----
    An amount grows with the price: what a learner finds at 10,000 means nothing at 100,000, and trees split on the
    year. Volume drifts as prices do (with listing age, price and fees), so obv is scaled too; cmf and mfi are shares
    from the start.
    """
    kept = (_SCALED.get(feature.name, feature) for feature in core if feature.name not in _LEFT_OUT)
    return (*kept, *chaos.EXTRA_FEATURES)


def convergence_percent(close: np.ndarray, /, *, fast: int, slow: int, signal: int) -> dict[str, np.ndarray]:
    """Return MACD, its signal and its histogram in percent of the close."""
    columns = momentum.moving_averages(close, fast=fast, slow=slow, signal=signal)
    return {f"{name}_pct": 100 * values / close for name, values in columns.items()}


def slope_percent(close: np.ndarray, /, *, windows: tuple[int, ...]) -> dict[str, np.ndarray]:
    """Return the slope of the last W closes in percent of the latest."""
    columns = trend.slope(close, windows=windows)
    return {f"slope_pct_{w}": 100 * columns[f"slope_{w}"] / close for w in windows}


def deviation_percent(close: np.ndarray, /, *, windows: tuple[int, ...]) -> dict[str, np.ndarray]:
    """Return the standard deviation of the last W closes in percent of the latest."""
    columns = statistics.rolling_statistics(close, windows=windows)
    return {f"rolling_std_pct_{w}": 100 * columns[f"rolling_std_{w}"] / close for w in windows}


def signed_share(close: np.ndarray, traded: np.ndarray, /, *, windows: tuple[int, ...]) -> dict[str, np.ndarray]:
    """Return the signed volume of the last W bars over their volume, from -1 to 1."""
    signed = volume.signed_volume(close, traded, windows=windows)
    total = window_sums(traded, windows=windows)
    with np.errstate(invalid="ignore"):
        return {f"obv_share_{w}": signed[f"obv_{w}"] / total[j] for j, w in enumerate(windows)}


# ------------------------------------------------------------------------------------

_CORE = {f.name: f for f in (*momentum.FEATURES, *trend.FEATURES, *statistics.FEATURES, *volume.FEATURES)}
_LEFT_OUT = frozenset([*(f"atr_{w}" for w in WINDOWS), *(f"rolling_mean_{w}" for w in statistics.STATISTICS_WINDOWS)])

_CONVERGENCE = Computation.kernel(
    convergence_percent, "close", fast=momentum.FAST, slow=momentum.SLOW, signal=momentum.SIGNAL
)
_SLOPE = Computation.kernel(slope_percent, "close", windows=trend.SLOPE_WINDOWS)
_DEVIATION = Computation.kernel(deviation_percent, "close", windows=statistics.STATISTICS_WINDOWS)
_SHARE = Computation.kernel(signed_share, "close", "volume", windows=volume.SIGNED_WINDOWS)


def _in_percent(column: str, name: str, computation: Computation) -> Feature:
    return replace(
        _CORE[column],
        name=name,
        unit="percent",
        description=f"{column} in percent of the close.",
        oracle=f"{_CORE[column].oracle}, over the close",
        computation=computation,
    )


def _as_share(window: int) -> Feature:
    obv = _CORE[f"obv_{window}"]
    return replace(
        obv,
        name=f"obv_share_{window}",
        unit="-1..1",
        description=f"obv_{window} over the volume of its {window} bars.",
        oracle=f"{obv.oracle}, over pandas rolling sums",
        undefined=f"{obv.undefined}; no volume in {window} bars",
        computation=_SHARE,
    )


_SCALED = {
    **{name: _in_percent(name, f"{name}_pct", _CONVERGENCE) for name in ("macd", "macd_signal", "macd_hist")},
    **{f"slope_{w}": _in_percent(f"slope_{w}", f"slope_pct_{w}", _SLOPE) for w in trend.SLOPE_WINDOWS},
    **{f"obv_{w}": _as_share(w) for w in volume.SIGNED_WINDOWS},
    **{
        f"rolling_std_{w}": _in_percent(f"rolling_std_{w}", f"rolling_std_pct_{w}", _DEVIATION)
        for w in statistics.STATISTICS_WINDOWS
    },
}
FEATURES_SCALED = tuple(_SCALED.values())
