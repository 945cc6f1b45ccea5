import numpy as np
import pytest

from mmf.tensor_flex.clusters import members_of
from mmf.tensor_flex.distil import distil
from tests.tensor_flex.planted import confounded, factors

OPTIONS = {"max_clusters": 3, "merge_above": 1.0, "n_neighbors": 2, "explained_variance": 0.9, "max_components": 3}


def distilled_of(x, label):
    Z = (x - x.mean(axis=0)) / x.std(axis=0)
    y = (label - label.mean()) / label.std()
    return Z, distil(Z.T @ Z / len(Z), Z.T @ y / len(Z), **OPTIONS)


def test_correlations_after_the_talk_are_those_of_residuals_on_rows():
    Z, distilled = distilled_of(confounded(900).astype(float), factors(900)["a"])
    residuals = Z @ distilled.talk.residual_map
    R = np.abs(np.corrcoef(residuals.T))

    for k, own in enumerate(members_of(distilled.labels)):
        others = np.flatnonzero(distilled.labels != k)
        within = R[np.ix_(own, own)][~np.eye(len(own), dtype=bool)].mean()
        assert distilled.similarity_after[k, k] == pytest.approx(within)
        assert distilled.outward_after[k] == pytest.approx(R[np.ix_(own, others)].mean())
    np.testing.assert_allclose(distilled.variance_left, residuals.var(axis=0))


def test_latents_follow_clusters_and_explain_shares_of_what_is_left():
    Z, distilled = distilled_of(confounded(900).astype(float), factors(900)["a"])

    order = list(zip(distilled.cluster.tolist(), distilled.component.tolist(), strict=True))
    assert order == sorted(order)
    assert distilled.component[np.unique(distilled.cluster, return_index=True)[1]].tolist() == [1, 1, 1]
    residuals = Z @ distilled.talk.residual_map
    for k, own in enumerate(members_of(distilled.labels)):
        leading = np.linalg.eigvalsh(np.cov(residuals[:, own].T))[::-1]
        ours = distilled.explained[distilled.cluster == k]
        np.testing.assert_allclose(ours, (leading / leading.sum())[: len(ours)])


def test_a_column_of_which_nothing_is_left_correlates_with_nothing():
    random = np.random.default_rng(0)
    a, b, c = random.normal(size=(3, 500))
    _, distilled = distilled_of(np.column_stack([a, a, b, b, a + b, a + b + 0.8 * c]), c)

    assert distilled.labels.tolist() == [0, 0, 1, 1, 2, 2]
    assert 0 <= distilled.variance_left[4] < 1e-9
    assert np.nanmax(distilled.outward_after) <= 1
    assert np.nanmax(distilled.similarity_after) <= 1
