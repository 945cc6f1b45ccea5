"""Shannon entropy of a sliding histogram whose edges follow the window's own range."""

import numpy as np
from numba import njit

from mmf.features.kernels.logarithm import ROUNDING

BINS = 50
FIXED_POINT = 2.0**40


def sliding_entropy(returns: np.ndarray, /, *, windows: tuple[int, ...]) -> np.ndarray:
    """Shannon entropy of the last W log-returns in 50 equal bins between their min and max, over ln 50.

    Parameters
    ----------
    returns : np.ndarray
        (n,) float64; NaN where undefined.
    windows : tuple of int
        Window lengths.

    Returns
    -------
    np.ndarray
        (len(windows), n) between 0 and 1. NaN until W returns are there, and for a constant window.

    Notes
    -----
    The bins are those of ``numpy.histogram(window, 50)``: half-open, the last one closed. While the window's range
    stays, one return enters a bin and one leaves; only a new minimum or maximum fills the histogram anew. The sum of
    c ln c over the counts is kept in integers, so sliding and filling anew agree to the last bit.
    """
    out = np.empty((len(windows), len(returns)))
    counts = np.arange(max(windows) + 1)
    table = np.rint(counts * np.log(np.maximum(counts, 1)) * FIXED_POINT).astype(np.int64)
    for j, window in enumerate(windows):
        _slide(returns, window, table, out[j])
    return out


# ------------------------------------------------------------------------------------


@njit(cache=True, nogil=True, error_model="numpy")
def _slide(returns: np.ndarray, window: int, table: np.ndarray, out: np.ndarray) -> None:
    n = len(returns)
    for t in range(n):
        out[t] = np.nan
    first = 0  # NaN returns come before the first defined one
    while first < n and np.isnan(returns[first]):
        first += 1
    count = np.zeros(BINS, np.int64)
    place = np.zeros(n, np.int64)  # bin of each return under the present edges
    edges = np.zeros(BINS + 1)
    total = 0
    for t in range(first + window - 1, n):
        gone = t - window
        is_inside = edges[0] < returns[t] < edges[BINS]
        if is_inside and gone >= first and edges[0] < returns[gone] < edges[BINS]:
            leaves = place[gone]
            total += table[count[leaves] - 1] - table[count[leaves]]
            count[leaves] -= 1
            place[t] = enters = _bin(returns[t], edges)
            total += table[count[enters] + 1] - table[count[enters]]
            count[enters] += 1
        else:
            _fit_edges(returns[gone + 1 : t + 1], edges)
            total = _fill(returns[gone + 1 : t + 1], edges, table, count, place[gone + 1 : t + 1])
        if edges[BINS] - edges[0] > ROUNDING:
            out[t] = (np.log(window) - total / FIXED_POINT / window) / np.log(BINS)


@njit(cache=True, nogil=True, error_model="numpy")
def _fit_edges(returns: np.ndarray, edges: np.ndarray) -> None:
    """Set 51 equal edges from the smallest to the largest return."""
    low = high = returns[0]
    for value in returns:
        low = min(low, value)
        high = max(high, value)
    step = (high - low) / BINS
    for k in range(BINS):
        edges[k] = k * step + low
    edges[BINS] = high


@njit(cache=True, nogil=True, error_model="numpy")
def _fill(returns: np.ndarray, edges: np.ndarray, table: np.ndarray, count: np.ndarray, place: np.ndarray) -> int:
    """Count all returns anew and give the sum of c ln c."""
    for k in range(BINS):
        count[k] = 0
    for i in range(len(returns)):
        place[i] = _bin(returns[i], edges)
        count[place[i]] += 1
    total = 0
    for k in range(BINS):
        total += table[count[k]]
    return total


@njit(cache=True, nogil=True, error_model="numpy")
def _bin(value: float, edges: np.ndarray) -> int:
    """Place of a value among edges; a division guesses it, the edges decide."""
    span = edges[BINS] - edges[0]
    guess = min(int((value - edges[0]) / span * BINS), BINS - 1) if span > 0.0 else 0
    if value < edges[guess]:
        return guess - 1
    if guess < BINS - 1 and value >= edges[guess + 1]:
        return guess + 1
    return guess
