"""The council's first voter: the Lasso, its penalty chosen over time-ordered folds."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numba import njit
from threadpoolctl import threadpool_limits

Fold = tuple[np.ndarray, np.ndarray]

N_PENALTIES = 100
SMALLEST_PENALTY = 1e-3  # of the largest, at which the first coefficient leaves zero
BLOCK = 20  # penalties walked between two looks at the folds' errors
TOLERANCE = 1e-4  # of the duality gap, as a share of the sum of squares of y
MAX_PASSES = 1_000
TILE_COLUMNS = 256


@dataclass(frozen=True)
class Problem:
    """All that a Lasso with an intercept needs to know of n rows.

    Attributes
    ----------
    n : int
        Rows.
    means : np.ndarray
        (p + 1,) means of the columns and, last, of y.
    gram, xy, yy : np.ndarray, np.ndarray, float
        Sums of products about those means: (p, p) of columns, (p,) of columns and y, and of y with itself.
    """

    n: int
    means: np.ndarray
    gram: np.ndarray
    xy: np.ndarray
    yy: float


def lasso(Z: np.ndarray, y: np.ndarray, /, *, folds: Sequence[Fold], n_threads: int = 1) -> tuple[np.ndarray, float]:
    """Fit a Lasso with the penalty that predicts best over the folds.

    Parameters
    ----------
    Z : np.ndarray
        (n, p) float32 standardised columns (see `mmf.alpha_council.ranking.standardise`).
    y : np.ndarray
        (n,) target, here the class 0 or 1.
    folds : sequence of (train, valid)
        Row indices; the squared error of a penalty is averaged over them.
    n_threads : int
        Tiles of the Gram matrix and folds are shared out among this many threads; the result does not depend on it.

    Returns
    -------
    coefficients : np.ndarray
        (p,) float64.
    penalty : float
        The penalty chosen (`alpha` in scikit-learn).

    Notes
    -----
    The problem, the 100 penalties and the stopping rule of `sklearn.linear_model.LassoCV(cv=folds)`. Three things
    make it fast. One Gram matrix grows from fold to fold, since the training rows of time-ordered folds contain
    one another. Descent runs on a working set of columns. And penalties are walked from the largest down in blocks
    of 20 until a whole block betters nothing: the small ones, which fit noise, cost nearly all of a full path.

    BLAS is held to one thread and fed tiles of a fixed size, so that the bits do not change with the number of
    threads.

    References
    ----------
    J. Friedman, T. Hastie, R. Tibshirani, Regularization Paths for Generalized Linear Models via Coordinate Descent,
    Journal of Statistical Software 33(1), 2010.
    """
    table = np.vstack([Z.T, y.astype(np.float32)])
    row_sets = [*(train for train, _ in folds), np.arange(len(y))]
    with threadpool_limits(1, "blas"), ThreadPoolExecutor(n_threads) as pool:
        *of_folds, whole = _problems(table, row_sets, pool)
        largest = float(np.abs(whole.xy).max()) / whole.n
        if largest <= np.finfo(np.float32).eps:
            return np.zeros(len(whole.xy)), largest
        penalties = np.geomspace(largest, largest * SMALLEST_PENALTY, N_PENALTIES)
        valids = [table[:, valid] for _, valid in folds]
        best = _best_penalty(of_folds, valids, penalties, pool)
        return _path(whole, penalties[: best + 1], np.zeros(len(whole.xy)))[-1], float(penalties[best])


# ------------------------------------------------------------------------------------


def _problems(table: np.ndarray, row_sets: Sequence[np.ndarray], pool: ThreadPoolExecutor) -> Iterator[Problem]:
    """Set up the problem of each set of rows from the one before it: rows come in and rows go out."""
    sums, products = np.zeros(len(table)), np.zeros((len(table), len(table)))
    before = np.array([], np.int64)
    for rows in row_sets:
        for sign, changed in ((1, np.setdiff1d(rows, before)), (-1, np.setdiff1d(before, rows))):
            part = table[:, changed]
            sums += sign * part.sum(axis=1, dtype=np.float64)
            _add_products(products, part, sign, pool)
        before = rows
        n = len(rows)
        centred = products - np.outer(sums, sums / n)
        yield Problem(
            n, sums / n, np.ascontiguousarray(centred[:-1, :-1]), centred[:-1, -1].copy(), float(centred[-1, -1])
        )


def _add_products(products: np.ndarray, part: np.ndarray, sign: int, pool: ThreadPoolExecutor) -> None:
    """Add the products of all pairs of rows of `part`, tile by tile."""
    cuts = [slice(i, i + TILE_COLUMNS) for i in range(0, len(part), TILE_COLUMNS)]

    def add(pair: tuple[slice, slice]) -> None:
        a, b = pair
        tile = sign * (part[a] @ part[b].T)
        products[a, b] += tile
        if a != b:
            products[b, a] += tile.T

    list(pool.map(add, [(a, b) for i, a in enumerate(cuts) for b in cuts[i:]]))


def _best_penalty(
    problems: Sequence[Problem], valids: Sequence[np.ndarray], penalties: np.ndarray, pool: ThreadPoolExecutor
) -> int:
    """Index of the penalty with the least mean squared error over the folds."""
    errors = np.empty(0)
    ends = [np.zeros(len(problem.xy)) for problem in problems]
    for start in range(0, len(penalties), BLOCK):
        block = penalties[start : start + BLOCK]
        paths = list(pool.map(lambda problem, end, block=block: _path(problem, block, end), problems, ends))
        ends = [path[-1] for path in paths]
        block_errors = list(pool.map(_squared_errors, problems, paths, valids))
        errors = np.append(errors, np.mean(block_errors, axis=0))
        if errors.argmin() < start:
            break
    return int(errors.argmin())


def _path(problem: Problem, penalties: np.ndarray, start: np.ndarray) -> np.ndarray:
    """Return (len(penalties), p) coefficients for falling penalties, each found from the one before."""
    path = np.empty((len(penalties), len(start)))
    w = start
    previous = penalties[0]
    for step, penalty in enumerate(penalties):
        # a column whose slope is smaller is unlikely to enter between the two penalties (the strong rule)
        likely = problem.n * (2 * penalty - previous)
        path[step] = w = _solve(problem, problem.n * penalty, w, likely)
        previous = penalty
    return path


def _solve(problem: Problem, penalty: float, start: np.ndarray, likely: float) -> np.ndarray:
    """Descend on a working set of columns until the duality gap over all of them is small."""
    w = start.copy()
    diagonal = np.diag(problem.gram)
    slope = _slope(problem, w)
    is_working = (diagonal > 0) & ((w != 0) | (np.abs(slope) >= likely))
    precision = TOLERANCE
    passes = 0
    while passes < MAX_PASSES:
        working = np.flatnonzero(is_working)
        w[working], done = _descend(
            problem.gram[np.ix_(working, working)], slope[working], w[working], penalty, precision
        )
        passes += done
        slope = _slope(problem, w)
        if _duality_gap(problem, w, slope, penalty) <= TOLERANCE * problem.yy:
            break
        is_forgotten = (diagonal > 0) & (np.abs(slope) > penalty) & ~is_working
        is_working |= is_forgotten
        if not is_forgotten.any():
            precision /= 10
    return w


def _slope(problem: Problem, w: np.ndarray) -> np.ndarray:
    """Products of the columns and the residual."""
    used = np.flatnonzero(w)
    return problem.xy - w[used] @ problem.gram[used]


def _duality_gap(problem: Problem, w: np.ndarray, slope: np.ndarray, penalty: float) -> float:
    """Distance to the optimum at most; 0 at it."""
    explained = w @ problem.xy
    residual = problem.yy - explained - w @ slope
    scale = penalty / max(np.abs(slope).max(), penalty)
    return 0.5 * residual * (1 + scale**2) + penalty * np.abs(w).sum() - scale * (problem.yy - explained)


def _squared_errors(problem: Problem, path: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """Mean squared error on the validation rows for each penalty of a path."""
    used = np.flatnonzero(path.any(axis=0))
    intercepts = problem.means[-1] - path @ problem.means[:-1]
    predicted = path[:, used] @ valid[used] + intercepts[:, None]
    return ((valid[-1] - predicted) ** 2).mean(axis=1)


@njit(cache=True, nogil=True)
def _descend(gram, slope, w, penalty, precision):
    """Pass over all columns until none moves by more than `precision` of the largest; count the passes."""
    p = len(w)
    for passes in range(1, MAX_PASSES + 1):
        largest = moved = 0.0
        for a in range(p):
            pull = slope[a] + w[a] * gram[a, a]
            new = np.sign(pull) * max(abs(pull) - penalty, 0.0) / gram[a, a]
            step = new - w[a]
            if step != 0.0:
                w[a] = new
                for b in range(p):
                    slope[b] -= step * gram[a, b]
            moved = max(moved, abs(step))
            largest = max(largest, abs(new))
        if moved <= precision * largest:
            return w, passes
    return w, MAX_PASSES
