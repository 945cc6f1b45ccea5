"""Directional movement after Wilder, seeded as TA-Lib seeds it."""

import numpy as np
from numba import njit

STILL = 1e-14  # of the price: a smaller sum of true ranges is what some thirty windows without a trade leave over
AIMLESS = 1e-16  # of the true ranges: same for the sum of both movements


@njit(cache=True, nogil=True, error_model="numpy")
def directional_movement(
    high: np.ndarray, low: np.ndarray, close: np.ndarray, windows: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Average directional index and both directional indicators, as shares.

    Parameters
    ----------
    high, low, close : np.ndarray
        (n,) float64 each.
    windows : np.ndarray
        (m,) int64, each above 1.

    Returns
    -------
    adx : np.ndarray
        (m, n) mean directional index; NaN before row 2 W - 1, and where the index of the row is undefined.
    plus, minus : np.ndarray
        (m, n) up and down movement over true range; NaN before row W, and where no true range is left.

    Notes
    -----
    Wilder's sums (``s = s - s / W + value``) begin with the plain sum of W - 1 bars from row 1 on; the mean of the
    index begins with the plain mean of its first W values. A row whose index is undefined leaves that mean alone.
    """
    n = len(close)
    up, down, reach = _movement(high, low, close)
    adx = np.empty((len(windows), n))
    plus = np.empty((len(windows), n))
    minus = np.empty((len(windows), n))
    for j in range(len(windows)):
        w = windows[j]
        share = 1.0 / w
        keep = 1.0 - share
        sum_up = sum_down = sum_reach = mean = 0.0
        for t in range(min(w, n)):
            sum_up += up[t]
            sum_down += down[t]
            sum_reach += reach[t]
            adx[j, t] = plus[j, t] = minus[j, t] = np.nan
        for t in range(w, n):
            sum_up = sum_up * keep + up[t]
            sum_down = sum_down * keep + down[t]
            sum_reach = sum_reach * keep + reach[t]
            moved = sum_up + sum_down
            is_still = sum_reach <= STILL * close[t]
            is_directed = moved > AIMLESS * sum_reach and not is_still
            if is_directed:
                index = abs(sum_up - sum_down) / moved
                mean += index * share if t < 2 * w else (index - mean) * share
            adx[j, t] = mean if is_directed and t >= 2 * w - 1 else np.nan
            plus[j, t] = np.nan if is_still else sum_up / sum_reach
            minus[j, t] = np.nan if is_still else sum_down / sum_reach
    return adx, plus, minus


# ------------------------------------------------------------------------------------


@njit(cache=True, nogil=True, error_model="numpy")
def _movement(high: np.ndarray, low: np.ndarray, close: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(n,) each: rise of the high, fall of the low (the larger of both counts, the other is 0), and true range."""
    n = len(close)
    up = np.zeros(n)
    down = np.zeros(n)
    reach = np.zeros(n)
    for t in range(1, n):
        rise = high[t] - high[t - 1]
        fall = low[t - 1] - low[t]
        up[t] = rise if rise > max(fall, 0.0) else 0.0
        down[t] = fall if fall > max(rise, 0.0) else 0.0
        reach[t] = max(high[t], close[t - 1]) - min(low[t], close[t - 1])
    return up, down, reach
