"""Rounding of computed columns to what is stored."""

import numpy as np
from numba import njit


@njit(cache=True, nogil=True, error_model="numpy")
def round_to_float32(values: np.ndarray, short: np.ndarray) -> int:
    """Write float32 values, NaN where the rounded value is not finite; return the count of those.

    Parameters
    ----------
    values : np.ndarray
        (n,) float64.
    short : np.ndarray
        (n,) float32, overwritten.
    """
    n_undefined = 0
    for t in range(len(values)):
        value = np.float32(values[t])
        if not np.isfinite(value):
            value = np.float32(np.nan)
            n_undefined += 1
        short[t] = value
    return n_undefined
