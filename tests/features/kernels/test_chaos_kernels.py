"""Known answers of the chaos kernels, which no library decides."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmf.features.kernels.histogram_entropy import sliding_entropy
from mmf.features.kernels.madogram import fractal_dimension
from mmf.features.kernels.rescaled_range import chunk_sizes, expected_rescaled_range, hurst_exponent
from tests.reference import chaos
from tests.reference.chaos import fractional_noise

WINDOWS = (100, 200)


@pytest.mark.parametrize(("exponent", "expected"), [(0.3, 0.33), (0.5, 0.5), (0.7, 0.67)])
def test_hurst_finds_the_exponent_of_fractional_noise(exponent: float, expected: float):
    returns = fractional_noise(exponent, 2**15, seed=11) * 1e-3
    got = hurst_exponent(np.concatenate([[0.0], np.cumsum(returns)]), windows=WINDOWS)

    assert np.nanmean(got, axis=1) == pytest.approx([expected, expected], abs=0.04)


@pytest.mark.parametrize(("exponent", "expected"), [(0.3, 1.7), (0.5, 1.5), (0.7, 1.3)])
def test_fdi_finds_the_dimension_of_fractional_motion(exponent: float, expected: float):
    log_price = np.cumsum(fractional_noise(exponent, 2**15, seed=12) * 1e-3)
    got = fractal_dimension(log_price, windows=WINDOWS)

    assert np.nanmean(got, axis=1) == pytest.approx([expected, expected], abs=0.05)


@pytest.mark.parametrize(
    ("log_price", "expected"),
    [(np.arange(300) * 1e-4, 1.0), (np.random.default_rng(0).normal(size=20_000), 2.0)],
    ids=["line", "noise"],
)
def test_fdi_of_line_and_noise(log_price: np.ndarray, expected: float):
    assert np.nanmean(fractal_dimension(log_price, windows=(200,))) == pytest.approx(expected, abs=1e-2)


def test_fdi_is_undefined_where_one_distance_does_not_move():
    """A series of period two returns to itself at every second step."""
    assert np.isnan(fractal_dimension(np.tile([0.0, 1.0], 150), windows=(100,))).all()


def test_entropy_of_evenly_spread_returns_is_one():
    returns = np.tile(np.arange(50.0), 6)

    assert sliding_entropy(returns, windows=(100,))[0, 99:] == pytest.approx(1.0, abs=1e-12)


def test_entropy_of_two_values_is_one_bit():
    returns = np.tile([-1.0, 1.0], 150)

    assert sliding_entropy(returns, windows=(100,))[0, 99:] == pytest.approx(np.log(2) / np.log(50), abs=1e-12)


@settings(max_examples=25)
@given(st.integers(0, 2**32 - 1), st.integers(1, 60), st.integers(10, 40))
def test_entropy_slides_as_numpy_bins(seed: int, n_levels: int, window: int):
    """Few levels make many ties, with the window's extremes too."""
    rng = np.random.default_rng(seed)
    assert_slides_as_numpy(rng.choice(rng.normal(size=n_levels), 120), window)


@settings(max_examples=25)
@given(st.integers(0, 2**32 - 1), st.floats(1e-5, 10))
def test_entropy_bins_returns_on_the_very_edges_as_numpy_does(seed: int, step: float):
    steps = np.random.default_rng(seed).integers(-25, 26, 120)
    steps[::20] = -25
    steps[1::20] = 25
    assert_slides_as_numpy(steps * step, 40)


def assert_slides_as_numpy(returns: np.ndarray, window: int) -> None:
    got = sliding_entropy(returns, windows=(window,))[0]
    expected = [chaos.entropy(returns[t - window + 1 : t + 1]) for t in range(window - 1, len(returns))]
    np.testing.assert_allclose(got[window - 1 :], expected, atol=1e-11)


def test_the_level_of_white_noise_is_that_of_nolds():
    measures = chaos.nolds_measures()
    for size in chunk_sizes(200):
        assert expected_rescaled_range(size) == pytest.approx(measures.expected_rs(size), rel=1e-12)


def test_chunks_without_movement_are_left_out():
    returns = np.random.default_rng(3).normal(size=200) * 1e-3
    returns[40:60] = 0.0
    got = hurst_exponent(np.concatenate([[0.0], np.cumsum(returns)]), windows=(100, 200))

    assert got[1, 200] == pytest.approx(chaos.hurst(returns), abs=1e-9)


def test_hurst_is_undefined_in_a_still_window():
    assert np.isnan(hurst_exponent(np.zeros(301), windows=(100,))).all()


def test_hurst_is_undefined_where_one_size_has_no_movement_left():
    """Straight pieces of ten bars: chunks of ten that begin with a piece are still, those of twenty are not."""
    returns = np.repeat(np.random.default_rng(8).normal(size=20), 10) * 1e-3
    got = hurst_exponent(np.concatenate([[0.0], np.cumsum(returns)]), windows=(100,))[0]

    assert np.flatnonzero(np.isnan(got)).tolist() == [*range(101), *range(110, 201, 10)]


@pytest.mark.parametrize("cut", [0, 1, 7, 300])
def test_bits_do_not_depend_on_where_the_array_begins(cut: int):
    log_price = np.cumsum(np.random.default_rng(4).standard_t(3, 1_500) * 1e-3) + 11.0
    returns = np.diff(log_price, prepend=np.nan)

    def last(values: np.ndarray) -> np.ndarray:
        return values[:, -500:]

    for kernel, values in ((hurst_exponent, log_price), (fractal_dimension, log_price), (sliding_entropy, returns)):
        whole, part = kernel(values, windows=WINDOWS), kernel(values[cut:].copy(), windows=WINDOWS)
        np.testing.assert_array_equal(last(whole), last(part))
