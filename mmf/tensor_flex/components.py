"""Principal components of a few columns, read from their covariance matrix."""

import numpy as np

ROUNDING = 1e-6  # share of the variance that is no direction of its own


def components(
    covariance: np.ndarray, /, *, explained_variance: float, max_components: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return the leading components of (p, p) covariances.

    Parameters
    ----------
    covariance : np.ndarray
        (p, p), of a positive trace.
    explained_variance : float
        Share of the variance at which no further component is taken.
    max_components : int
        Components at most.

    Returns
    -------
    variances : np.ndarray
        (k,) falling.
    weights : np.ndarray
        (p, k): columns @ weights has variance 1 in each component, and components do not correlate. The sign makes
        the largest weight positive, the first of those that are as large.
    """
    variances, vectors = np.linalg.eigh(covariance)
    variances, vectors = variances[::-1], vectors[:, ::-1]
    shares = variances / variances.sum()
    n_needed = int(np.searchsorted(np.cumsum(shares), explained_variance - ROUNDING)) + 1
    k = min(n_needed, max_components)
    return variances[:k], _signed(vectors[:, :k]) / np.sqrt(variances[:k])


# ------------------------------------------------------------------------------------


def _signed(vectors: np.ndarray) -> np.ndarray:
    sizes = np.abs(vectors)
    # a column and its negative have equal sizes but for rounding, which must not choose between them
    leading = np.argmax(sizes >= 0.999 * sizes.max(axis=0), axis=0)
    return vectors * np.sign(vectors[leading, np.arange(vectors.shape[1])])
