"""Shannon entropy of a histogram whose edges lie at fixed multiples of the window's own deviation."""

import math

import numpy as np
from numba import njit

from mmf.features.kernels.histogram_entropy import BINS, FIXED_POINT
from mmf.features.kernels.logarithm import ROUNDING
from mmf.features.kernels.moments import window_moments

REACH = 4.0  # deviations between the mean and either end


def deviation_entropy(returns: np.ndarray, /, *, windows: tuple[int, ...]) -> np.ndarray:
    """Shannon entropy of the last W log-returns in 50 equal bins over their mean -+ 4 deviations, over ln 50.

    Parameters
    ----------
    returns : np.ndarray
        (n,) float64; NaN where undefined.
    windows : tuple of int
        Window lengths, ascending.

    Returns
    -------
    np.ndarray
        (len(windows), n) between 0 and 1. NaN until W returns are there, and where their deviation is below 1e-12.

    Notes
    -----
    Mean and deviation (ddof 1) are those of the same W returns, and returns further out fall into the end bins. One
    outlier thus fills one bin and leaves the others where they are, while it stretches the bins of an entropy
    between minimum and maximum until they hold everything else.
    """
    lengths = np.array(windows)
    offset, variance = window_moments(returns, lengths)
    deviation = np.sqrt(variance * (lengths / (lengths - 1))[:, None])
    counts = np.arange(max(windows) + 1)
    table = np.rint(counts * np.log(np.maximum(counts, 1)) * FIXED_POINT).astype(np.int64)
    return _entropies(returns, lengths, offset, deviation, table)


# ------------------------------------------------------------------------------------


@njit(cache=True, nogil=True, error_model="numpy")
def _entropies(
    returns: np.ndarray, windows: np.ndarray, offset: np.ndarray, deviation: np.ndarray, table: np.ndarray
) -> np.ndarray:
    """Fill the histogram of every row anew: mean and deviation move with each return, and all edges with them."""
    n = len(returns)
    out = np.full((len(windows), n), np.nan)
    place = np.empty(windows[-1], np.int64)
    count = np.zeros(BINS, np.int64)
    for j in range(len(windows)):
        window = windows[j]
        for t in range(window - 1, n):
            sigma = deviation[j, t]
            if not sigma > ROUNDING:
                continue
            mean = returns[t] + offset[j, t]
            per_bin = BINS / (2.0 * REACH * sigma)
            for i in range(window):
                scaled = (returns[t - i] - mean) * per_bin + BINS / 2.0
                place[i] = int(min(max(scaled, 0.0), BINS - 1.0))
            for k in range(BINS):
                count[k] = 0
            for i in range(window):
                count[place[i]] += 1
            total = 0
            for k in range(BINS):
                total += table[count[k]]
            out[j, t] = (math.log(window) - total / FIXED_POINT / window) / math.log(BINS)
    return out
