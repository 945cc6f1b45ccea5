import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmf.features.kernels.deviation import BLOCK, mean_deviations
from mmf.features.record import WINDOWS
from tests.reference import indicators


@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from([1e-12, 1.0, 1e5, 1e12]),
    st.sampled_from([1e-8, 1e-4, 0.1]),
    st.integers(1, 300),
)
def test_it_equals_its_slow_twin_at_any_level(seed: int, level: float, spread: float, n: int):
    values = level * np.exp(spread * np.random.default_rng(seed).normal(size=n))
    got = mean_deviations(values, np.array([3, 8, 55]))

    for j, w in enumerate((3, 8, 55)):
        expected = [indicators.mean_deviations(values[t - w + 1 : t + 1]) if t >= w - 1 else np.nan for t in range(n)]
        np.testing.assert_allclose(got[j], expected, rtol=1e-14 / spread, atol=1e-15 / spread)


def test_a_window_that_only_rounding_moves_is_undefined():
    values = np.full(3 * BLOCK, 0.1)
    values[::3] = np.nextafter(0.1, 1)  # three prices that add up to the same, in another order
    values[BLOCK] = 0.1001
    got = mean_deviations(values, np.array([5, 21]))

    for j, w in enumerate((5, 21)):
        assert np.flatnonzero(np.isfinite(got[j])).tolist() == list(range(BLOCK, BLOCK + w))


@pytest.mark.parametrize("cut", [1, 5, BLOCK, 2 * BLOCK + 3])
def test_bits_do_not_depend_on_where_the_array_begins(cut: int):
    values = np.random.default_rng(1).normal(size=4 * BLOCK) + 1e5
    whole, part = (mean_deviations(x, np.array(WINDOWS)) for x in (values, values[cut:].copy()))

    np.testing.assert_array_equal(whole[:, cut + 199 :], part[:, 199:])
