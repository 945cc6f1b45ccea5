"""Slow twins of the momentum and trend kernels: one window at a time, or one loop of Wilder's own words."""

import numpy as np


def retreat(high: np.ndarray, low: np.ndarray, close: np.ndarray) -> float:
    """Close below the highest high of one window, over its range; NaN where that is zero."""
    span = max(high) - min(low)
    return (close[-1] - max(high)) / span if span > 0 else np.nan


def mean_deviations(values: np.ndarray) -> float:
    """Latest value less the mean of one window, in mean absolute deviations; NaN where they are rounding."""
    exact = values.astype(np.longdouble)
    mean = exact.sum() / len(values)
    deviation = np.abs(exact - mean).sum() / len(values)
    return float((exact[-1] - mean) / deviation) if deviation > 2.0**-50 * values[-1] else np.nan


def rising_share(price: np.ndarray, volume: np.ndarray) -> float:
    """Flow with a rising price over flow with a moving price; the first bar of the arrays is the one before."""
    rising = moving = 0.0
    for i in range(1, len(price)):
        change = price[i] / price[i - 1] - 1
        moving += price[i] * volume[i] if abs(change) > 1e-15 else 0.0
        rising += price[i] * volume[i] if change > 1e-15 else 0.0
    return rising / moving if moving > 0 else np.nan


def slope(values: np.ndarray) -> float:
    """Least-squares slope of one window in long double."""
    k = np.arange(len(values), dtype=np.longdouble) - (len(values) - 1) / 2
    return float(k @ values.astype(np.longdouble) / (k @ k))


def exponential_mean(values: np.ndarray, window: int, *, first: int) -> np.ndarray:
    """Mean with alpha 2 / (W + 1), seeded with the plain mean of the W values from row `first` on."""
    out = np.full(len(values), np.nan)
    for t in range(first + window - 1, len(values)):
        before = values[first : first + window].mean() if t == first + window - 1 else out[t - 1]
        out[t] = before if t == first + window - 1 else before + 2 / (window + 1) * (values[t] - before)
    return out


def convergence(close: np.ndarray, fast: int, slow: int, signal: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Difference of two exponential means that begin at the same row, its own mean, and the rest."""
    difference = exponential_mean(close, fast, first=slow - fast) - exponential_mean(close, slow, first=0)
    mean = exponential_mean(difference, signal, first=slow - 1)
    difference[: slow + signal - 2] = np.nan
    return difference, mean, difference - mean


def directional_movement(
    high: np.ndarray, low: np.ndarray, close: np.ndarray, window: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Average directional index and both indicators as shares, from Wilder's three sums."""
    n = len(close)
    adx, plus, minus = (np.full(n, np.nan) for _ in range(3))
    sums = np.zeros(3)
    indices: list[float] = []
    mean = 0.0
    for t in range(1, n):
        rise, fall = high[t] - high[t - 1], low[t - 1] - low[t]
        reach = max(high[t] - low[t], abs(high[t] - close[t - 1]), abs(low[t] - close[t - 1]))
        bar = np.array([rise * (rise > fall and rise > 0), fall * (fall > rise and fall > 0), reach])
        sums = sums + bar if t < window else sums - sums / window + bar
        if t < window or sums[2] == 0:
            continue
        plus[t], minus[t] = sums[:2] / sums[2]
        if sums[0] + sums[1] == 0:
            continue
        index = abs(sums[0] - sums[1]) / (sums[0] + sums[1])
        if t < 2 * window:
            indices.append(index)
            mean = sum(indices) / window
        else:
            mean = (mean * (window - 1) + index) / window
        if t >= 2 * window - 1:
            adx[t] = mean
    return adx, plus, minus
