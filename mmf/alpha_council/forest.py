"""The council's second voter: a random forest's importance of each column, on columns cut into 256 bins."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numba import njit

N_BINS = 256
LOW_HALF = 0xFFFF_FFFF


def forest_importance(
    X: np.ndarray,
    codes: np.ndarray,
    /,
    *,
    n_estimators: int = 200,
    max_depth: int | None = None,
    seed: int = 0,
    n_threads: int = 1,
) -> np.ndarray:
    """Grow a random forest and return the mean decrease in Gini impurity of each column.

    Parameters
    ----------
    X : np.ndarray
        (n, p) finite numbers; quickest where columns are contiguous.
    codes : np.ndarray
        (n,) int64 classes 0 and 1.
    n_estimators : int
        Trees.
    max_depth : int, optional
        Splits between root and leaf at most; without it every leaf is pure or cannot be split.
    seed : int
        Tree i draws from stream i of this seed.
    n_threads : int
        Trees are shared out among this many threads; the result does not depend on it.

    Returns
    -------
    np.ndarray
        (p,) float64, summing to 1; all zero where no column could be split.
    """
    return mean_importance(
        tree_importances(X, codes, n_estimators=n_estimators, max_depth=max_depth, seed=seed, n_threads=n_threads)
    )


def mean_importance(trees: np.ndarray, /) -> np.ndarray:
    """Return (p,) importances of the forest of some (n_trees, p) trees, summing to 1 or all zero."""
    total = trees.sum(axis=0)
    return total / max(total.sum(), np.finfo(np.float64).tiny)


def tree_importances(
    X: np.ndarray,
    codes: np.ndarray,
    /,
    *,
    n_estimators: int = 200,
    max_depth: int | None = None,
    seed: int = 0,
    n_threads: int = 1,
) -> np.ndarray:
    """Return (n_estimators, p) decreases in impurity, tree by tree; see `forest_importance`.

    Trees are independent draws, so any of them make a forest of their own.

    Notes
    -----
    The forest of `sklearn.ensemble.RandomForestClassifier` with its default options: bootstrap samples of n rows,
    sqrt(p) columns drawn at each node, Gini impurity, importances of a tree summing to 1. The one difference is
    that thresholds lie between the 256 quantile bins of a column, so that a node is searched by counting and not by
    sorting. Importances are all that the council reads, so no tree is kept.

    References
    ----------
    L. Breiman, Random Forests, Machine Learning 45, 2001.
    """
    n, p = X.shape
    n_drawn = max(1, int(np.sqrt(p)))
    deepest = n if max_depth is None else max_depth
    with ThreadPoolExecutor(n_threads) as pool:
        bins = np.stack(list(pool.map(_quantile_bins, X.T)))

        def importance_in_tree(stream: np.random.SeedSequence) -> np.ndarray:
            rng = np.random.default_rng(stream)
            weights = np.bincount(rng.integers(n, size=n), minlength=n)
            # one addition counts both: rows in the low half of the number, rows of class 1 in the high half
            counts = weights + ((weights * codes) << 32)
            state = rng.integers(1, 2**63, size=1, dtype=np.uint64)
            importance = _grow(bins, counts, np.flatnonzero(weights), n_drawn, deepest, state)
            return importance / max(importance.sum(), np.finfo(np.float64).tiny)

        return np.stack(list(pool.map(importance_in_tree, np.random.SeedSequence(seed).spawn(n_estimators))))


# ------------------------------------------------------------------------------------


def _quantile_bins(column: np.ndarray) -> np.ndarray:
    """Return the (n,) uint8 bin of each value; equal values share a bin, and up to 256 values have one each."""
    values = np.sort(column)
    edges = values[np.append(True, values[1:] != values[:-1])]
    if len(edges) > N_BINS:
        edges = np.unique(values[np.arange(N_BINS) * len(values) // N_BINS])
    return np.searchsorted(edges[1:], column, side="right").astype(np.uint8)


@njit(cache=True, nogil=True)
def _grow(bins, counts, rows, n_drawn, deepest, state):  # noqa: PLR0917 - kernels take no keywords
    """Grow one tree; return the decrease in impurity of each column and leave `rows` in the order of the leaves."""
    p = len(bins)
    columns = np.arange(p)
    importance = np.zeros(p)
    histogram = np.zeros(N_BINS, np.int64)
    stack = [(0, len(rows), 0)]
    while stack:
        start, stop, depth = stack.pop()
        node = rows[start:stop]
        total = _total(counts, node)
        parent = _purity(total)
        if depth >= deepest or parent == total & LOW_HALF:
            continue
        best, best_column, best_bin = -1.0, -1, -1
        for tried in range(p):
            # draws go on beyond their number only where every column so far is constant within the node
            if tried >= n_drawn and best_column >= 0:
                break
            column = _draw(columns, tried, state)
            purity, last_left = _best_cut(bins[column], counts, node, total, histogram)
            if purity > best:
                best, best_column, best_bin = purity, column, last_left
        if best_column >= 0:
            importance[best_column] += best - parent
            middle = start + _partition(bins[best_column], node, best_bin)
            stack.append((start, middle, depth + 1))
            stack.append((middle, stop, depth + 1))
    return importance


@njit(cache=True, nogil=True)
def _total(counts, node):
    total = np.int64(0)
    for row in node:
        total += counts[row]
    return total


@njit(cache=True, nogil=True)
def _purity(count):
    """Rows times the chance that two of them, drawn with return, are of one class: n (1 - Gini)."""
    n, ones = count & LOW_HALF, count >> 32
    return (ones * ones + (n - ones) * (n - ones)) / n


@njit(cache=True, nogil=True)
def _draw(columns, place, state):
    """Swap a random one of the columns from `place` on to `place` and return it (Marsaglia's xorshift64)."""
    x = state[0]
    x ^= x << np.uint64(13)
    x ^= x >> np.uint64(7)
    x ^= x << np.uint64(17)
    state[0] = x
    other = place + np.int64(x % np.uint64(len(columns) - place))
    columns[place], columns[other] = columns[other], columns[place]
    return columns[place]


@njit(cache=True, nogil=True)
def _best_cut(bins, counts, node, total, histogram):
    """Find the purest cut of a node by one column: its purity and the last bin on the left, -1 if it has one bin.

    `histogram` comes in as zeros and is left as zeros.
    """
    first, last = N_BINS, 0
    for row in node:
        b = np.int64(bins[row])
        histogram[b] += counts[row]
        first, last = min(first, b), max(last, b)
    best, last_left = -1.0, -1
    left = np.int64(0)
    for b in range(first, last):
        if histogram[b] != 0:
            left += histogram[b]
            histogram[b] = 0
            purity = _purity(left) + _purity(total - left)
            if purity > best:
                best, last_left = purity, b
    histogram[last] = 0
    return best, last_left


@njit(cache=True, nogil=True)
def _partition(bins, node, last_left):
    """Move the rows of the left side to the front of the node and return their number."""
    middle = 0
    for i in range(len(node)):
        row = node[i]
        if bins[row] <= last_left:
            node[i] = node[middle]
            node[middle] = row
            middle += 1
    return middle
