import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.ensemble import RandomForestClassifier
from sklearn.tree import DecisionTreeClassifier

from mmf.alpha_council import forest
from mmf.alpha_council.forest import forest_importance


def noisy_classes(n=1_500, p=30, seed=0):
    """Columns of falling use: the class leans on column j with weight 1 / (j + 1)."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, p)).astype(np.float32)
    signal = X @ (1 / (1 + np.arange(p)))
    return X, (signal + rng.normal(size=n) > 0).astype(np.int64)


def grow_on_all_columns(X, codes, weights, depth):
    """One tree that looks at every column in every node; decrease in impurity as a share of the weights."""
    bins = np.stack([forest._quantile_bins(column) for column in X.T])
    counts = weights + ((weights * codes) << 32)
    rows = np.flatnonzero(weights)
    return forest._grow(bins, counts, rows, X.shape[1], depth, np.array([1], np.uint64)) / weights.sum()


@pytest.mark.parametrize("max_depth", [None, 3])
def test_agrees_with_scikit_learn_as_two_of_its_forests_agree(max_depth):
    X, codes = noisy_classes()
    theirs = [
        RandomForestClassifier(100, max_depth=max_depth, random_state=seed).fit(X, codes).feature_importances_
        for seed in (0, 1)
    ]

    ours = forest_importance(X, codes, n_estimators=100, max_depth=max_depth)

    assert np.abs(ours - theirs[0]).max() < 2 * np.abs(theirs[0] - theirs[1]).max()
    assert ours.sum() == pytest.approx(1)


@pytest.mark.parametrize("depth", [1, 2, 3])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_tree_that_sees_every_column_is_the_tree_of_scikit_learn(depth, seed):
    X, codes = noisy_classes(n=250, p=5, seed=seed)  # at most 256 values: each has a bin of its own
    weights = np.bincount(np.random.default_rng(seed).integers(250, size=250), minlength=250)

    tree = DecisionTreeClassifier(max_depth=depth).fit(X, codes, sample_weight=weights).tree_

    np.testing.assert_allclose(
        grow_on_all_columns(X, codes, weights, depth), tree.compute_feature_importances(normalize=False), atol=1e-12
    )


def test_a_tree_goes_on_where_the_first_cut_gains_nothing():
    X = np.array([[0, 0], [0, 1], [1, 0], [1, 1]] * 10, np.float32)
    codes = np.logical_xor(*X.T.astype(bool)).astype(np.int64)

    importance = grow_on_all_columns(X, codes, np.ones(40, np.int64), 40)

    assert importance.sum() == pytest.approx(0.5)  # from the impurity of two even classes to none


def test_a_node_draws_on_until_it_meets_a_column_that_differs():
    bins = np.zeros((51, 40), np.uint8)
    codes = np.arange(40) % 2
    bins[50] = codes
    counts = 1 + (codes << 32)

    for state in range(1, 20):
        importance = forest._grow(bins, counts, np.arange(40), 1, 40, np.array([state], np.uint64))
        assert importance[50] == 20  # 40 rows, from an impurity of 1/2 to none


def test_constant_columns_have_no_importance_and_cost_the_others_none():
    X, codes = noisy_classes(n=300, p=3)
    padded = np.column_stack([np.full((300, 200), 7.0, np.float32), X])

    importance = forest_importance(padded, codes, n_estimators=20)

    assert not importance[:200].any()
    assert importance[200:].sum() == pytest.approx(1)


def test_nothing_to_split_gives_no_importance():
    assert not forest_importance(np.ones((20, 3), np.float32), np.arange(20) % 2, n_estimators=3).any()


def test_depends_on_the_seed_and_not_on_the_threads():
    X, codes = noisy_classes(n=300)

    one = forest_importance(X, codes, n_estimators=12, seed=3)

    np.testing.assert_array_equal(one, forest_importance(X, codes, n_estimators=12, seed=3, n_threads=3))
    assert (one != forest_importance(X, codes, n_estimators=12, seed=4)).any()


@settings(max_examples=100, deadline=None, derandomize=True)
@given(column=hnp.arrays(np.float32, st.integers(1, 600), elements=st.floats(-1e3, 1e3, width=32), fill=st.nothing()))
def test_bins_keep_order_and_part_what_they_can(column):
    bins = forest._quantile_bins(column).astype(int)
    order = np.argsort(column, kind="stable")

    assert (np.diff(bins[order]) >= 0).all()
    assert (bins[order][1:][np.diff(column[order]) == 0] == bins[order][:-1][np.diff(column[order]) == 0]).all()
    if len(np.unique(column)) <= 256:
        assert len(np.unique(bins)) == len(np.unique(column))


def test_bins_of_many_values_are_about_equal():
    column = np.random.default_rng(0).standard_cauchy(10_240).astype(np.float32)

    assert np.bincount(forest._quantile_bins(column)).tolist() == [40] * 256
