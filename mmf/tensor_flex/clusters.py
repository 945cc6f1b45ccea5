"""Clusters of correlated columns, read from their correlation matrix."""

import numpy as np
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import squareform


def correlated_clusters(correlation: np.ndarray, /, *, max_clusters: int, merge_above: float) -> np.ndarray:
    """Join columns until at most `max_clusters` groups are left, and none that are nearly one.

    Parameters
    ----------
    correlation : np.ndarray
        (p, p).
    max_clusters : int
        Groups at most.
    merge_above : float
        Groups whose columns correlate by more than this on average are one, however few groups there are: copies of
        a column never stand in two.

    Returns
    -------
    np.ndarray
        (p,) int64, numbered 0, 1, ... by the first column of each.

    Notes
    -----
    Agglomerative clustering with average linkage on 1 - |correlation|. Average linkage needs no Euclidean distance,
    as Ward's would, and does not chain, as single linkage does.
    """
    p = len(correlation)
    if p < 2:
        return np.zeros(p, np.int64)
    distance = np.clip(1 - np.abs(correlation), 0, None)
    np.fill_diagonal(distance, 0)
    tree = linkage(squareform(distance, checks=False), "average")
    # join number i leaves p - 1 - i groups
    height = tree[p - max_clusters - 1, 2] if p > max_clusters else 0.0
    found = fcluster(tree, max(height, 1 - merge_above), "distance")
    _, first, labels = np.unique(found, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[labels]


def members_of(labels: np.ndarray, /) -> list[np.ndarray]:
    """Places of the columns of each cluster."""
    return [np.flatnonzero(labels == k) for k in range(labels.max(initial=-1) + 1)]


def similarity(correlation: np.ndarray, labels: np.ndarray, /) -> np.ndarray:
    """Mean absolute correlation between the columns of two clusters, (k, k); on the diagonal within one.

    The diagonal leaves out each column's correlation with itself; it is NaN for a cluster of one column.
    """
    sums, counts = _sums(correlation, labels)
    pairs = np.outer(counts, counts)
    np.fill_diagonal(sums, np.diag(sums) - counts)
    np.fill_diagonal(pairs, counts * (counts - 1))
    return np.divide(sums, pairs, out=np.full_like(sums, np.nan), where=pairs > 0)


def outward(correlation: np.ndarray, labels: np.ndarray, /) -> np.ndarray:
    """Mean absolute correlation between a cluster's columns and those of all others, (k,); NaN for the only one."""
    sums, counts = _sums(correlation, labels)
    pairs = counts * (counts.sum() - counts)
    outside = sums.sum(axis=1) - np.diag(sums)
    return np.divide(outside, pairs, out=np.full_like(outside, np.nan), where=pairs > 0)


# ------------------------------------------------------------------------------------


def _sums(correlation: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sums of absolute correlations between clusters, and their sizes."""
    is_in = np.eye(labels.max(initial=-1) + 1)[labels]
    return is_in.T @ np.abs(correlation) @ is_in, is_in.sum(axis=0)
