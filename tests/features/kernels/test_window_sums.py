import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmf.features.kernels.window_sums import window_sums


@given(
    st.integers(0, 2**32 - 1),
    st.lists(st.integers(1, 210), min_size=1, max_size=5, unique=True),
    st.integers(1, 300),
)
def test_it_equals_an_exact_sum(seed: int, windows: list[int], n: int):
    values = np.random.default_rng(seed).lognormal(0, 12, n)
    got = window_sums(values, windows=tuple(windows))

    for j, w in enumerate(windows):
        expected = [math.fsum(values[t - w + 1 : t + 1]) if t >= w - 1 else np.nan for t in range(n)]
        np.testing.assert_allclose(got[j], expected, rtol=2e-15)


def test_whole_numbers_are_summed_exactly():
    values = np.arange(1.0, 400.0)
    got = window_sums(values, windows=(1, 7, 200))

    assert got[:, -1].tolist() == [399.0, 399.0 * 7 - 21, 399.0 * 200 - 19_900]
    np.testing.assert_array_equal(got[0], values)


def test_a_huge_value_and_a_hole_leave_nothing_behind():
    values = np.full(100, 1e-9)
    values[[10, 50]] = 1e18, np.nan
    got = window_sums(values, windows=(6,))[0]

    assert np.flatnonzero(np.isnan(got)).tolist() == [*range(5), *range(50, 56)]
    np.testing.assert_allclose(got[16:50], 6e-9, rtol=1e-15)


@pytest.mark.parametrize("cut", [1, 5, 64, 300])
def test_bits_do_not_depend_on_where_the_array_begins(cut: int):
    values = np.random.default_rng(1).normal(size=700) + 1e5
    whole, part = (window_sums(x, windows=(20, 100, 200)) for x in (values, values[cut:]))

    np.testing.assert_array_equal(whole[:, cut + 199 :], part[:, 199:])


def test_the_input_is_left_as_it_is():
    values = np.arange(50.0)
    window_sums(values, windows=(1, 8))

    np.testing.assert_array_equal(values, np.arange(50.0))
