"""From correlations to latents: clusters, Tensor Talk, principal components."""

from dataclasses import dataclass

import numpy as np

from mmf.tensor_flex.clusters import correlated_clusters, members_of, outward, similarity
from mmf.tensor_flex.components import components
from mmf.tensor_flex.talk import LEAST_LEFT, Talk, tensor_talk


@dataclass(frozen=True)
class Distilled:
    """k clusters of p columns, and the q latents made of them.

    Attributes
    ----------
    labels : np.ndarray
        (p,) cluster of each column.
    talk : Talk
        What was subtracted from each cluster.
    weights : np.ndarray
        (p, q): latents are standardised columns @ weights, of mean 0 and variance 1.
    cluster, component : np.ndarray
        (q,) cluster of a latent, and its place in it from 1.
    explained : np.ndarray
        (q,) share of the variance of the cluster's residuals.
    variance_left : np.ndarray
        (p,) variance of the residual of each standardised column.
    similarity_before, similarity_after : np.ndarray
        (k, k) see `mmf.tensor_flex.clusters.similarity`; of columns and of their residuals.
    outward_before, outward_after : np.ndarray
        (k,) see `mmf.tensor_flex.clusters.outward`. What is left of a column with less than a thousandth of its
        variance correlates with nothing in these.
    """

    labels: np.ndarray
    talk: Talk
    weights: np.ndarray
    cluster: np.ndarray
    component: np.ndarray
    explained: np.ndarray
    variance_left: np.ndarray
    similarity_before: np.ndarray
    similarity_after: np.ndarray
    outward_before: np.ndarray
    outward_after: np.ndarray


def distil(
    correlation: np.ndarray,
    alignment: np.ndarray,
    /,
    *,
    max_clusters: int,
    merge_above: float,
    n_neighbors: int,
    explained_variance: float,
    max_components: int,
) -> Distilled:
    """Cluster, subtract what clusters share, and take components of what is left.

    Parameters
    ----------
    correlation : np.ndarray
        (p, p) float64.
    alignment : np.ndarray
        (p,) correlations of the columns with the label.
    max_clusters, merge_above
        See `mmf.tensor_flex.clusters.correlated_clusters`.
    n_neighbors
        See `mmf.tensor_flex.talk.tensor_talk`.
    explained_variance, max_components
        See `mmf.tensor_flex.components.components`.
    """
    options = {"explained_variance": explained_variance, "max_components": max_components}
    labels = correlated_clusters(correlation, max_clusters=max_clusters, merge_above=merge_above)
    members, before = members_of(labels), similarity(correlation, labels)
    talk = tensor_talk(correlation, alignment, members, before, n_neighbors=n_neighbors, **options)
    residual = talk.residual_map.T @ correlation @ talk.residual_map
    variance_left = np.maximum(np.diag(residual), 0)
    spread = np.sqrt(np.maximum(variance_left, LEAST_LEFT))
    residual_correlation = residual / np.outer(spread, spread)
    parts = [components(residual[np.ix_(m, m)], **options) for m in members]
    counts = np.array([len(variances) for variances, _ in parts], np.int64)
    return Distilled(
        labels=labels,
        talk=talk,
        weights=np.hstack(
            [
                np.zeros((len(labels), 0)),
                *(talk.residual_map[:, m] @ w for m, (_, w) in zip(members, parts, strict=True)),
            ]
        ),
        cluster=np.repeat(np.arange(len(members)), counts),
        component=np.concatenate([np.zeros(0, np.int64), *(np.arange(1, n + 1) for n in counts)]),
        explained=np.concatenate(
            [np.zeros(0), *(v / variance_left[m].sum() for m, (v, _) in zip(members, parts, strict=True))]
        ),
        variance_left=variance_left,
        similarity_before=before,
        similarity_after=similarity(residual_correlation, labels),
        outward_before=outward(correlation, labels),
        outward_after=outward(residual_correlation, labels),
    )
