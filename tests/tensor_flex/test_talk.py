import numpy as np
import pytest
from sklearn.linear_model import LinearRegression

from mmf.tensor_flex.clusters import members_of, similarity
from mmf.tensor_flex.components import components
from mmf.tensor_flex.talk import ALPHAS, regression, tensor_talk
from tests.tensor_flex.planted import confounded, factors

OPTIONS = {"explained_variance": 0.9, "max_components": 3}
FAMILY = np.repeat(np.arange(3), 6)


def standard(x):
    x = x.astype(float)
    return (x - x.mean(axis=0)) / x.std(axis=0)


def talk_of(Z, label, labels=FAMILY, n_neighbors=2):
    R = Z.T @ Z / len(Z)
    r = Z.T @ standard(label) / len(Z)
    return R, r, tensor_talk(R, r, members_of(labels), similarity(R, labels), n_neighbors=n_neighbors, **OPTIONS)


def test_a_regression_read_from_correlations_is_least_squares_on_rows():
    Z = standard(confounded(700))
    R = Z.T @ Z / len(Z)
    near = [(m, components(R[np.ix_(m, m)], explained_variance=0.97, max_components=3)[1]) for m in members_of(FAMILY)]

    told = Z @ regression(R, near[1:], np.arange(6))

    scores = np.hstack([Z[:, m] @ weights for m, weights in near[1:]])
    assert 2 < scores.shape[1] < 12
    np.testing.assert_allclose(told, LinearRegression().fit(scores, Z[:, :6]).predict(scores), atol=1e-9)


def test_collinear_regressors_tell_what_one_of_them_would():
    Z = standard(confounded(400))
    R = Z.T @ Z / len(Z)
    weights = np.full((6, 1), 1 / 6)

    once = regression(R, [(np.arange(6, 12), weights)], np.arange(6))
    twice = regression(R, [(np.arange(6, 12), weights)] * 2, np.arange(6))

    np.testing.assert_allclose(Z @ once, Z @ twice, atol=1e-9)


def test_a_planted_confounder_is_removed_and_the_own_factor_stays():
    parts = factors(4_000)
    Z = standard(confounded(4_000))
    _, _, talk = talk_of(Z, parts["a"] + parts["b"] + parts["label"])

    residuals = Z @ talk.residual_map

    for k, own in enumerate(("a", "b")):
        before, after = (np.corrcoef(m[:, 6 * k], parts[own])[0, 1] for m in (Z, residuals))
        assert before == pytest.approx(2**-0.5, abs=0.05)
        assert after > 0.9
        assert abs(np.corrcoef(residuals[:, 6 * k], parts["c"])[0, 1]) < 0.1
    assert talk.alphas[:2].tolist() == [1, 1]
    assert talk.neighbors[:2] == ((2, 1), (2, 0))


@pytest.mark.parametrize("signal", ["a", "c"])
def test_shares_left_and_kept_are_those_of_the_rows(signal):
    parts = factors(1_000, seed=3)
    Z = standard(confounded(1_000, seed=3))
    label = parts[signal] + parts["label"]
    _, _, talk = talk_of(Z, label)
    residuals = Z @ talk.residual_map

    for k, near in enumerate(talk.neighbors):
        own, others = k == FAMILY, np.isin(FAMILY, near)
        before, after = (np.corrcoef(m[:, own].T, Z[:, others].T)[:6, 6:] for m in (Z, residuals))
        assert talk.cross_left[k] == pytest.approx(np.abs(after).mean() / np.abs(before).mean())
        kept, had = (np.abs(np.corrcoef(m[:, own].T, label)[-1, :-1]).mean() for m in (residuals, Z))
        assert talk.alignment_kept[k] == pytest.approx(kept / had)


def test_alpha_is_the_best_of_four():
    """Against the definition, written out on rows."""
    random = np.random.default_rng(5)
    chosen = set()
    for seed in range(12):
        parts = factors(500, seed=seed)
        Z = standard(confounded(500, seed=seed, noise=random.uniform(0.3, 3)))
        label = parts["c"] + random.uniform(0, 1) * parts["a"]
        R, _, talk = talk_of(Z, label)
        for k, near in enumerate(talk.neighbors):
            own, others = k == FAMILY, np.isin(FAMILY, near)
            of_near = [np.flatnonzero(j == FAMILY) for j in near]
            regressors = [(m, components(R[np.ix_(m, m)], **OPTIONS)[1]) for m in of_near]
            told = Z @ regression(R, regressors, np.flatnonzero(own))

            def scores(E, own=own, others=others, Z=Z, label=label):
                cross = np.abs(np.corrcoef(E.T, Z[:, others].T)[:6, 6:]).mean()
                return cross, np.abs(np.corrcoef(E.T, label)[-1, :-1]).mean()

            cross, kept = scores(Z[:, own])
            of_alphas = [scores(Z[:, own] - alpha * told) for alpha in ALPHAS]
            best = np.argmax([after[1] / kept * (1 - after[0] / cross) for after in of_alphas])
            assert talk.alphas[k] == ALPHAS[best]
            chosen.add(ALPHAS[best])
    assert len(chosen) >= 2


def test_what_the_label_needs_is_not_subtracted():
    random = np.random.default_rng(0)
    common, own, other = random.normal(size=(3, 3_000))
    x = np.column_stack([common + 0.5 * own, common + 0.5 * other])
    _, _, kept = talk_of(standard(x), common, np.array([0, 1]), n_neighbors=1)
    _, _, told = talk_of(standard(x), own - other, np.array([0, 1]), n_neighbors=1)

    assert kept.alphas.max() < told.alphas.min() == 1


def test_two_clusters_that_are_one_do_not_both_vanish():
    z = np.random.default_rng(0).normal(size=(300, 1))
    Z = standard(np.hstack([z, z, z, z]))
    R, r, _ = talk_of(Z, z[:, 0], np.array([0, 0, 1, 1]), n_neighbors=1)
    rounded = 0.1 * r + np.array([1e-6, -1e-6, 0, 0])  # nothing is left, yet rounding looks like alignment

    talk = tensor_talk(R, rounded, [np.arange(2), np.arange(2, 4)], np.ones((2, 2)), n_neighbors=1, **OPTIONS)

    assert talk.alphas.tolist() == [0.25, 0.25]
    np.testing.assert_allclose(Z @ talk.residual_map, 0.75 * Z, atol=1e-9)


@pytest.mark.parametrize(("labels", "n_neighbors"), [(np.zeros(18, int), 3), (FAMILY, 0)])
def test_without_neighbors_nothing_is_subtracted(labels, n_neighbors):
    Z = standard(confounded(300))
    _, _, talk = talk_of(Z, Z[:, 0], labels, n_neighbors=n_neighbors)

    np.testing.assert_array_equal(talk.residual_map, np.eye(18))
    assert not talk.alphas.any()
    assert talk.neighbors == ((),) * (labels.max() + 1)
