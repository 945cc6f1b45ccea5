import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmf.features.kernels.extremes import BLOCK, retreat
from mmf.features.record import WINDOWS
from tests.reference import indicators


@given(st.integers(0, 2**32 - 1), st.lists(st.integers(1, 60), min_size=1, max_size=6, unique=True), st.integers(1, 90))
def test_it_equals_its_slow_twin(seed: int, windows: list[int], n: int):
    high, low, close = whole_prices(n, seed)
    got = retreat(high, low, close, np.array(sorted(windows)))

    for j, w in enumerate(sorted(windows)):
        expected = [
            indicators.retreat(*(x[t - w + 1 : t + 1] for x in (high, low, close))) if t >= w - 1 else np.nan
            for t in range(n)
        ]
        np.testing.assert_array_equal(got[j], expected)


def whole_prices(n: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Few levels, so that extremes repeat and whole windows stand still."""
    rng = np.random.default_rng(seed)
    close = np.repeat(rng.integers(1, 6, n), rng.integers(1, 5, n))[:n].astype(float)
    return close + rng.integers(0, 2, n) * (close > 2), close - rng.integers(0, 2, n) * (close > 2), close


def test_seams_of_blocks_leave_no_trace():
    n = 2 * BLOCK + 300
    high, low, close = whole_prices(n, 1)
    got = retreat(high, low, close, np.array([200]))[0]

    for t in [BLOCK - 1, BLOCK, BLOCK + 198, BLOCK + 199, 2 * BLOCK - 1, 2 * BLOCK, n - 1]:
        assert got[t] == indicators.retreat(*(x[t - 199 : t + 1] for x in (high, low, close))), t


@pytest.mark.parametrize("cut", [1, 5, BLOCK, BLOCK + 3])
def test_bits_do_not_depend_on_where_the_array_begins(cut: int):
    close = np.random.default_rng(2).normal(size=2 * BLOCK + 500) + 1e5
    high, low = close + 0.3, close - 0.7
    whole = retreat(high, low, close, np.array(WINDOWS))
    part = retreat(high[cut:].copy(), low[cut:].copy(), close[cut:].copy(), np.array(WINDOWS))

    np.testing.assert_array_equal(whole[:, cut + 199 :], part[:, 199:])
