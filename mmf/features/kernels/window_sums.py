"""Sums over several trailing windows by doubling: any window is a few sums of 1, 2, 4, 8 ... values."""

import numpy as np


def window_sums(values: np.ndarray, /, *, windows: tuple[int, ...]) -> np.ndarray:
    """Sum of the last W values, per row.

    Parameters
    ----------
    values : np.ndarray
        (n,) float64.
    windows : tuple of int
        Window lengths, each at least 1.

    Returns
    -------
    np.ndarray
        (len(windows), n). NaN where the window is incomplete or holds a NaN.

    Notes
    -----
    A sum over 200 rows is one over 8, plus one over 64 before those, plus one over 128 before those. That takes
    log2 W additions a row in place of W, rounds as pairwise summation does, and always in the same order: unlike a
    running sum it neither drifts nor depends on where the array begins.
    """
    n = len(values)
    out = np.zeros((len(windows), n))
    doubled = values
    size = 1
    while size <= max(windows):
        for j, window in enumerate(windows):
            newer = window & (size - 1)  # rows that smaller sizes have added already
            if window & size and newer < n:
                out[j, newer:] += doubled[: n - newer]
        doubled = _with_earlier(doubled, size)
        size *= 2
    for j, window in enumerate(windows):
        out[j, : window - 1] = np.nan
    return out


# ------------------------------------------------------------------------------------


def _with_earlier(sums: np.ndarray, size: int) -> np.ndarray:
    """Sums over twice as many rows; those that begin before the array are left as they are and never used."""
    twice = sums.copy()
    twice[size:] += sums[: len(sums) - size] if size < len(sums) else 0.0
    return twice
