"""All that the refinery reads of the rows: one correlation matrix, and products with the label by fold."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

TILE_COLUMNS = 256
TILE_ROWS = 4_096


@dataclass(frozen=True)
class Moments:
    """Second moments of standardised columns and a standardised label.

    Attributes
    ----------
    correlation : np.ndarray
        (p, p) float64, symmetric, 1 on the diagonal.
    folds : np.ndarray
        (1 + n_shifts, n_folds, p) float64: mean product of column and label over the rows of a fold. First with the
        label as it is, then with labels shifted in time.
    label : np.ndarray
        (p,) float64 correlation with the label over all rows.
    """

    correlation: np.ndarray
    folds: np.ndarray
    label: np.ndarray


def moments(
    Z: np.ndarray, y: np.ndarray, /, *, folds: Sequence[np.ndarray], n_shifts: int = 0, n_threads: int = 1
) -> Moments:
    """Multiply columns with each other and with the label, once.

    Parameters
    ----------
    Z : np.ndarray
        (n, p) float32 columns of mean 0 and variance 1, each contiguous.
    y : np.ndarray
        (n,) label that is not constant.
    folds : sequence of np.ndarray
        Row indices of each fold in time.
    n_shifts : int
        Shifted labels: turned in time by 1, 2, ... of n_shifts + 1 parts of all rows, so that they keep how they
        run and lose what the columns could tell of them.
    n_threads : int
        Tiles are shared out among this many threads; the result does not depend on it while BLAS is held to one
        thread.

    Notes
    -----
    Products of 4,096 rows are taken in float32 and added up in float64, which leaves errors near 1e-7. Products with
    the label are taken about its mean over all rows: about the mean of a fold, a column that follows the price would
    fall with the label in every fold of a random walk.
    """
    n, p = Z.shape
    targets = _targets(y, folds, n_shifts)
    cuts = [slice(j, j + TILE_COLUMNS) for j in range(0, p, TILE_COLUMNS)]
    pairs = [(a, b) for i, a in enumerate(cuts) for b in cuts[i:]]
    correlation, with_targets = np.eye(p), np.empty((p, targets.shape[1]))
    with ThreadPoolExecutor(n_threads) as pool:
        tiles = pool.map(lambda pair: _product(Z[:, pair[0]], Z[:, pair[1]]), pairs)
        for (a, b), tile in zip(pairs, tiles, strict=True):
            correlation[a, b] = tile / n
            correlation[b, a] = tile.T / n
        tiles = pool.map(lambda cut: _product(Z[:, cut], targets), cuts)
        for a, tile in zip(cuts, tiles, strict=True):
            with_targets[a] = tile / n
    np.fill_diagonal(correlation, 1.0)
    return Moments(correlation, with_targets[:, 1:].T.reshape(1 + n_shifts, len(folds), p), with_targets[:, 0])


# ------------------------------------------------------------------------------------


def _targets(y: np.ndarray, folds: Sequence[np.ndarray], n_shifts: int) -> np.ndarray:
    """(n, 1 + (1 + n_shifts) * n_folds) float32: the label, then for each shift its part in each fold."""
    n = len(y)
    label = (y - y.mean()) / y.std()
    targets = np.zeros((n, 1 + (1 + n_shifts) * len(folds)), np.float32, order="F")
    targets[:, 0] = label
    for shift in range(1 + n_shifts):
        shifted = np.roll(label, shift * n // (n_shifts + 1))
        for k, fold in enumerate(folds):
            targets[fold, 1 + shift * len(folds) + k] = shifted[fold] * (n / len(fold))
    return targets


def _product(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """a.T @ b in float64, from float32 products of a fixed number of rows."""
    total = np.zeros((a.shape[1], b.shape[1]))
    for start in range(0, len(a), TILE_ROWS):
        rows = slice(start, start + TILE_ROWS)
        total += a[rows].T @ b[rows]
    return total
