"""Convergence and divergence of two exponential means (MACD), seeded as TA-Lib seeds it."""

import numpy as np
from numba import njit


@njit(cache=True, nogil=True, error_model="numpy")
def convergence(close: np.ndarray, fast: int, slow: int, signal: int) -> np.ndarray:
    """Fast minus slow exponential mean, the exponential mean of that difference, and what is left of it.

    Parameters
    ----------
    close : np.ndarray
        (n,) float64.
    fast, slow, signal : int
        Windows in bars, fast < slow; alpha is 2 / (W + 1).

    Returns
    -------
    np.ndarray
        (3, n): difference, signal, difference - signal. NaN before row slow + signal - 2.

    Notes
    -----
    Both means are seeded at row slow - 1 with the plain mean of the last W closes, the signal with the plain mean of
    the first differences. What is carried is how far each mean lies behind its series, ``behind = (1 - alpha)
    (behind + change)``: the price level never enters, so a quiet series keeps its digits and a constant one gives 0.
    """
    n = len(close)
    out = np.empty((3, n))
    first = slow + signal - 2
    for t in range(min(first, n)):
        out[0, t] = out[1, t] = out[2, t] = np.nan
    if n <= first:
        return out
    keep_fast = 1.0 - 2.0 / (fast + 1)
    keep_slow = 1.0 - 2.0 / (slow + 1)
    keep_signal = 1.0 - 2.0 / (signal + 1)
    behind_fast = behind_slow = 0.0
    for k in range(1, slow):
        distance = close[slow - 1] - close[slow - 1 - k]
        behind_slow += distance / slow
        behind_fast += distance / fast if k < fast else 0.0
    difference = total = behind_slow - behind_fast
    # two loops: a test for the seed within one loop makes each row a half slower
    for t in range(slow, first + 1):
        change = close[t] - close[t - 1]
        behind_fast = keep_fast * (behind_fast + change)
        behind_slow = keep_slow * (behind_slow + change)
        difference = behind_slow - behind_fast
        total += difference
    rest = difference - total / signal
    out[0, first] = difference
    out[1, first] = difference - rest
    out[2, first] = rest
    for t in range(first + 1, n):
        change = close[t] - close[t - 1]
        behind_fast = keep_fast * (behind_fast + change)
        behind_slow = keep_slow * (behind_slow + change)
        before = difference
        difference = behind_slow - behind_fast
        rest = keep_signal * (rest + (difference - before))
        out[0, t] = difference
        out[1, t] = difference - rest
        out[2, t] = rest
    return out
