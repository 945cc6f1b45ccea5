"""Distance of a value from the mean of its window, in mean absolute deviations."""

import numpy as np
from numba import njit

BLOCK = 256  # rows walked together: the sums stay in the first-level cache, and the inner loops vectorise
ROUNDING = 2.0**-50  # of the value: a smaller mean deviation is the rounding of (high + low + close) / 3


@njit(cache=True, nogil=True, error_model="numpy")
def mean_deviations(values: np.ndarray, windows: np.ndarray) -> np.ndarray:
    """(latest - mean) / mean absolute deviation of the last W values.

    Parameters
    ----------
    values : np.ndarray
        (n,) float64, positive.
    windows : np.ndarray
        (m,) int64, ascending.

    Returns
    -------
    np.ndarray
        (m, n). NaN until W values are there, and where they are equal but for rounding.

    Notes
    -----
    The mean is summed from distances to the latest value in one walk back that all windows share. The deviations
    need that mean, so each window walks once more. Both orders are fixed: a row's bits depend on its window only.
    """
    n = len(values)
    longest = windows[-1]
    padded = np.full(longest - 1 + n, np.nan)
    for i in range(n):
        padded[longest - 1 + i] = values[i]
    out = np.empty((len(windows), n))
    total = np.empty(BLOCK)
    centre = np.empty(BLOCK)
    spread = np.empty(BLOCK)
    for start in range(0, n, BLOCK):
        latest = values[start : start + BLOCK]
        size = len(latest)
        for b in range(size):
            total[b] = 0.0
        back = 1
        for j in range(len(windows)):
            for k in range(back, windows[j]):
                first = longest - 1 + start - k
                earlier = padded[first : first + size]
                for b in range(size):
                    total[b] += earlier[b] - latest[b]
            back = windows[j]
            for b in range(size):
                centre[b] = latest[b] + total[b] / back
            _sum_deviations(padded, longest - 1 + start, back, centre, spread)
            for b in range(size):
                is_still = spread[b] <= back * ROUNDING * latest[b]
                out[j, start + b] = np.nan if is_still else -total[b] / spread[b]
    return out


# ------------------------------------------------------------------------------------


@njit(cache=True, nogil=True, error_model="numpy")
def _sum_deviations(values: np.ndarray, place: int, window: int, centre: np.ndarray, spread: np.ndarray) -> None:
    """Sum |value - centre| over the windows that end at `place` and at the rows after it."""
    for b in range(len(spread)):
        spread[b] = 0.0
    for k in range(window):
        earlier = values[place - k : place - k + len(spread)]
        for b in range(len(earlier)):
            spread[b] += abs(earlier[b] - centre[b])
