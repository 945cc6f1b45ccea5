"""From columns to latents, row by row: medians, standardisation, weights."""

import numpy as np

TILE_ROWS = 128


def location_and_spread(X: np.ndarray, /) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and standard deviation of each column, (p,) float64; a constant column's deviation is 0."""
    mean = np.array([column.mean(dtype=np.float64) for column in X.T])
    std = np.array([column.std(dtype=np.float64) for column in X.T])
    # a spread below the rounding of the values themselves is none
    return mean, np.where(std > 10 * np.finfo(X.dtype).eps * np.abs(mean), std, 0.0)


def standardised(X: np.ndarray, mean: np.ndarray, scale: np.ndarray, /) -> np.ndarray:
    """Return (n, p) float32 of mean 0 and variance 1, columns contiguous."""
    Z = np.empty(X.shape, np.float32, order="F")
    for j, column in enumerate(X.T):
        Z[:, j] = (column - mean[j]) / scale[j]
    return Z


def project(
    X: np.ndarray, weights: np.ndarray, /, *, median: np.ndarray, mean: np.ndarray, scale: np.ndarray
) -> np.ndarray:
    """Return (n, q) float32 latents of (n, p) columns.

    Parameters
    ----------
    X : np.ndarray
        (n, p) float32; NaN becomes the median.
    weights : np.ndarray
        (p, q) of standardised columns.
    median, mean, scale : np.ndarray
        (p,).

    Notes
    -----
    In float64, and by products of as many rows each time: a row's latents have the same bits whatever rows are
    transformed beside it, as long as BLAS is held to one thread.
    """
    latents = np.empty((len(X), weights.shape[1]), np.float32)
    tile = np.zeros((TILE_ROWS, X.shape[1]))
    for start in range(0, len(X), TILE_ROWS):
        part = X[start : start + TILE_ROWS]
        tile[: len(part)] = (np.where(np.isnan(part), median, part) - mean) / scale
        latents[start : start + TILE_ROWS] = (tile @ weights)[: len(part)]
    return latents
