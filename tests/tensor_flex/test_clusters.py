import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.cluster import AgglomerativeClustering

from mmf.tensor_flex.clusters import correlated_clusters, members_of, outward, similarity


def correlation_of(n_families, n_each, *, noise=0.5, n=2_000, seed=0):
    random = np.random.default_rng(seed)
    x = np.repeat(random.normal(size=(n, n_families)), n_each, axis=1)
    return np.corrcoef((x + noise * random.normal(size=x.shape)).T)


def same_groups(one, other):
    return len(set(zip(one, other, strict=True))) == len(set(one)) == len(set(other))


@pytest.mark.parametrize("n_families", [2, 5, 9])
def test_planted_families_are_found(n_families):
    labels = correlated_clusters(correlation_of(n_families, 4), max_clusters=n_families, merge_above=0.95)

    assert labels.tolist() == np.repeat(np.arange(n_families), 4).tolist()


def test_a_mirrored_column_belongs_with_its_original():
    R = correlation_of(3, 4)
    sign = np.where(np.arange(12) % 2, -1, 1)

    mirrored = correlated_clusters(R * np.outer(sign, sign), max_clusters=3, merge_above=0.95)

    np.testing.assert_array_equal(mirrored, correlated_clusters(R, max_clusters=3, merge_above=0.95))


@pytest.mark.parametrize("max_clusters", [1, 2, 7, 20, 39, 40])
def test_groups_are_those_of_scikit_learn(max_clusters):
    R = correlation_of(10, 4, noise=1.5, n=300)
    twin = AgglomerativeClustering(max_clusters, metric="precomputed", linkage="average").fit(1 - np.abs(R))

    assert same_groups(correlated_clusters(R, max_clusters=max_clusters, merge_above=1), twin.labels_)


def test_copies_share_a_cluster_though_there_is_room():
    R = np.corrcoef(np.repeat(np.random.default_rng(0).normal(size=(3, 500)), 2, axis=0))

    assert correlated_clusters(R, max_clusters=64, merge_above=0.95).tolist() == [0, 0, 1, 1, 2, 2]


@pytest.mark.parametrize("p", [0, 1])
def test_no_pair_is_no_trouble(p):
    labels = correlated_clusters(np.eye(p), max_clusters=64, merge_above=0.95)

    assert labels.tolist() == [0] * p
    assert len(members_of(labels)) == p


@given(p=st.integers(1, 30), n=st.integers(3, 40), most=st.integers(1, 12), seed=st.integers(0, 99))
def test_at_most_so_many_and_numbered_by_their_first_columns(p, n, most, seed):
    R = np.corrcoef(np.random.default_rng(seed).normal(size=(p, n))).reshape(p, p)

    labels = correlated_clusters(R, max_clusters=most, merge_above=0.99)

    assert labels.max() < most
    firsts = [m[0] for m in members_of(labels)]
    assert firsts == sorted(firsts)
    assert sorted(np.concatenate(members_of(labels))) == list(range(p))


def test_mean_absolute_correlations():
    R = np.array([[1, 0.8, -0.1, 0.3], [0.8, 1, 0.2, -0.4], [-0.1, 0.2, 1, 0.5], [0.3, -0.4, 0.5, 1]])
    labels = np.array([0, 0, 1, 2])

    expected = [[0.8, 0.15, 0.35], [0.15, np.nan, 0.5], [0.35, 0.5, np.nan]]
    np.testing.assert_allclose(similarity(R, labels), expected)
    np.testing.assert_allclose(outward(R, labels), [(0.1 + 0.3 + 0.2 + 0.4) / 4, 0.8 / 3, 1.2 / 3])
    assert np.isnan(outward(R, np.zeros(4, int)))
