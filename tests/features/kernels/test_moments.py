import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmf.features.kernels.moments import BLOCK, window_moments
from mmf.features.kernels.smoothing import smoothed, true_range


@given(st.integers(0, 2**32 - 1), st.sampled_from([1e-8, 1.0, 1e5, 1e8]), st.sampled_from([1e-9, 1e-4, 0.1]))
def test_moments_keep_their_digits_at_any_level(seed: int, level: float, spread: float):
    """Sums of squares would keep none of them at a level of 1e8 and a spread of 1e-9."""
    values = level * (1 + spread * np.random.default_rng(seed).normal(size=300))
    offset, variance = window_moments(values, np.array([3, 55, 200]))

    for j, w in enumerate((3, 55, 200)):
        windows = np.lib.stride_tricks.sliding_window_view(values, w).astype(np.longdouble)
        exact = windows.var(axis=1)
        np.testing.assert_allclose(variance[j, w - 1 :], exact.astype(float), rtol=1e-10)
        np.testing.assert_allclose(values[w - 1 :] + offset[j, w - 1 :], windows.mean(axis=1).astype(float), rtol=1e-15)


def test_incomplete_windows_and_those_with_nan_are_undefined():
    values = np.array([np.nan, 1.0, 2.0, 4.0])
    offset, variance = window_moments(values, np.array([2, 3]))

    np.testing.assert_allclose(offset, [[np.nan, np.nan, -0.5, -1.0], [np.nan, np.nan, np.nan, 7 / 3 - 4]])
    np.testing.assert_allclose(variance, [[np.nan, np.nan, 0.25, 1.0], [np.nan, np.nan, np.nan, 14 / 9]])


def test_a_constant_window_has_no_variance():
    _, variance = window_moments(np.full(3 * BLOCK, 0.1), np.array([3, 200]))

    assert (variance[:, 199:] == 0.0).all()


@pytest.mark.parametrize("cut", [1, 5, BLOCK, 2 * BLOCK + 3])
def test_bits_do_not_depend_on_where_the_array_begins(cut: int):
    values = np.random.default_rng(1).normal(size=4 * BLOCK) + 1e5
    windows = np.array([8, 144])
    for whole, part in zip(window_moments(values, windows), window_moments(values[cut:].copy(), windows), strict=True):
        np.testing.assert_array_equal(whole[:, cut + 143 :], part[:, 143:])


def test_smoothing_is_seeded_with_a_plain_mean():
    got = smoothed(np.array([np.nan, 1.0, 3.0, 8.0, 4.0]), np.array([2, 3]), np.array([0.5, 0.25]), 1)

    np.testing.assert_allclose(got, [[np.nan, np.nan, 2.0, 5.0, 4.5], [np.nan, np.nan, np.nan, 4.0, 4.0]])


def test_true_range_reaches_to_the_close_before():
    got = true_range(np.array([2.0, 9.0, 5.0]), np.array([1.0, 8.0, 4.0]), np.array([1.5, 8.5, 4.5]))

    np.testing.assert_allclose(got, [np.nan, 7.5, 4.5])
