import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmf.features.kernels.sigma_entropy import deviation_entropy
from tests.reference import chaos


@settings(max_examples=30)
@given(st.integers(0, 2**32 - 1), st.floats(1.5, 30.0), st.integers(4, 120))
def test_it_equals_its_slow_twin(seed: int, degrees: float, window: int):
    """Few degrees of freedom throw returns far beyond the last edge."""
    returns = np.random.default_rng(seed).standard_t(degrees, 160) * 1e-3
    got = deviation_entropy(returns, windows=(window,))[0]
    expected = [chaos.entropy_sigma(returns[t - window + 1 : t + 1]) for t in range(window - 1, 160)]

    assert np.isnan(got[: window - 1]).all()
    np.testing.assert_allclose(got[window - 1 :], expected, atol=1e-11)


def test_normal_noise_has_the_entropy_of_its_density():
    returns = np.random.default_rng(7).normal(size=50_000)
    got = deviation_entropy(returns, windows=(50_000,))[0, -1]

    assert got == pytest.approx((np.log(2 * np.pi * np.e) / 2 - np.log(8 / 50)) / np.log(50), abs=1e-3)


def test_two_values_are_one_bit():
    got = deviation_entropy(np.tile([-1.0, 1.0], 150), windows=(100,))

    assert got[0, 99:] == pytest.approx(np.log(2) / np.log(50), abs=1e-12)


@pytest.mark.parametrize("outlier", [-1e-3, 1e-3, 5.0])
def test_outliers_of_any_size_share_an_end_bin(outlier: float):
    """They lie 4.3 and 8.8 deviations from the mean, both beyond the last edge."""
    returns = np.zeros(100)
    returns[[40, 70]] = outlier, 2 * outlier
    expected = -(0.98 * np.log(0.98) + 0.02 * np.log(0.02)) / np.log(50)

    assert deviation_entropy(returns, windows=(100,))[0, -1] == pytest.approx(expected, abs=1e-12)


def test_it_ignores_unit_and_drift():
    returns = np.random.default_rng(4).standard_t(3, 500)
    base = deviation_entropy(returns, windows=(100, 200))

    np.testing.assert_array_equal(deviation_entropy(returns * 2.0**-10, windows=(100, 200)), base)
    np.testing.assert_allclose(deviation_entropy(returns + 3.0, windows=(100, 200)), base, atol=1e-12)


@pytest.mark.parametrize("noise", [0.0, 1e-15])
def test_a_still_window_is_undefined(noise: float):
    returns = 1e-3 + noise * np.random.default_rng(1).normal(size=300)

    assert np.isnan(deviation_entropy(returns, windows=(100,))).all()


def test_a_return_that_is_not_there_leaves_its_windows_undefined():
    returns = np.random.default_rng(2).normal(size=300)
    returns[[0, 150]] = np.nan
    got = deviation_entropy(returns, windows=(20,))[0]

    assert np.flatnonzero(np.isnan(got)).tolist() == [*range(20), *range(150, 170)]


@pytest.mark.parametrize("cut", [1, 7, 300])
def test_bits_do_not_depend_on_where_the_array_begins(cut: int):
    returns = np.random.default_rng(4).standard_t(3, 1_000) * 1e-3
    whole, part = (deviation_entropy(x, windows=(100, 200)) for x in (returns, returns[cut:].copy()))

    np.testing.assert_array_equal(whole[:, cut + 199 :], part[:, 199:])
