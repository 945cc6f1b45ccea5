"""Mean, deviation, skewness and kurtosis over several trailing windows, by merging the moments of halves."""

import math

import numpy as np
from numba import njit

BLOCK = 512  # rows merged together: their moments stay in the cache next to the core, and inner loops vectorise
MOMENTS = 4


@njit(cache=True, nogil=True, error_model="numpy")
def window_statistics(values: np.ndarray, windows: np.ndarray) -> np.ndarray:
    """Mean (as a distance from the latest value) and shape of the last W values.

    Parameters
    ----------
    values : np.ndarray
        (n,) float64.
    windows : np.ndarray
        (m,) int64, ascending, each at least 4.

    Returns
    -------
    np.ndarray
        (4, m, n): mean minus the latest value; standard deviation (ddof 1), exactly 0 for a constant window;
        skewness G1 and excess kurtosis G2 (Joanes and Gill 1998), NaN for a constant window. All are NaN where the
        window is incomplete or holds a NaN.

    Notes
    -----
    The moments of p + q values follow from those of the last p and of the q before them (Pebay 2008), so moments of
    1, 2, 4, 8 ... values make any window in about log2 W merges. Every mean is carried as a distance from the latest
    of its own values: differences of neighbouring prices are exact, so the price level never enters. There is no
    running sum, and the order is fixed: a row's bits depend on its window only.
    """
    n = len(values)
    longest = windows[-1]
    lead = longest - 1
    latest = np.empty(lead + BLOCK)
    level = np.empty((MOMENTS, lead + BLOCK))  # of the last `size` values
    twice = np.empty((MOMENTS, lead + BLOCK))
    found = np.empty((len(windows), MOMENTS, lead + BLOCK))
    out = np.empty((MOMENTS, len(windows), n))
    for start in range(0, n, BLOCK):
        for i in range(lead + BLOCK):
            row = start - lead + i
            latest[i] = values[row] if 0 <= row < n else np.nan
            for k in range(MOMENTS):
                level[k, i] = 0.0
        size = np.int64(1)  # a literal would compile the helpers twice
        while size <= longest:
            for j in range(len(windows)):
                newer = windows[j] & (size - 1)  # count of values that smaller sizes have brought in
                if windows[j] & size and newer == 0:
                    _copy(level, found[j])
                elif windows[j] & size:
                    _append(found[j], newer, level, size, latest)
            if 2 * size <= longest:
                _copy(level, twice)
                _append(twice, size, level, size, latest)
                level, twice = twice, level
            size *= 2
        for j in range(len(windows)):
            _finish(found[j], windows[j], start, out[:, j])
    return out


# ------------------------------------------------------------------------------------


@njit(cache=True, nogil=True, error_model="numpy")
def _copy(source: np.ndarray, target: np.ndarray) -> None:
    for k in range(MOMENTS):
        for i in range(source.shape[1]):
            target[k, i] = source[k, i]


@njit(cache=True, nogil=True, error_model="numpy")
def _append(moments: np.ndarray, n_newer: int, earlier: np.ndarray, n_earlier: int, latest: np.ndarray) -> None:
    """Bring into each row's moments of its last `n_newer` values those of the `n_earlier` values before them.

    Moments are (4, rows): mean minus the latest value, sums of squares, cubes and fourth powers of the distances from
    the mean. The first `n_newer` rows have too few values before them and are left; no complete window reads them.
    Each loop writes one array and reads few, or the compiler would not tell them apart and not vectorise; the highest
    power goes first, as it reads the lower ones.
    """
    n = n_newer + n_earlier
    p = n_newer / n
    q = n_earlier / n
    pairs = n * p * q
    size = len(latest) - n_newer
    now = latest[n_newer:]
    gap = np.empty(size)
    mean = moments[0, n_newer:]
    square = moments[1, n_newer:]
    cube = moments[2, n_newer:]
    fourth = moments[3, n_newer:]
    for i in range(size):
        gap[i] = ((latest[i] - now[i]) + earlier[0, i]) - mean[i]
    for i in range(size):
        d = gap[i]
        inner = pairs * (p * p - p * q + q * q) * (d * d) + 6.0 * (p * p * earlier[1, i] + q * q * square[i])
        fourth[i] += earlier[3, i] + d * (d * inner + 4.0 * (p * earlier[2, i] - q * cube[i]))
    for i in range(size):
        d = gap[i]
        cube[i] += earlier[2, i] + d * (pairs * (p - q) * (d * d) + 3.0 * (p * earlier[1, i] - q * square[i]))
    for i in range(size):
        square[i] += earlier[1, i] + pairs * (gap[i] * gap[i])
    for i in range(size):
        mean[i] += q * gap[i]


@njit(cache=True, nogil=True, error_model="numpy")
def _finish(moments: np.ndarray, window: int, start: int, out: np.ndarray) -> None:
    """Write the statistics of the block that begins at row `start`, the last rows of `moments`."""
    lead = moments.shape[1] - BLOCK
    w = float(window)
    skew_factor = w * math.sqrt(w - 1.0) / (w - 2.0)
    kurtosis_factor = (w - 1.0) / ((w - 2.0) * (w - 3.0))
    for i in range(min(BLOCK, out.shape[1] - start)):
        square = moments[1, lead + i]
        fourth = moments[3, lead + i] / (square * square)
        out[0, start + i] = moments[0, lead + i]
        out[1, start + i] = math.sqrt(square / (w - 1.0))
        out[2, start + i] = skew_factor * (moments[2, lead + i] / (square * math.sqrt(square)))
        out[3, start + i] = kurtosis_factor * (w * (w + 1.0) * fourth - 3.0 * (w - 1.0))
