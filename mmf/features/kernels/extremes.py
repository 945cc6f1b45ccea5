"""Retreat of the close from the highest high, over several trailing windows."""

import numpy as np
from numba import njit

BLOCK = 1_024  # rows taken together, so that the extremes stay in the first-level cache


@njit(cache=True, nogil=True, error_model="numpy")
def retreat(high: np.ndarray, low: np.ndarray, close: np.ndarray, windows: np.ndarray) -> np.ndarray:
    """(close - highest high) / (highest high - lowest low) of the last W bars.

    Parameters
    ----------
    high, low, close : np.ndarray
        (n,) float64 each.
    windows : np.ndarray
        (m,) int64, ascending.

    Returns
    -------
    np.ndarray
        (m, n) between -1 and 0 (close at the highest). NaN until W bars are there, and where the range is zero.

    Notes
    -----
    Two overlapping windows of p bars make one of up to 2p bars, since an extreme may be counted twice. Each window
    is made of two of the one before it, so it costs one comparison a row whatever its length, without a queue.
    """
    n = len(close)
    lead = windows[-1] - 1
    out = np.empty((len(windows), n))
    highest = np.empty(lead + BLOCK)  # of the window that begins at a row
    lowest = np.empty(lead + BLOCK)
    for start in range(0, n, BLOCK):
        latest = close[start : start + BLOCK]
        rows = lead + len(latest)
        for i in range(rows):
            row = max(start - lead + i, 0)
            highest[i] = high[row]
            lowest[i] = low[row]
        length = 1
        for j in range(len(windows)):
            while length < windows[j]:
                step = min(length, windows[j] - length)
                rows -= step
                later_highest = highest[step : step + rows]
                later_lowest = lowest[step : step + rows]
                for i in range(rows):
                    highest[i] = max(highest[i], later_highest[i])
                    lowest[i] = min(lowest[i], later_lowest[i])
                length += step
            top = highest[rows - len(latest) : rows]
            bottom = lowest[rows - len(latest) : rows]
            block = out[j, start : start + len(latest)]
            for b in range(len(latest)):
                block[b] = (latest[b] - top[b]) / (top[b] - bottom[b])
    for j in range(len(windows)):
        for t in range(min(windows[j] - 1, n)):
            out[j, t] = np.nan
    return out
