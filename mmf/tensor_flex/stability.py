"""Stability selection over time: which latents lean the same way to the label in nearly every half of the folds."""

from itertools import combinations

import numpy as np

from mmf.errors import DataError
from mmf.rows import TrainingRows
from mmf.splits import instant_start


def time_blocks(rows: TrainingRows, n_folds: int, /) -> list[np.ndarray]:
    """Cut training rows into folds of equal length, each purged of rows whose label the next fold tells.

    Returns
    -------
    list of np.ndarray
        Row indices of each fold, earliest first.

    Raises
    ------
    DataError
        A fold would be empty.
    """
    starts = [instant_start(rows.open_time_ms, len(rows) * k // n_folds) for k in range(n_folds)]
    ends_ms = [*(rows.open_time_ms[start] for start in starts[1:]), np.iinfo(np.int64).max]
    folds = []
    for start, stop, end_ms in zip(starts, [*starts[1:], len(rows)], ends_ms, strict=True):
        index = np.arange(start, stop)
        folds.append(index[rows.label_end_ms[index] <= end_ms])
    if any(len(fold) == 0 for fold in folds):
        raise DataError(
            f"{len(rows)} training rows leave an empty fold of {n_folds} after the purge by the label horizon. "
            "Use more rows, fewer folds or a shorter horizon."
        )
    return folds


def stability(of_folds: np.ndarray, /, *, min_t: float) -> np.ndarray:
    """Return the share of halves of the folds in which a latent is selected, always with the same sign.

    Parameters
    ----------
    of_folds : np.ndarray
        (n_folds, q) mean product of latent and label in each fold.
    min_t : float
        In a half a latent is selected where the mean of its folds is more than so many standard errors from zero.

    Returns
    -------
    np.ndarray
        (q,) 0..1.

    Notes
    -----
    Selecting again in halves of the rows, and keeping what is selected nearly always, is stability selection
    (Meinshausen and Buehlmann, 2010); halves that come with their complements are the form of Shah and Samworth
    (2013). Rows of a market are not exchangeable and labels overlap, so halves are made of whole folds, all of the
    252 halves of ten, and within a half a latent is judged by the t statistic of its folds, which holds whatever
    the rows of a fold have to do with each other (Ibragimov and Mueller, 2010).

    The bound that stability selection gives on the number of latents selected by chance asks for a far stricter
    choice than few noisy latents allow; the number is measured on shifted labels instead.

    References
    ----------
    N. Meinshausen, P. Buehlmann, Stability Selection, Journal of the Royal Statistical Society B 72(4), 2010.
    R. D. Shah, R. J. Samworth, Variable Selection with Error Control: Another Look at Stability Selection, Journal of
    the Royal Statistical Society B 75(1), 2013.
    R. Ibragimov, U. K. Mueller, t-Statistic Based Correlation and Heterogeneity Robust Inference, Journal of Business
    and Economic Statistics 28(4), 2010.
    """
    halves = _halves(len(of_folds))
    size = len(of_folds) // 2
    mean = halves @ of_folds / size
    variance = np.maximum(halves @ of_folds**2 / size - mean**2, 0) / (size - 1)  # of the mean
    least = min_t * np.sqrt(variance)
    return np.maximum((mean > least).mean(axis=0), (mean < -least).mean(axis=0))


# ------------------------------------------------------------------------------------


def _halves(n_folds: int) -> np.ndarray:
    """(halves, n_folds) of 0 and 1."""
    return np.array([np.isin(range(n_folds), half) for half in combinations(range(n_folds), n_folds // 2)], np.float64)
