import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.feature_selection import mutual_info_classif

from mmf.alpha_council.mutual_information import mutual_information


def twin(X, codes, *, n_neighbors=3, seed=0):
    """scikit-learn's estimate, one column at a time so that each gets the same noise."""
    columns = (
        mutual_info_classif(X[:, [j]], codes, discrete_features=False, n_neighbors=n_neighbors, random_state=seed)
        for j in range(X.shape[1])
    )
    return np.concatenate(list(columns))


@pytest.mark.parametrize("n_neighbors", [1, 3, 5])
@pytest.mark.parametrize("n_classes", [2, 3])
def test_equals_scikit_learn_on_columns_of_every_kind(n_neighbors, n_classes):
    rng = np.random.default_rng(1)
    codes = rng.integers(0, n_classes, 400)
    X = np.column_stack(
        [
            rng.normal(size=400),
            rng.normal(size=400) + codes,  # informative
            rng.integers(0, 4, 400),  # many equal values
            np.full(400, 3.0),  # constant
            1e6 + rng.normal(size=400),  # far from zero
            rng.standard_cauchy(400),  # heavy tails
        ]
    ).astype(np.float32)

    np.testing.assert_allclose(
        mutual_information(X, codes, n_neighbors=n_neighbors, seed=7),
        twin(X, codes, n_neighbors=n_neighbors, seed=7),
        rtol=0,
        atol=1e-9,
    )


@settings(max_examples=100, deadline=None, derandomize=True)
@given(data=st.data())
def test_equals_scikit_learn_on_small_samples(data):
    # with under 8 rows a class scikit-learn measures by x^2 - 2xy + y^2, whose rounding drowns the noise
    codes = np.array([*data.draw(st.lists(st.integers(0, 1), max_size=10)), *[0, 1] * 8])
    values = data.draw(st.lists(st.integers(-3, 3), min_size=len(codes), max_size=len(codes)))
    X = np.array(values, np.float32)[:, None]

    np.testing.assert_allclose(mutual_information(X, codes), twin(X, codes), rtol=0, atol=1e-9)


def test_a_class_of_one_row_is_left_out():
    rng = np.random.default_rng(2)
    X = rng.normal(size=(30, 2))
    codes = np.append(rng.integers(0, 2, 29), 2)

    np.testing.assert_allclose(mutual_information(X, codes), twin(X, codes), rtol=0, atol=1e-9)


def test_a_class_with_few_rows_uses_the_neighbours_it_has():
    rng = np.random.default_rng(5)
    X = rng.normal(size=(40, 3))
    codes = np.array([0] * 37 + [1] * 3)  # two neighbours at most where three are asked

    np.testing.assert_allclose(mutual_information(X, codes), twin(X, codes), rtol=0, atol=1e-9)


def test_a_column_that_tells_two_even_classes_apart_holds_one_bit():
    codes = np.arange(4_000) % 2
    X = (codes * 100 + np.random.default_rng(3).normal(size=4_000))[:, None]

    assert mutual_information(X, codes)[0] == pytest.approx(np.log(2), abs=0.01)


def test_a_column_is_scored_alike_wherever_it_stands_and_whoever_computes():
    rng = np.random.default_rng(4)
    X = rng.integers(0, 9, (300, 12)).astype(np.float32)
    codes = rng.integers(0, 2, 300)

    score = mutual_information(X, codes)

    np.testing.assert_array_equal(mutual_information(X[:, ::-1], codes, n_threads=3), score[::-1])
