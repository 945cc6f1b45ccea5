"""Exponential smoothing of one series with several windows in one pass, seeded as TA-Lib seeds it."""

import numpy as np
from numba import njit


@njit(cache=True, nogil=True, error_model="numpy")
def smoothed(values: np.ndarray, windows: np.ndarray, alphas: np.ndarray, first: int) -> np.ndarray:
    """Recursive mean ``s += alpha (value - s)``, seeded with the plain mean of the first W values.

    Parameters
    ----------
    values : np.ndarray
        (n,) float64.
    windows : np.ndarray
        (m,) int64, count of values that make the seed.
    alphas : np.ndarray
        (m,) float64: 2 / (W + 1) for an EMA, 1 / W after Wilder.
    first : int
        Place of the first value to use; 1 for differences, whose row 0 is undefined.

    Returns
    -------
    np.ndarray
        (m, n); NaN before row first + W - 1, where the seed stands.
    """
    n = len(values)
    out = np.full((len(windows), n), np.nan)
    state = np.zeros(len(windows))
    for t in range(first, n):
        value = values[t]
        seen = t - first + 1
        for j in range(len(windows)):
            if seen > windows[j]:
                state[j] += alphas[j] * (value - state[j])
                out[j, t] = state[j]
            else:
                state[j] += value
                if seen == windows[j]:
                    state[j] /= windows[j]
                    out[j, t] = state[j]
    return out


@njit(cache=True, nogil=True, error_model="numpy")
def true_range(high: np.ndarray, low: np.ndarray, close: np.ndarray) -> np.ndarray:
    """Range of a bar and the close before it; (n,), NaN in row 0."""
    out = np.full(len(close), np.nan)
    for t in range(1, len(close)):
        out[t] = max(high[t], close[t - 1]) - min(low[t], close[t - 1])
    return out
