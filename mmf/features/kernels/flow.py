"""Share of rising money flow over several trailing windows."""

import numpy as np
from numba import njit

BLOCK = 256  # rows walked together: the sums stay in the first-level cache, and the inner loop vectorises
ROUNDING = 2.0**-50  # of the price: a smaller change is the rounding of (high + low + close) / 3


@njit(cache=True, nogil=True, error_model="numpy")
def rising_share(price: np.ndarray, volume: np.ndarray, windows: np.ndarray) -> np.ndarray:
    """Money that flowed while the price rose, over all that flowed while it moved, in the last W bars.

    Parameters
    ----------
    price, volume : np.ndarray
        (n,) float64 each; the flow of a bar is their product.
    windows : np.ndarray
        (m,) int64, ascending, in changes of the price.

    Returns
    -------
    np.ndarray
        (m, n) between 0 and 1. NaN until W changes are there, and where no money flowed while the price moved.

    Notes
    -----
    Each row sums anew in one walk back that all windows share, so its bits depend on its window only.
    """
    n = len(price)
    lead = windows[-1]
    rising = np.full(lead + n, np.nan)
    moving = np.full(lead + n, np.nan)
    for t in range(1, n):
        flow = price[t] * volume[t]
        change = price[t] - price[t - 1]
        rising[lead + t] = flow if change > ROUNDING * price[t] else 0.0
        moving[lead + t] = flow if abs(change) > ROUNDING * price[t] else 0.0
    out = np.empty((len(windows), n))
    total_rising = np.empty(BLOCK)
    total_moving = np.empty(BLOCK)
    for start in range(0, n, BLOCK):
        size = min(BLOCK, n - start)
        for b in range(size):
            total_rising[b] = 0.0
            total_moving[b] = 0.0
        back = 0
        for j in range(len(windows)):
            for k in range(back, windows[j]):
                first = lead + start - k
                earlier_rising = rising[first : first + size]
                earlier_moving = moving[first : first + size]
                for b in range(size):
                    total_rising[b] += earlier_rising[b]
                    total_moving[b] += earlier_moving[b]
            back = windows[j]
            for b in range(size):
                out[j, start + b] = total_rising[b] / total_moving[b]
    return out
