"""Tensor Talk: clusters tell their nearest clusters what they have in common, and each keeps what is its own."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mmf.tensor_flex.components import components

ALPHAS = (0.25, 0.5, 0.75, 1.0)
LEAST_LEFT = 1e-3  # variance left below which residuals drown in the rounding of correlations


@dataclass(frozen=True)
class Talk:
    """What was subtracted from each of k clusters.

    Attributes
    ----------
    residual_map : np.ndarray
        (p, p): residuals of all columns are columns @ residual_map.
    neighbors : tuple of tuple of int
        The clusters that each was regressed on, most similar first.
    alphas : np.ndarray
        (k,) share of the prediction that was subtracted; 0 for the only cluster.
    cross_left, alignment_kept : np.ndarray
        (k,) mean absolute correlation with the neighbours' columns and with the label after the talk, as shares of
        those before it.
    """

    residual_map: np.ndarray
    neighbors: tuple[tuple[int, ...], ...]
    alphas: np.ndarray
    cross_left: np.ndarray
    alignment_kept: np.ndarray


def tensor_talk(
    correlation: np.ndarray,
    alignment: np.ndarray,
    members: Sequence[np.ndarray],
    similarities: np.ndarray,
    /,
    *,
    n_neighbors: int,
    explained_variance: float,
    max_components: int,
) -> Talk:
    """Regress each cluster on its most similar clusters and subtract alpha times the prediction.

    Parameters
    ----------
    correlation : np.ndarray
        (p, p) of the columns.
    alignment : np.ndarray
        (p,) correlations of the columns with the label.
    members : sequence of np.ndarray
        Places of the columns of each of k clusters.
    similarities : np.ndarray
        (k, k) by which neighbours are chosen.
    n_neighbors : int
        Clusters that each is regressed on.
    explained_variance, max_components
        A neighbour enters by its principal components, as many as these say.

    Notes
    -----
    Regressors are components and not columns: columns of a cluster are nearly collinear, and regressing on all of
    them would subtract what is a cluster's own by accident of the sample. All clusters are regressed on each other
    as they were before the talk, so that their order cannot matter.

    Of the alphas 0.25, 0.5, 0.75 and 1 the one is taken that makes the share of label alignment kept times the share
    of cross-correlation removed largest, the smaller where two are alike. (Their sum would take alpha 1 nearly
    always, and where clusters share what the label needs it would be lost to both.) An alpha that leaves less than
    a thousandth of the variance is not taken: two clusters that are nearly one would both vanish.
    """
    options = {"explained_variance": explained_variance, "max_components": max_components}
    weights = [components(correlation[np.ix_(m, m)], **options)[1] for m in members]
    residual_map = np.eye(len(correlation))
    neighbors = [_nearest(row, k, n_neighbors) for k, row in enumerate(similarities)]
    figures = np.zeros((len(members), 3))
    for k, near in enumerate(neighbors):
        if near:
            prediction = regression(correlation, [(members[j], weights[j]) for j in near], members[k])
            places = np.concatenate([members[j] for j in near])
            figures[k] = _choose(correlation, alignment, members[k], places, prediction)
            residual_map[:, members[k]] -= figures[k, 0] * prediction
        else:
            figures[k] = 0.0, 1.0, 1.0
    return Talk(residual_map, tuple(neighbors), *figures.T)


def regression(
    correlation: np.ndarray, regressors: Sequence[tuple[np.ndarray, np.ndarray]], targets: np.ndarray, /
) -> np.ndarray:
    """Least squares of columns on components of other columns, from correlations alone.

    Parameters
    ----------
    correlation : np.ndarray
        (p, p).
    regressors : sequence of (places, weights)
        Columns, and the (len(places), c) weights that make components of them.
    targets : np.ndarray
        Places of the t columns to predict.

    Returns
    -------
    np.ndarray
        (p, t): predictions are columns @ it. The smallest of all solutions where regressors are collinear.
    """
    W = np.zeros((len(correlation), sum(weights.shape[1] for _, weights in regressors)))
    start = 0
    for places, weights in regressors:
        stop = start + weights.shape[1]
        W[places, start:stop] = weights
        start = stop
    with_all = W.T @ correlation
    return W @ (np.linalg.pinv(with_all @ W, rcond=1e-5, hermitian=True) @ with_all[:, targets])


# ------------------------------------------------------------------------------------


def _nearest(similarities: np.ndarray, cluster: int, n: int) -> tuple[int, ...]:
    order = np.argsort(-similarities, kind="stable")
    return tuple(int(j) for j in order[order != cluster][:n])


def _choose(
    correlation: np.ndarray, alignment: np.ndarray, own: np.ndarray, near: np.ndarray, prediction: np.ndarray
) -> tuple[float, float, float]:
    """Alpha, share of cross-correlation left, share of alignment kept."""
    cross, cross_told = correlation[np.ix_(near, own)], correlation[near] @ prediction
    label, label_told = alignment[own], alignment @ prediction
    # the prediction is a projection, so its covariance with the target is its variance
    told = np.einsum("ij,ij->j", correlation[:, own], prediction)
    before = np.abs(cross).mean(), np.abs(label).mean()
    best, best_score = (0.0, 1.0, 1.0), -np.inf
    for alpha in ALPHAS:
        left = 1 - (2 - alpha) * alpha * told
        if left.mean() < LEAST_LEFT:
            continue
        spread = np.sqrt(np.maximum(left, LEAST_LEFT))
        cross_left = _share(np.abs((cross - alpha * cross_told) / spread).mean(), before[0])
        kept = _share(np.abs((label - alpha * label_told) / spread).mean(), before[1])
        score = round(kept * (1 - cross_left), 6)
        if score > best_score:
            best, best_score = (alpha, cross_left, kept), score
    return best


def _share(after: float, before: float) -> float:
    return after / before if before > 0 else 1.0
