import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from mmf.tensor_flex import moments as module
from mmf.tensor_flex.moments import moments
from mmf.tensor_flex.projection import location_and_spread, standardised


def standard(n=900, p=30, seed=0):
    random = np.random.default_rng(seed)
    x = np.repeat(random.normal(size=(n, p // 3)), 3, axis=1) + random.normal(size=(n, p)) + 5
    x = np.asfortranarray(x.astype(np.float32))
    return standardised(x, *location_and_spread(x)), random.integers(0, 2, n).astype(float)


def parts(n, k=5):
    return np.array_split(np.arange(n), k)


def test_correlations_are_those_of_numpy(monkeypatch):
    monkeypatch.setattr(module, "TILE_COLUMNS", 7)  # several tiles, the last of them narrower
    monkeypatch.setattr(module, "TILE_ROWS", 200)
    Z, y = standard()

    known = moments(Z, y, folds=parts(900))

    np.testing.assert_allclose(known.correlation, np.corrcoef(Z.T.astype(float)), atol=1e-6)
    np.testing.assert_allclose(known.label, [np.corrcoef(z, y)[0, 1] for z in Z.T.astype(float)], atol=1e-6)
    np.testing.assert_array_equal(known.correlation, known.correlation.T)


def test_products_of_a_fold_are_about_the_mean_of_all_rows():
    Z, y = standard()
    folds = [fold[:-4] for fold in parts(900)]  # purged

    known = moments(Z, y, folds=folds)

    label = (y - y.mean()) / y.std()
    expected = [(Z[fold].astype(float) * label[fold, None]).mean(axis=0) for fold in folds]
    np.testing.assert_allclose(known.folds, [expected], atol=1e-6)


def test_shifted_labels_are_turned_by_equal_parts():
    Z, y = standard()
    folds = parts(900)

    known = moments(Z, y, folds=folds, n_shifts=2)

    assert known.folds.shape == (3, 5, 30)
    for k in (1, 2):
        turned = moments(Z, np.roll(y, 300 * k), folds=folds)
        np.testing.assert_allclose(known.folds[k], turned.folds[0], atol=1e-7)


def test_threads_do_not_change_a_bit(monkeypatch):
    monkeypatch.setattr(module, "TILE_COLUMNS", 8)
    Z, y = standard()
    with threadpool_limits(1, "blas"):
        one, four = (moments(Z, y, folds=parts(900), n_shifts=2, n_threads=n) for n in (1, 4))

    for name in ("correlation", "folds", "label"):
        np.testing.assert_array_equal(getattr(one, name), getattr(four, name))


def test_sums_stay_exact_over_many_rows():
    random = np.random.default_rng(0)
    column = random.normal(size=400_000)
    x = np.column_stack([column, column + 1e-3 * random.normal(size=400_000)])
    x = np.asfortranarray(x, np.float32)
    Z = standardised(x, *location_and_spread(x))

    known = moments(Z, np.arange(400_000) % 2.0, folds=parts(400_000))

    assert known.correlation[0, 1] == pytest.approx(np.corrcoef(Z.T.astype(float))[0, 1], abs=3e-8)
