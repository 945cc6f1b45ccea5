"""Slow twins of the volume and statistics kernels: one window at a time, in exact arithmetic."""

import math
from fractions import Fraction

import numpy as np


def shape(values: np.ndarray) -> tuple[float, float, float, float]:
    """Mean less the latest value, deviation (ddof 1), skewness G1 and excess kurtosis G2 of one window.

    The sums are fractions, so that they are exact; the shape of a constant window is NaN.
    """
    exact = [Fraction(value) for value in values.tolist()]
    n = len(exact)
    mean = sum(exact) / n
    squares, cubes, fourths = (sum((value - mean) ** power for value in exact) for power in (2, 3, 4))
    deviation = math.sqrt(squares / (n - 1))
    if squares == 0:
        return 0.0, 0.0, math.nan, math.nan
    skewness = n * math.sqrt(n - 1) / (n - 2) * math.copysign(math.sqrt(cubes**2 / squares**3), cubes)
    excess = Fraction(n - 1, (n - 2) * (n - 3)) * (n * (n + 1) * fourths / squares**2 - 3 * (n - 1))
    return float(mean - exact[-1]), deviation, skewness, float(excess)


def money_flow(high: np.ndarray, low: np.ndarray, close: np.ndarray, volume: np.ndarray) -> float:
    """Chaikin money flow of one window, exact; NaN without volume."""
    flow = total = Fraction(0)
    for bar in zip(high.tolist(), low.tolist(), close.tolist(), volume.tolist(), strict=True):
        top, bottom, last, traded = map(Fraction, bar)
        total += traded
        if top > bottom:
            flow += traded * (2 * last - top - bottom) / (top - bottom)
    return float(flow / total) if total else math.nan


def signed_volume(close: np.ndarray, volume: np.ndarray) -> float:
    """Volume of one window, signed as the change of the close; the first bar of the arrays is the one before."""
    return math.fsum(np.sign(np.diff(close)) * volume[1:])
