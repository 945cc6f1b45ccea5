"""Rescaled range (R/S) over many window lengths, and the Hurst exponents built from it."""

import math

import numpy as np
from numba import njit

from mmf.features.kernels.logarithm import ROUNDING, log
from mmf.features.kernels.moments import window_moments

BLOCK = 256
SMALLEST_SIZE = 10


def hurst_exponent(log_price: np.ndarray, /, *, windows: tuple[int, ...]) -> np.ndarray:
    """Hurst exponent of the last W log-returns by rescaled range, corrected after Anis, Lloyd and Peters.

    Parameters
    ----------
    log_price : np.ndarray
        (n,) float64; a row reads W + 1 of them.
    windows : tuple of int
        Window lengths in returns, each with at least two divisors from 10 up.

    Returns
    -------
    np.ndarray
        (len(windows), n). NaN until W returns are there, and where all chunks of one size have zero range.

    Notes
    -----
    A window is cut into chunks of each of its divisors from 10 up. Chunks of one size end at t, t - size, t - 2 size
    and so on, so the R/S of a chunk is computed once and shared by every later window, and every window length,
    that contains it. Equal to ``nolds.hurst_rs(r, nvals=divisors, fit="poly", corrected=True, unbiased=True)``.
    """
    sizes = np.array(sorted({size for window in windows for size in chunk_sizes(window)}), dtype=np.int64)
    weights = np.zeros((len(windows), len(sizes)))
    level = np.empty(len(windows))
    for j, window in enumerate(windows):
        own = np.array(chunk_sizes(window))
        x = np.log(own)
        slope = (x - x.mean()) / np.sum((x - x.mean()) ** 2)
        weights[j, np.searchsorted(sizes, own)] = slope
        level[j] = 0.5 - slope @ np.log([expected_rescaled_range(n) for n in own.tolist()])
    ratio = _rescaled_range(log_price, sizes)
    return _slopes(ratio, sizes, np.array(windows, dtype=np.int64), weights, level)


def chunk_sizes(window: int, /) -> tuple[int, ...]:
    """Divisors of a window from 10 up.

    Examples
    --------
    >>> chunk_sizes(100)
    (10, 20, 25, 50, 100)
    """
    return tuple(size for size in range(SMALLEST_SIZE, window + 1) if window % size == 0)


def expected_rescaled_range(size: int, /) -> float:
    """(R/S)_n of white noise for chunks of a size (Anis and Lloyd 1976, with the factor of Peters 1994)."""
    gammas = math.exp(math.lgamma((size - 1) / 2) - math.lgamma(size / 2)) / math.sqrt(math.pi)
    return (size - 0.5) / size * gammas * sum(math.sqrt((size - i) / i) for i in range(1, size))


# ------------------------------------------------------------------------------------


@njit(cache=True, nogil=True, error_model="numpy")
def _rescaled_range(log_price: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """(m, n) R/S of the chunk of each size that ends at a row; 0 where its range is zero.

    The running sum of a chunk's deviations is its log-price less a straight line, so the range needs no sum. Its
    offset from the chunk's start cancels in high - low.
    """
    n = len(log_price)
    returns = np.full(n, np.nan)
    for t in range(1, n):
        returns[t] = log_price[t] - log_price[t - 1]
    ratio = np.full((len(sizes), n), np.nan)
    _, variance = window_moments(returns, sizes)
    high = np.empty(BLOCK)
    low = np.empty(BLOCK)
    mean = np.empty(BLOCK)
    for j in range(len(sizes)):
        size = sizes[j]
        unbiased = size / (size - 1)
        for start in range(size, n, BLOCK):
            latest = log_price[start : start + BLOCK]
            before = log_price[start - size : start - size + len(latest)]
            for b in range(len(latest)):
                mean[b] = (latest[b] - before[b]) / size
                high[b] = before[b]
                low[b] = before[b]
            for k in range(1, size):
                price = log_price[start - size + k : start - size + k + len(latest)]
                for b in range(len(latest)):
                    y = price[b] - k * mean[b]
                    high[b] = max(high[b], y)
                    low[b] = min(low[b], y)
            for b in range(len(latest)):
                span = high[b] - low[b]
                scaled = span / math.sqrt(variance[j, start + b] * unbiased)
                ratio[j, start + b] = scaled if span > ROUNDING else 0.0
    return ratio


@njit(cache=True, nogil=True, error_model="numpy")
def _slopes(
    ratio: np.ndarray, sizes: np.ndarray, windows: np.ndarray, weights: np.ndarray, level: np.ndarray
) -> np.ndarray:
    """(len(windows), n) least-squares slope of log (R/S)_size on log size, plus the level of white noise."""
    n = ratio.shape[1]
    out = np.full((len(windows), n), np.nan)
    for j in range(len(windows)):
        for start in range(windows[j], n, BLOCK):
            block = out[j, start : start + BLOCK]
            for b in range(len(block)):
                block[b] = level[j]
            for i in range(len(sizes)):
                if windows[j] % sizes[i] == 0:
                    mean = log(_mean_of_chunks(ratio[i], start, len(block), windows[j], sizes[i]))
                    for b in range(len(block)):
                        block[b] += weights[j, i] * mean[b]
    return out


@njit(cache=True, nogil=True, error_model="numpy")
def _mean_of_chunks(ratio: np.ndarray, start: int, n_rows: int, window: int, size: int) -> np.ndarray:
    """(n_rows,) mean R/S of the chunks of one size in the windows that end at rows from `start` on.

    Chunks of zero range are left out; NaN where no other is left.
    """
    total = np.zeros(n_rows)
    count = np.zeros(n_rows)
    for back in range(0, window, size):
        chunk = ratio[start - back : start - back + n_rows]
        for b in range(n_rows):
            total[b] += chunk[b]
            count[b] += 1.0 if chunk[b] > 0.0 else 0.0
    for b in range(n_rows):
        total[b] /= count[b]
    return total
