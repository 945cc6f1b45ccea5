"""The council's third voter: mutual information of one column and a class, by nearest neighbours."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numba import njit
from scipy.special import digamma
from sklearn.utils import check_random_state

NOISE = 1e-10


def mutual_information(
    X: np.ndarray, codes: np.ndarray, /, *, n_neighbors: int = 3, seed: int = 0, n_threads: int = 1
) -> np.ndarray:
    """Estimate the mutual information between each column and the class.

    For each point the distance r to its k-th nearest neighbour of the same class is found, then m, the number of
    points of any class nearer than r. The estimate is psi(n) + psi(k) - <psi(n_class)> - <psi(m)>.

    Parameters
    ----------
    X : np.ndarray
        (n, p) finite numbers.
    codes : np.ndarray
        (n,) int64 classes 0, 1, 2, ...; a class with a single point is left out.
    n_neighbors : int
        k; a class with fewer other points uses those it has.
    seed : int
        Seed of the noise that parts equal values.
    n_threads : int
        Columns are shared out among this many threads; the result does not depend on it.

    Returns
    -------
    np.ndarray
        (p,) float64, nats; an estimate below zero is reported as zero.

    Notes
    -----
    Equal to `sklearn.feature_selection.mutual_info_classif(X[:, [j]], codes, random_state=seed)` for each column j,
    but for the rounding with which that function measures classes of fewer than 2k + 2 rows. Called on many columns
    at once it gives every column other noise, so that a score depends on where the column stands; here every column
    gets the same noise and it does not. In one dimension no tree is needed: after a sort both ends of the
    neighbourhood move only to the right, so a column costs one sort and one pass.

    References
    ----------
    B. C. Ross, Mutual Information between Discrete and Continuous Data Sets, PLoS ONE 9(2), 2014.
    """
    noise = NOISE * check_random_state(seed).standard_normal(size=len(X))
    keep = np.bincount(codes)[codes] > 1
    counts = np.bincount(codes[keep])
    psi = digamma(np.arange(max(keep.sum(), 1) + 1, dtype=np.float64))
    ks = np.minimum(n_neighbors, counts - 1)
    fixed = psi[keep.sum()] + (counts * (psi[ks] - psi[counts]))[counts > 0].sum() / max(keep.sum(), 1)

    def one(column: np.ndarray) -> float:
        values = _scaled(column, noise)[keep]
        order = np.argsort(values)
        mean_psi = _mean_psi_of_counts(values[order], codes[keep][order], ks, psi)
        return max(0.0, fixed - mean_psi)

    with ThreadPoolExecutor(n_threads) as pool:
        return np.fromiter(pool.map(one, X.T), np.float64, X.shape[1])


# ------------------------------------------------------------------------------------


def _scaled(column: np.ndarray, noise: np.ndarray) -> np.ndarray:
    """Divide by the standard deviation and add noise, so that no two points are equal."""
    values = column.astype(np.float64)
    std = values.std()
    # a spread below the rounding of the mean is none
    if std > 10 * np.finfo(np.float64).eps * abs(values.mean()):
        values /= std
    return values + noise * max(1.0, np.abs(values).mean())


@njit(cache=True, nogil=True)
def _mean_psi_of_counts(values: np.ndarray, codes: np.ndarray, ks: np.ndarray, psi: np.ndarray) -> float:
    """Mean of psi(m) over all points; `values` ascending, `codes` beside them."""
    n = len(values)
    total = 0.0
    place = np.empty(n, np.int64)
    for code in range(len(ks)):
        count = 0
        for i in range(n):
            if codes[i] == code:
                place[count] = i
                count += 1
        k = ks[code]
        left = right = 0
        for c in range(count):
            here = values[place[c]]
            radius = np.inf
            for first in range(max(0, c - k), min(c, count - 1 - k) + 1):
                spread = max(here - values[place[first]], values[place[first + k]] - here)
                radius = min(radius, spread)
            radius = np.nextafter(radius, 0.0)
            # from one point of a class to the next the radius changes by no more than their distance, so both
            # ends move only to the right
            while here - values[left] > radius:
                left += 1
            while right < n and values[right] - here <= radius:
                right += 1
            total += psi[right - left]
    return total / n
