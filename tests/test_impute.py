import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.impute import SimpleImputer
from sklearn.utils.estimator_checks import parametrize_with_checks

from mmf.errors import LeakError
from mmf.impute import MedianImputer
from mmf.rows import Rows, TrainingRows

NAN = np.nan


def rows_of(x, kind=Rows, **more):
    n = len(x)
    x = np.array(x, np.float32)
    return kind(np.arange(n), x, tuple("abc"[: x.shape[1]]), np.arange(n) % 2.0, np.arange(n), **more)


def test_undefined_values_become_the_medians_of_the_fit():
    imputer = MedianImputer().fit(np.array([[1.0, NAN], [9.0, 4.0], [2.0, 6.0]], np.float32))

    np.testing.assert_array_equal(imputer.median_, np.array([2.0, 5.0], np.float32))
    filled = imputer.transform(np.array([[NAN, NAN], [7.0, NAN]], np.float32))
    np.testing.assert_array_equal(filled, np.array([[2.0, 5.0], [7.0, 5.0]], np.float32))
    assert filled.dtype == np.float32


def test_a_column_without_numbers_becomes_zero_and_is_named():
    imputer = MedianImputer().fit_rows(rows_of([[1, NAN], [2, NAN]], TrainingRows, known_before_ms=9))

    assert imputer.empty_columns_ == ("b",)
    np.testing.assert_array_equal(imputer.transform([[NAN, NAN]]), [[1.5, 0.0]])


@pytest.mark.parametrize(
    ("X", "names"),
    [
        (np.array([[NAN, 1.0]]), ("x0",)),
        (pl.DataFrame({"hurst": [None], "rsi": [1.0]}, schema_overrides={"hurst": pl.Float64}), ("hurst",)),
    ],
)
def test_names_come_from_the_frame(X, names):
    assert MedianImputer().fit(X).empty_columns_ == names


def test_only_training_rows_may_teach():
    with pytest.raises(LeakError, match="medians may be learnt from training rows only"):
        MedianImputer().fit_rows(rows_of([[1], [2]]))


def test_the_fit_leaves_its_input_alone():
    X = np.array([[1.0, NAN], [3.0, 2.0]], np.float32)
    before = X.copy()

    MedianImputer().fit_transform(X)

    np.testing.assert_array_equal(X, before)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(
    X=hnp.arrays(
        st.sampled_from([np.float32, np.float64]),
        st.tuples(st.integers(1, 12), st.integers(1, 5)),
        elements=st.one_of(st.just(NAN), st.floats(-1e6, 1e6, width=32)),
    )
)
def test_equals_scikit_learn(X):
    expected = SimpleImputer(strategy="median", keep_empty_features=True).fit_transform(X)

    np.testing.assert_allclose(MedianImputer().fit_transform(X), expected, rtol=1e-6)


@parametrize_with_checks([MedianImputer()])
def test_keeps_the_contract_of_scikit_learn(estimator, check):
    check(estimator)
