import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmf.features.kernels.flow import BLOCK, rising_share
from tests.reference import indicators


@given(st.integers(0, 2**32 - 1), st.integers(1, 80))
def test_it_equals_its_slow_twin(seed: int, n: int):
    rng = np.random.default_rng(seed)
    price = np.repeat(rng.integers(1, 6, n), rng.integers(1, 6, n))[:n].astype(float)
    volume = rng.lognormal(0, 3, n) * np.repeat(rng.integers(0, 2, n), 6)[:n]
    got = rising_share(price, volume, np.array([3, 8, 21]))

    for j, w in enumerate((3, 8, 21)):
        expected = [
            indicators.rising_share(price[t - w : t + 1], volume[t - w : t + 1]) if t >= w else np.nan for t in range(n)
        ]
        np.testing.assert_allclose(got[j], expected, rtol=1e-14)


def test_a_huge_bar_leaves_nothing_behind():
    """A running sum would keep the rounding of the largest flow that it ever held."""
    price = 100.0 + np.arange(40) % 2
    volume = np.full(40, 1e-9)
    volume[10] = 1e18
    got = rising_share(price, volume, np.array([4]))[0]

    np.testing.assert_allclose(got[14:], 202 / 402, rtol=1e-15)


def test_without_volume_it_is_undefined():
    price = 100.0 + np.arange(60) % 3
    volume = np.where((np.arange(60) >= 20) & (np.arange(60) < 40), 0.0, 2.0)
    got = rising_share(price, volume, np.array([5]))[0]

    assert np.flatnonzero(np.isnan(got)).tolist() == [*range(5), *range(24, 40)]


@pytest.mark.parametrize("cut", [1, 5, BLOCK, 2 * BLOCK + 3])
def test_bits_do_not_depend_on_where_the_array_begins(cut: int):
    rng = np.random.default_rng(1)
    price, volume = rng.normal(size=3 * BLOCK) + 1e5, rng.lognormal(size=3 * BLOCK)
    windows = np.array([3, 34])
    whole = rising_share(price, volume, windows)
    part = rising_share(price[cut:].copy(), volume[cut:].copy(), windows)

    np.testing.assert_array_equal(whole[:, cut + 34 :], part[:, 34:])


@pytest.mark.parametrize("towards", [0.0, 200.0])
def test_a_price_that_only_rounding_moves_has_not_moved(towards: float):
    """Equal sums of three prices, added in another order."""
    price = np.array([100.0, 101.0, np.nextafter(101.0, towards), 102.0])
    volume = np.array([1.0, 1.0, 50.0, 1.0])

    assert rising_share(price, volume, np.array([3]))[0, 3] == 1.0
