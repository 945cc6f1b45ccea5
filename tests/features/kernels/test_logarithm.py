import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmf.features.kernels.logarithm import SMALLEST, log, log_returns


@given(st.lists(st.floats(min_value=SMALLEST, allow_infinity=False), min_size=1, max_size=20))
def test_log_is_within_two_units_in_the_last_place(values: list[float]):
    exact = np.log(np.array(values, np.longdouble))
    error = np.abs(log(np.array(values)) - exact)

    assert (error <= 2 * np.spacing(np.abs(exact.astype(float)))).all()


@pytest.mark.parametrize(
    "value", [1 + 1e-15, 1 - 1e-15, 1.0000001, 0.70710678118654746, 0.70710678118654757, 2.0, 1e-8, 1e8]
)
def test_log_near_its_seams(value: float):
    assert log(np.array([value]))[0] == pytest.approx(np.log(value), rel=5e-16, abs=1e-300)


def test_log_of_one_is_zero():
    assert log(np.array([1.0]))[0] == 0.0


@pytest.mark.parametrize("value", [0.0, -1.0, np.nan, np.inf, -np.inf, 1e-310])
def test_log_is_undefined_outside_of_normal_positive_numbers(value: float):
    assert np.isnan(log(np.array([value]))[0])


def test_log_returns_have_no_first():
    got = log_returns(np.array([2.0, 4.0, 4.0]))

    np.testing.assert_allclose(got, [np.nan, np.log(2), 0.0])
