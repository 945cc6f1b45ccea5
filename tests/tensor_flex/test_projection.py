import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from mmf.tensor_flex.projection import TILE_ROWS, location_and_spread, project, standardised


def test_spread_of_a_column_that_only_rounds_is_none():
    column = np.full(1_000, 0.1, np.float32)
    column[::2] = np.nextafter(np.float32(0.1), np.float32(1))
    x = np.column_stack([column, np.full(1_000, 7, np.float32), np.linspace(1e5, 1e5 + 9, 1_000, dtype=np.float32)])

    mean, scale = location_and_spread(x)

    assert scale[0] == scale[1] == 0
    assert mean[2] == pytest.approx(x[:, 2].astype(float).mean(), rel=1e-12)
    assert scale[2] == pytest.approx(x[:, 2].astype(float).std(), rel=1e-9)


def test_standardised_columns_are_contiguous_of_mean_0_and_variance_1():
    x = np.random.default_rng(0).normal(1e4, 3, (500, 4)).astype(np.float32)

    Z = standardised(x, *location_and_spread(x))

    assert Z.flags.f_contiguous
    np.testing.assert_allclose(Z.mean(axis=0, dtype=float), 0, atol=1e-6)
    np.testing.assert_allclose(Z.std(axis=0, dtype=float), 1, atol=1e-6)


def learnt(p=300, q=40):
    random = np.random.default_rng(1)
    median = random.normal(size=p).astype(np.float32)
    return random.normal(size=(p, q)), {"median": median, "mean": random.normal(size=p), "scale": 1 + random.random(p)}


def test_undefined_values_become_medians():
    weights, of_columns = learnt()
    x = np.full((3, 300), np.nan, np.float32)

    expected = (of_columns["median"] - of_columns["mean"]) / of_columns["scale"] @ weights
    np.testing.assert_allclose(project(x, weights, **of_columns), np.tile(expected, (3, 1)), rtol=1e-6)


@pytest.mark.parametrize("n", [1, 2, 5, TILE_ROWS - 1, TILE_ROWS, TILE_ROWS + 1])
def test_a_row_has_the_same_bits_whatever_stands_beside_it(n):
    weights, of_columns = learnt()
    x = np.random.default_rng(2).normal(size=(3 * TILE_ROWS + 11, 300)).astype(np.float32)
    with threadpool_limits(1, "blas"):
        whole = project(x, weights, **of_columns)
        part = project(x[100 : 100 + n], weights, **of_columns)

    np.testing.assert_array_equal(part, whole[100 : 100 + n])
