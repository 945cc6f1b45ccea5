import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmf.features.kernels.window_statistics import BLOCK, window_statistics
from tests.reference import statistics

WINDOWS = np.array([20, 24, 50, 100])


@settings(max_examples=40)
@given(
    st.integers(0, 2**32 - 1),
    st.lists(st.integers(4, 130), min_size=1, max_size=4, unique=True),
    st.sampled_from([1e-12, 1.0, 1e5, 1e12]),
    st.sampled_from([1e-9, 1e-4, 0.1]),
)
def test_it_equals_exact_arithmetic(seed: int, windows: list[int], level: float, spread: float):
    """At any level and any spread; sums of powers of prices would keep no digit of the smallest spread."""
    rng = np.random.default_rng(seed)
    values = level * np.exp(spread * rng.standard_t(3, BLOCK + 140).cumsum())
    got = window_statistics(values, np.array(sorted(windows)))

    for j, w in enumerate(sorted(windows)):
        for t in rng.integers(w - 1, len(values), 2):
            offset, deviation, skewness, kurtosis = statistics.shape(values[t - w + 1 : t + 1])
            assert got[0, j, t] == pytest.approx(offset, rel=1e-12, abs=1e-14 * deviation)
            assert got[1, j, t] == pytest.approx(deviation, rel=1e-14)
            assert got[2, j, t] == pytest.approx(skewness, rel=1e-12, abs=1e-13)
            assert got[3, j, t] == pytest.approx(kurtosis, rel=1e-12, abs=1e-13)


@pytest.mark.parametrize("n", [1, 19, 20, 99, 100, BLOCK, BLOCK + 1])
def test_it_begins_with_the_first_complete_window(n: int):
    got = window_statistics(np.random.default_rng(0).normal(size=n), WINDOWS)

    for j, w in enumerate(WINDOWS):
        assert np.isnan(got[:, j, : w - 1]).all()
        assert np.isfinite(got[:, j, w - 1 :]).all()


def test_a_quiet_dear_series_has_the_bits_of_a_cheap_one():
    spread = np.random.default_rng(3).integers(-8, 9, 2 * BLOCK) * 2.0**-13
    cheap, dear = (window_statistics(spread + level, WINDOWS) for level in (0.0, 2.0**27))

    np.testing.assert_array_equal(dear, cheap)


@pytest.mark.parametrize("value", [1e-12, 0.1, 7.5, 1e12])
def test_a_constant_window_has_no_deviation_and_no_shape(value: float):
    offset, deviation, skewness, kurtosis = window_statistics(np.full(BLOCK + 200, value), WINDOWS)[:, :, 99:]

    assert (offset == 0.0).all()
    assert (deviation == 0.0).all()
    assert np.isnan([skewness, kurtosis]).all()


@pytest.mark.parametrize("step", [1.0, -0.125, 2.0**-24])
def test_a_line_has_the_shape_of_evenly_spread_values(step: float):
    got = window_statistics(50.0 + step * np.arange(2.0 * BLOCK), WINDOWS)

    for j, w in enumerate(WINDOWS):
        expected = [-step * (w - 1) / 2, abs(step) * np.sqrt(w * (w + 1) / 12), 0.0, -1.2]
        np.testing.assert_allclose(got[:, j, w - 1 :].T, [expected] * (2 * BLOCK - w + 1), rtol=1e-14, atol=1e-15)


def test_one_value_apart_has_a_closed_form():
    values = np.ones(300)
    values[200] = 3.0
    got = window_statistics(values, WINDOWS)

    for j, w in enumerate(WINDOWS):
        holds = slice(200, 200 + w)
        np.testing.assert_allclose(got[2, j, holds], np.sqrt(w), rtol=1e-13)
        np.testing.assert_allclose(got[3, j, holds], w, rtol=1e-13)
        assert np.isnan(got[2:, j, 200 + w :]).all()


def test_a_huge_value_and_a_hole_leave_nothing_behind():
    values = np.random.default_rng(5).normal(size=600)
    disturbed = values.copy()
    disturbed[[100, 250]] = 1e60, np.nan
    got, clean = window_statistics(disturbed, WINDOWS), window_statistics(values, WINDOWS)

    for j, w in enumerate(WINDOWS):
        for stretch in (slice(100), slice(100 + w, 250), slice(250 + w, None)):
            np.testing.assert_array_equal(got[:, j, stretch], clean[:, j, stretch])
        assert np.isnan(got[:, j, 250 : 250 + w]).all()


@pytest.mark.parametrize("cut", [1, 5, BLOCK, 2 * BLOCK + 3])
def test_bits_do_not_depend_on_where_the_array_begins(cut: int):
    values = np.random.default_rng(1).normal(size=3 * BLOCK) + 1e5
    whole, part = (window_statistics(x, WINDOWS) for x in (values, values[cut:].copy()))

    np.testing.assert_array_equal(whole[:, :, cut + 99 :], part[:, :, 99:])


def test_samples_of_a_normal_law_have_the_shape_that_pandas_finds():
    values = np.random.default_rng(2).normal(size=400)
    got = window_statistics(values, np.array([4, 50]))

    for j, w in enumerate((4, 50)):
        rolling = pd.Series(values).rolling(w)
        np.testing.assert_allclose(got[1, j], rolling.std(), rtol=1e-10)
        np.testing.assert_allclose(got[2, j], rolling.skew(), rtol=1e-8, atol=1e-10)
        np.testing.assert_allclose(got[3, j], rolling.kurt(), rtol=1e-8, atol=1e-10)
