"""Mean and variance over several trailing windows in one walk back from each row."""

import numpy as np
from numba import njit

BLOCK = 256  # rows walked together: the sums stay in the first-level cache, and the inner loop vectorises


@njit(cache=True, nogil=True, error_model="numpy")
def window_moments(values: np.ndarray, windows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean (as a distance from the latest value) and population variance of the last W values.

    Parameters
    ----------
    values : np.ndarray
        (n,) float64.
    windows : np.ndarray
        (m,) int64, ascending.

    Returns
    -------
    offset : np.ndarray
        (m, n) mean of the window minus its latest value.
    variance : np.ndarray
        (m, n) mean squared deviation; exactly 0 for a constant window.
        Both are NaN where the window is incomplete or holds a NaN.

    Notes
    -----
    The sums are of distances from the latest value. A value lies at most sqrt(W - 1) deviations from the mean of
    its own window, so ``E[d^2] - E[d]^2`` loses at most a factor W: no cancellation, whatever the price level.
    Each row sums anew in a fixed order, which costs less than it seems (the walk is shared by all windows) and
    keeps a row's bits independent of where the array begins.
    """
    n = len(values)
    longest = windows[-1]
    padded = np.full(longest - 1 + n, np.nan)
    for i in range(n):
        padded[longest - 1 + i] = values[i]
    offset = np.empty((len(windows), n))
    variance = np.empty((len(windows), n))
    total = np.empty(BLOCK)
    squares = np.empty(BLOCK)
    for start in range(0, n, BLOCK):
        latest = values[start : start + BLOCK]
        size = len(latest)
        for b in range(size):
            total[b] = 0.0
            squares[b] = 0.0
        back = 1
        for j in range(len(windows)):
            for k in range(back, windows[j]):
                first = longest - 1 + start - k
                earlier = padded[first : first + size]
                for b in range(size):
                    d = earlier[b] - latest[b]
                    total[b] += d
                    squares[b] += d * d
            back = windows[j]
            for b in range(size):
                mean = total[b] / back
                spread = squares[b] / back - mean * mean
                offset[j, start + b] = mean
                variance[j, start + b] = max(spread, 0.0)
    return offset, variance
