import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmf.features.kernels.convergence import convergence
from tests.reference import indicators


@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from([1e-12, 1.0, 1e12]),
    st.integers(1, 120),
    st.sampled_from([(12, 26, 9), (2, 3, 1), (1, 2, 5), (5, 40, 3)]),
)
def test_it_equals_its_slow_twin(seed: int, level: float, n: int, windows: tuple[int, int, int]):
    close = level * np.exp(0.05 * np.random.default_rng(seed).normal(size=n).cumsum())
    got = convergence(close, *windows)

    for column, expected in zip(got, indicators.convergence(close, *windows), strict=True):
        np.testing.assert_allclose(column, expected, rtol=1e-10, atol=1e-13 * close.max())


def test_a_line_lies_half_a_window_ahead_of_its_means():
    difference, signal, rest = convergence(5.0 + 2.0 * np.arange(100), 12, 26, 9)

    np.testing.assert_allclose(difference[33:], 2 * (26 - 12) / 2, rtol=1e-14)
    np.testing.assert_allclose(signal[33:], 14.0, rtol=1e-14)
    np.testing.assert_allclose(rest[33:], 0.0, atol=1e-14)


@pytest.mark.parametrize("price", [0.1, 1e-12, 98_765.4321])
def test_a_constant_price_gives_exactly_zero(price: float):
    assert (convergence(np.full(200, price), 12, 26, 9)[:, 33:] == 0.0).all()


def test_a_quiet_dear_series_keeps_its_digits():
    """The difference of two means would lose all but three digits here."""
    change = np.random.default_rng(3).integers(-1, 2, 300).astype(float)
    quiet, dear = np.cumsum(change), np.cumsum(change) + 2.0**45

    np.testing.assert_array_equal(convergence(quiet, 12, 26, 9), convergence(dear, 12, 26, 9))
