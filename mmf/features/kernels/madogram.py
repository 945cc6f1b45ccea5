"""Fractal dimension by the madogram, from exact sliding sums."""

import numpy as np
from numba import njit

from mmf.features.kernels.logarithm import log

STEPS = 8  # distances k = 1..8
BLOCK = 1_024
# A log-price in units of 2^-48 (4e-15, about the rounding of the logarithm itself) is an integer, so that sums of
# absolute differences are exact: they neither drift nor depend on where the array begins. Running totals may wrap,
# their differences do not: 1,000 bars that each move by a factor of 1e14 still fit.
UNIT = 2.0**-48


def fractal_dimension(log_price: np.ndarray, /, *, windows: tuple[int, ...]) -> np.ndarray:
    """Two minus the slope of log mean |x[t + k] - x[t]| on log k, k = 1..8, over the last W log-prices.

    Parameters
    ----------
    log_price : np.ndarray
        (n,) float64.
    windows : tuple of int
        Window lengths in bars, each above 8.

    Returns
    -------
    np.ndarray
        (len(windows), n): 1 for a line, 1.5 for a random walk, 2 for white noise. NaN until W log-prices are there,
        and where all differences at one distance are zero.

    Notes
    -----
    The variogram estimator of order 1 (Gneiting, Sevcikova and Percival 2012).
    """
    x = np.log(np.arange(1, STEPS + 1))
    slope = (x - x.mean()) / np.sum((x - x.mean()) ** 2)
    return _dimensions(_running_totals(log_price), np.array(windows, dtype=np.int64), slope)


# ------------------------------------------------------------------------------------


@njit(cache=True, nogil=True, error_model="numpy")
def _running_totals(log_price: np.ndarray) -> np.ndarray:
    """(8, n) sum of |x[i] - x[i - k]| over all i up to a row, in units, for k = 1..8."""
    n = len(log_price)
    units = np.empty(n, np.int64)
    for i in range(n):
        units[i] = np.rint(log_price[i] / UNIT)
    totals = np.zeros((STEPS, n), np.int64)
    for k in range(1, STEPS + 1):
        running = 0
        for i in range(k, n):
            running += abs(units[i] - units[i - k])
            totals[k - 1, i] = running
    return totals


@njit(cache=True, nogil=True, error_model="numpy")
def _dimensions(totals: np.ndarray, windows: np.ndarray, slope: np.ndarray) -> np.ndarray:
    n = totals.shape[1]
    out = np.full((len(windows), n), np.nan)
    spread = np.ones(BLOCK)
    for j in range(len(windows)):
        for start in range(windows[j] - 1, n, BLOCK):
            block = out[j, start : start + BLOCK]
            for b in range(len(block)):
                block[b] = 2.0
            for k in range(1, STEPS + 1):
                pairs = windows[j] - k
                ending = totals[k - 1, start : start + len(block)]
                before = totals[k - 1, start - pairs : start - pairs + len(block)]
                for b in range(len(block)):
                    spread[b] = (ending[b] - before[b]) * (UNIT / pairs)
                logs = log(spread)
                for b in range(len(block)):
                    block[b] -= slope[k - 1] * logs[b]
    return out
