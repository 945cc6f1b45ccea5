from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from sklearn.linear_model import Lasso, LassoCV, lasso_path
from sklearn.model_selection import KFold, TimeSeriesSplit

from mmf.alpha_council import linear
from mmf.alpha_council.linear import lasso
from mmf.alpha_council.ranking import standardise


def correlated(n=600, p=40, n_useful=4, noise=3.0, seed=0):
    """Standardised columns in families of near copies, and a class that a few of them tell."""
    rng = np.random.default_rng(seed)
    X = np.repeat(rng.normal(size=(n, p // 4)), 4, axis=1) + 0.3 * rng.normal(size=(n, p))
    codes = (X[:, : 4 * n_useful : 4].sum(axis=1) + noise * rng.normal(size=n) > 0).astype(np.int64)
    return standardise(np.asfortranarray(X, np.float32)), codes


def problem_of(Z, codes):
    with ThreadPoolExecutor(1) as pool:
        (problem,) = linear._problems(np.vstack([Z.T, codes.astype(np.float32)]), [np.arange(len(Z))], pool)
    return problem


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("noise", [0.5, 3.0, 20.0])
def test_chooses_the_penalty_and_the_columns_of_lasso_cv(seed, noise):
    Z, codes = correlated(noise=noise, seed=seed)
    folds = list(TimeSeriesSplit(5, gap=3).split(Z))

    coefficients, penalty = lasso(Z, codes, folds=folds)

    twin = LassoCV(cv=folds, tol=1e-7, max_iter=100_000).fit(Z.astype(np.float64), codes)
    assert penalty == pytest.approx(twin.alpha_, rel=1e-5)
    np.testing.assert_allclose(coefficients, twin.coef_, atol=5e-3)
    ours, theirs = (set(np.argsort(-np.abs(c), kind="stable")[:20]) for c in (coefficients, twin.coef_))
    assert len(ours & theirs) >= 18


def test_folds_need_not_grow():
    Z, codes = correlated(n=200)
    folds = list(KFold(4).split(Z))

    coefficients, penalty = lasso(Z, codes, folds=folds)

    twin = LassoCV(cv=folds, tol=1e-7, max_iter=100_000).fit(Z.astype(np.float64), codes)
    assert penalty == pytest.approx(twin.alpha_, rel=1e-5)
    np.testing.assert_allclose(coefficients, twin.coef_, atol=5e-3)


def test_a_whole_path_is_that_of_scikit_learn_though_columns_outnumber_rows(monkeypatch):
    monkeypatch.setattr(linear, "TOLERANCE", 1e-7)
    Z, codes = correlated(n=60, p=120)
    penalties = np.geomspace(0.2, 0.002, 30)

    path = linear._path(problem_of(Z, codes), penalties, np.zeros(120))

    X = Z.astype(np.float64)
    _, expected, _ = lasso_path(X - X.mean(axis=0), codes - codes.mean(), alphas=penalties, tol=1e-9, max_iter=10**6)
    np.testing.assert_allclose(path @ X.T, expected.T @ X.T, atol=2e-3)


def test_a_column_that_only_clears_up_another_is_found():
    rng = np.random.default_rng(0)
    signal, disturbance = rng.normal(size=(2, 2_000))
    X = np.column_stack([signal + disturbance, disturbance, rng.normal(size=(2_000, 3))])
    Z = standardise(np.asfortranarray(X, np.float32))
    codes = (signal > 0).astype(np.int64)
    problem = problem_of(Z, codes)
    assert abs(problem.xy[1]) / problem.n < 0.02  # alone it tells nothing

    (w,) = linear._path(problem, np.array([0.02]), np.zeros(5))

    assert w[1] < -0.1
    np.testing.assert_allclose(w, Lasso(alpha=0.02, tol=1e-10).fit(Z.astype(float), codes).coef_, atol=5e-3)


def test_a_class_that_no_column_tells_leaves_the_lasso_empty():
    rng = np.random.default_rng(0)
    Z = standardise(np.asfortranarray(rng.normal(size=(400, 20)), np.float32))

    coefficients, penalty = lasso(Z, rng.integers(0, 2, 400), folds=list(TimeSeriesSplit(5).split(Z)))

    assert not coefficients.any()
    assert penalty > 0


def test_columns_without_spread_stay_at_zero():
    Z, codes = correlated()
    folds = list(TimeSeriesSplit(3).split(Z))

    coefficients, _ = lasso(np.column_stack([np.zeros(len(Z), np.float32), Z]), codes, folds=folds)
    nothing, penalty = lasso(np.zeros_like(Z), codes, folds=folds)

    assert coefficients[0] == 0
    np.testing.assert_allclose(coefficients[1:], lasso(Z, codes, folds=folds)[0], atol=1e-6)
    assert not nothing.any()
    assert penalty == 0


def test_a_fold_with_one_class_only_is_borne():
    Z, codes = correlated(n=300)
    codes[:100] = 0

    coefficients, _ = lasso(Z, codes, folds=list(TimeSeriesSplit(5).split(Z)))

    assert np.isfinite(coefficients).all()


def test_does_not_depend_on_the_threads():
    Z, codes = correlated(p=600)
    folds = list(TimeSeriesSplit(5).split(Z))

    one, three = (lasso(Z, codes, folds=folds, n_threads=n) for n in (1, 3))

    np.testing.assert_array_equal(one[0], three[0])
    assert one[1] == three[1]
