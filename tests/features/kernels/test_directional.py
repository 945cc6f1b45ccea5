import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmf.features.kernels.directional import directional_movement
from tests.reference import indicators


def prices(n: int, seed: int, level: float = 1.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    close = level * np.exp(0.02 * rng.normal(size=n).cumsum())
    return close * (1 + 0.01 * rng.random(n)), close * (1 - 0.01 * rng.random(n)), close


@given(st.integers(0, 2**32 - 1), st.sampled_from([1e-12, 1.0, 1e12]), st.integers(1, 120))
def test_it_equals_its_slow_twin(seed: int, level: float, n: int):
    bars = prices(n, seed, level)
    got = directional_movement(*bars, np.array([2, 3, 14, 34]))

    for j, w in enumerate((2, 3, 14, 34)):
        for column, expected in zip(got, indicators.directional_movement(*bars, w), strict=True):
            np.testing.assert_allclose(column[j], expected, rtol=1e-11, atol=1e-14)


@given(st.integers(0, 2**32 - 1))
def test_whole_prices_with_ties_equal_the_slow_twin(seed: int):
    """Inside bars, equal rises and falls, and still bars: each counts for neither side."""
    rng = np.random.default_rng(seed)
    close = 100.0 + np.repeat(rng.integers(-2, 3, 60), rng.integers(1, 4, 60))[:60].cumsum()
    bars = close + rng.integers(0, 3, len(close)), close - rng.integers(0, 3, len(close)), close
    got = directional_movement(*bars, np.array([3, 8]))

    for j, w in enumerate((3, 8)):
        for column, expected in zip(got, indicators.directional_movement(*bars, w), strict=True):
            np.testing.assert_allclose(column[j], expected, rtol=1e-12, atol=1e-14)


def test_a_line_is_all_direction():
    close = 10.0 + np.arange(60)
    adx, plus, minus = directional_movement(close + 1, close - 1, close, np.array([5]))

    np.testing.assert_allclose(adx[0, 9:], 1.0, rtol=1e-14)
    np.testing.assert_allclose(plus[0, 5:], 0.5, rtol=1e-14)  # a rise of 1 in a true range of 2
    assert (minus[0, 5:] == 0.0).all()
    assert np.isnan(adx[0, :9]).all()


def test_bars_that_only_widen_both_ways_have_no_direction():
    width = np.arange(1.0, 40.0)
    adx, plus, minus = directional_movement(100 + width, 100 - width, np.full(39, 100.0), np.array([4]))

    assert (plus[0, 4:] == 0.0).all()
    assert (minus[0, 4:] == 0.0).all()
    assert np.isnan(adx).all()


@pytest.mark.parametrize("level", [1e-12, 1.0, 1e12])
def test_a_long_halt_fades_out_and_ends(level: float):
    bars = prices(600, 7, level)
    still = [np.concatenate([x[:100], np.full(400, bars[2][99]), x[500:]]) for x in bars]
    columns = directional_movement(*still, np.array([3]))

    for column in columns:
        defined = np.flatnonzero(np.isfinite(column[0]))
        lost = defined[np.argmax(np.diff(defined))]
        assert 100 + 20 * 3 < lost < 100 + 32 * 3  # about 1e-14 = (2/3)^80 of the price is left by then
        assert defined[np.argmax(np.diff(defined)) + 1] == 500
        assert np.isfinite(column[0, 500:]).all()
