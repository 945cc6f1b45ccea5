"""Natural logarithm in plain arithmetic, so that its loop vectorises.

The logarithm of the C library takes one number a call and its last bit differs between machines. Additions,
multiplications and one division are rounded alike everywhere, and run four or eight numbers at a time.
"""

import numpy as np
from numba import njit

LN2_HIGH = float.fromhex("0x1.62e42feep-1")  # 32 bits: exponent times this is exact
LN2_LOW = float.fromhex("0x1.a39ef35793c76p-33")
ATANH = (1 / 23, 1 / 21, 1 / 19, 1 / 17, 1 / 15, 1 / 13, 1 / 11, 1 / 9, 1 / 7, 1 / 5, 1 / 3)
SQRT_HALF_BITS = 0x3FE6A09E667F3BCD
ROUNDING = 1e-12  # a smaller difference of logarithms of prices is rounding, not movement
SMALLEST = 2.2250738585072014e-308  # smaller numbers have no implicit leading bit


@njit(cache=True, nogil=True, error_model="numpy")
def log(values: np.ndarray) -> np.ndarray:
    """Natural logarithm of each value; NaN where it is not a positive, finite, normal number.

    Parameters
    ----------
    values : np.ndarray
        (n,) float64, contiguous.

    Returns
    -------
    np.ndarray
        (n,) float64, within 2 units in the last place.

    Notes
    -----
    ``ln(2^e m) = e ln 2 + 2 atanh((m - 1) / (m + 1))`` with m between sqrt(1/2) and sqrt(2), where eleven terms of
    the Taylor series of atanh reach 2^-56.
    """
    n = len(values)
    bits = values.view(np.int64)
    mantissa = np.empty(n)
    mantissa_bits = mantissa.view(np.int64)
    exponent = np.empty(n)
    for i in range(n):
        e = (bits[i] - SQRT_HALF_BITS) >> 52
        mantissa_bits[i] = bits[i] - (e << 52)
        exponent[i] = e
    out = np.empty(n)
    for i in range(n):
        s = (mantissa[i] - 1.0) / (mantissa[i] + 1.0)
        z = s * s
        series = 0.0
        for coefficient in ATANH:
            series = (series + coefficient) * z
        s += s
        value = exponent[i] * LN2_HIGH + (s + (s * series + exponent[i] * LN2_LOW))
        out[i] = value if SMALLEST <= values[i] < np.inf else np.nan
    return out


@njit(cache=True, nogil=True, error_model="numpy")
def log_returns(close: np.ndarray) -> np.ndarray:
    """ln(close / previous close); (n,), NaN in row 0."""
    ratio = np.full(len(close), np.nan)
    for t in range(1, len(close)):
        ratio[t] = close[t] / close[t - 1]
    return log(ratio)
