"""Least-squares slope over several trailing windows."""

import numpy as np
from numba import njit

BLOCK = 512  # rows taken together, so that the sums stay in the caches next to the core


@njit(cache=True, nogil=True, error_model="numpy")
def window_slopes(values: np.ndarray, windows: np.ndarray) -> np.ndarray:
    """Slope of the least-squares line through the last W values, per row.

    Parameters
    ----------
    values : np.ndarray
        (n,) float64.
    windows : np.ndarray
        (m,) int64, ascending, each above 1.

    Returns
    -------
    np.ndarray
        (m, n); exactly 0 for a constant window. NaN until W values are there.

    Notes
    -----
    The slope is a multiple of ``sum (k - middle) x_k``. This moment and the sum of distances from the first value
    of p + q rows follow from those of the first p and of the next q rows, so 2, 4, 8 ... rows make any window in a
    few additions. No level of price enters, no running sum drifts, and a row's bits depend on its window only.
    """
    n = len(values)
    lead = windows[-1] - 1
    levels = 1
    while 2**levels <= windows[-1]:
        levels += 1
    x = np.empty(lead + BLOCK)
    total = np.zeros((levels, lead + BLOCK))  # of the 1, 2, 4 ... rows that begin at a row
    moment = np.zeros((levels, lead + BLOCK))
    out = np.empty((len(windows), n))
    for start in range(0, n, BLOCK):
        size = min(BLOCK, n - start)
        for i in range(lead + size):
            row = start - lead + i
            x[i] = values[row] if row >= 0 else np.nan
        for level in range(1, levels):
            _double(x, total, moment, level, lead + size)
        for j in range(len(windows)):
            _compose(x, total, moment, windows[j], out[j, start : start + size])
    return out


# ------------------------------------------------------------------------------------


@njit(cache=True, nogil=True, error_model="numpy")
def _double(x: np.ndarray, total: np.ndarray, moment: np.ndarray, level: int, n_rows: int) -> None:
    """Sums over 2 p rows from those over p rows, p = 2^(level - 1)."""
    p = 2 ** (level - 1)
    later_x = x[p : n_rows + 1 - p]
    older_total, later_total = total[level - 1], total[level - 1, p:]
    older_moment, later_moment = moment[level - 1], moment[level - 1, p:]
    for i in range(n_rows + 1 - 2 * p):
        gained = later_total[i] + p * (later_x[i] - x[i])
        total[level, i] = older_total[i] + gained
        moment[level, i] = older_moment[i] + later_moment[i] + 0.5 * p * (gained - older_total[i])


@njit(cache=True, nogil=True, error_model="numpy")
def _compose(x: np.ndarray, total: np.ndarray, moment: np.ndarray, window: int, out: np.ndarray) -> None:
    """Slopes of the windows that end at the rows of a block, from the powers of two that make their length."""
    first = len(x) - BLOCK + 1 - window
    oldest = x[first : first + len(out)]
    own_total = np.zeros(len(out))
    for b in range(len(out)):
        out[b] = 0.0
    p = 0
    for level in range(len(total)):
        q = 2**level
        if window & q:
            at = first + p
            next_x = x[at : at + len(out)]
            next_total = total[level, at : at + len(out)]
            next_moment = moment[level, at : at + len(out)]
            for b in range(len(out)):
                gained = next_total[b] + q * (next_x[b] - oldest[b])
                out[b] += next_moment[b] + 0.5 * (p * gained - q * own_total[b])
                own_total[b] += gained
            p += q
    scale = 12.0 / (window * (window * window - 1.0))
    for b in range(len(out)):
        out[b] *= scale
