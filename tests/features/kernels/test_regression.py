import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmf.features.kernels.regression import BLOCK, window_slopes
from tests.reference import indicators


@given(
    st.integers(0, 2**32 - 1),
    st.lists(st.integers(2, 130), min_size=1, max_size=5, unique=True),
    st.integers(1, 300),
    st.sampled_from([1e-12, 1.0, 1e12]),
)
def test_it_equals_its_slow_twin(seed: int, windows: list[int], n: int, level: float):
    values = level * np.exp(0.02 * np.random.default_rng(seed).normal(size=n).cumsum())
    got = window_slopes(values, np.array(sorted(windows)))

    for j, w in enumerate(sorted(windows)):
        expected = [indicators.slope(values[t - w + 1 : t + 1]) if t >= w - 1 else np.nan for t in range(n)]
        np.testing.assert_allclose(got[j], expected, rtol=1e-12, atol=1e-15 * values.max())


def test_a_quiet_dear_series_keeps_its_digits():
    """Sums of k times price, as usually written, keep six digits of a spread of 1e-3 at a level of 1e8."""
    spread = np.random.default_rng(3).integers(-8, 9, 400) * 2.0**-13
    quiet, dear = (window_slopes(spread + level, np.array([20, 100])) for level in (0.0, 2.0**27))

    np.testing.assert_array_equal(quiet, dear)


@pytest.mark.parametrize("step", [0.0, 1.0, -0.125])
def test_a_line_has_its_step_for_slope(step: float):
    got = window_slopes(1e6 + step * np.arange(2 * BLOCK + 7), np.array([20, 24, 50, 100]))

    for j, w in enumerate((20, 24, 50, 100)):
        assert np.isnan(got[j, : w - 1]).all()
        np.testing.assert_allclose(got[j, w - 1 :], step, rtol=1e-14)


@pytest.mark.parametrize("cut", [1, 5, BLOCK, 2 * BLOCK + 3])
def test_bits_do_not_depend_on_where_the_array_begins(cut: int):
    values = np.random.default_rng(1).normal(size=3 * BLOCK) + 1e5
    whole, part = (window_slopes(x, np.array([20, 24, 50, 100])) for x in (values, values[cut:].copy()))

    np.testing.assert_array_equal(whole[:, cut + 99 :], part[:, 99:])
