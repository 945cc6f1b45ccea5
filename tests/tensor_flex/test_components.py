import numpy as np
import pytest
from sklearn.decomposition import PCA

from mmf.tensor_flex.components import components


def sample(n=800, p=7, seed=0):
    random = np.random.default_rng(seed)
    x = random.normal(size=(n, p)) @ random.normal(size=(p, p))
    return x - x.mean(axis=0)


@pytest.mark.parametrize("explained_variance", [0.3, 0.8, 0.95, 1.0])
def test_scores_are_those_of_a_whitened_pca(explained_variance):
    x = sample()
    twin = PCA(explained_variance if explained_variance < 1 else None, whiten=True, svd_solver="full").fit(x)

    variances, weights = components(x.T @ x / 800, explained_variance=explained_variance, max_components=99)

    assert len(variances) == twin.n_components_
    np.testing.assert_allclose(variances, twin.explained_variance_ * 799 / 800)
    scores, expected = x @ weights, twin.transform(x) * np.sqrt(800 / 799)
    np.testing.assert_allclose(np.abs(scores), np.abs(expected), atol=1e-9)
    np.testing.assert_allclose(np.cov(scores.T, bias=True), np.eye(len(variances)), atol=1e-9)


def test_there_are_no_more_than_asked():
    assert len(components(np.eye(5), explained_variance=1, max_components=2)[0]) == 2


def test_copies_of_a_column_are_one_component():
    variances, weights = components(np.ones((4, 4)), explained_variance=1, max_components=9)

    np.testing.assert_allclose(variances, [4])
    np.testing.assert_allclose(weights, np.full((4, 1), 0.25))


@pytest.mark.parametrize("sign", [1, -1])
def test_the_first_of_the_largest_weights_is_positive(sign):
    mirrored = np.array([[1, -0.9, 0.1], [-0.9, 1, -0.1], [0.1, -0.1, 1]]) * np.outer([1, sign, 1], [1, sign, 1])
    for tilt in (1e-12, -1e-12):  # rounding must not choose between a column and its negative
        _, weights = components(mirrored + np.diag([tilt, 0, 0]), explained_variance=0.5, max_components=1)
        assert weights[0, 0] > 0
