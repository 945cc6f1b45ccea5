from itertools import combinations
from statistics import NormalDist

import numpy as np
import pytest
from scipy.stats import ttest_1samp

from mmf.errors import DataError
from mmf.rows import TrainingRows
from mmf.tensor_flex.stability import stability, time_blocks
from tests.tensor_flex.planted import HOUR_MS, noise, rows_of


def twin(of_folds, min_t):
    """Every half by hand, its t statistic by scipy."""
    k, q = of_folds.shape
    t = np.array([ttest_1samp(of_folds[list(half)], 0).statistic for half in combinations(range(k), k // 2)])
    return np.array([max((t[:, j] > min_t).mean(), (t[:, j] < -min_t).mean()) for j in range(q)])


@pytest.mark.parametrize("n_folds", [4, 7, 10])
@pytest.mark.parametrize("min_t", [0.0, 1.0, 2.5])
def test_share_of_halves_with_a_t_statistic_beyond(n_folds, min_t):
    of_folds = np.random.default_rng(n_folds).normal(0.5, 1, size=(n_folds, 20))

    np.testing.assert_allclose(stability(of_folds, min_t=min_t), twin(of_folds, min_t))


def test_the_sign_must_be_the_same():
    steady, wavering = np.full(8, 0.3), np.array([1, -1] * 4) * 0.3

    assert stability(np.column_stack([steady, -steady, 0 * steady]), min_t=1).tolist() == [1, 1, 0]
    assert stability(wavering[:, None], min_t=1)[0] < 0.5


def test_one_mighty_fold_is_not_enough():
    of_folds = np.full((10, 1), -0.001)
    of_folds[3] = 1.0

    assert stability(of_folds, min_t=1)[0] <= 0.5


def test_the_scale_does_not_matter():
    of_folds = np.random.default_rng(0).normal(0.4, 1, size=(10, 30))

    np.testing.assert_array_equal(stability(of_folds, min_t=1), stability(-1e-3 * of_folds, min_t=1))


def test_folds_are_equal_and_purged_by_time():
    rows = noise(103)

    folds = time_blocks(rows, 10)

    ends = [int(rows.label_end_ms[fold[-1]]) for fold in folds]
    begins = [int(rows.open_time_ms[fold[0]]) for fold in folds]
    assert all(end <= begin for end, begin in zip(ends[:-1], begins[1:], strict=True))
    assert begins == [HOUR_MS * (103 * k // 10) for k in range(10)]
    assert [len(fold) for fold in folds[:3]] == [7, 7, 7]  # horizon 3: three of ten rows reach into the next fold
    assert folds[-1][-1] == 102  # nothing comes after the last fold


def test_holes_are_purged_by_time_and_not_by_rows():
    rows = noise(100)
    late = np.where(np.arange(100) >= 8, 40 * HOUR_MS, 0)  # a hole before row 8
    shifted = TrainingRows(
        rows.open_time_ms + late, rows.x, rows.columns, rows.label, rows.label_end_ms + late, rows.known_before_ms * 2
    )

    assert time_blocks(shifted, 12)[0].tolist() == list(range(8))


def test_a_fold_that_the_purge_empties_is_refused():
    x = np.zeros((40, 1), np.float32)
    rows = rows_of(x, np.arange(40) % 2.0, ("a",), horizon=36)

    with pytest.raises(DataError, match="leave an empty fold of 10"):
        time_blocks(rows, 10)


def test_noise_is_stable_as_rarely_as_said():
    """About one in thirteen latents of pure noise at the settings used by default."""
    of_folds = np.random.default_rng(7).normal(size=(10, 4_000))

    share = (stability(of_folds, min_t=1) >= 0.75).mean()

    assert 0.05 < share < 0.1
    steady = of_folds + 2 * NormalDist().inv_cdf(0.975) / np.sqrt(10)  # a t statistic near 4
    assert (stability(steady, min_t=1) >= 0.75).mean() > 0.85
