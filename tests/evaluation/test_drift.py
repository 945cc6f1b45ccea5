import numpy as np
import pytest
from scipy.stats import ks_2samp

from mmf.errors import LeakError
from mmf.evaluation.drift import feature_drift
from mmf.rows import Rows
from tests.experts.synthetic import HOUR_MS, training

COLUMNS = ("same", "moved", "gone", "constant")


def rows(x: np.ndarray, first: int = 0) -> Rows:
    times = (first + np.arange(len(x), dtype=np.int64)) * HOUR_MS
    return Rows(times, x.astype(np.float32), COLUMNS, np.arange(len(x)) % 2.0, times + HOUR_MS)


def both() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    before, after = rng.normal(size=(3_000, 4)), rng.normal(size=(1_000, 4))
    after[:, 1] += 1.0
    after[:, 2] = np.nan
    before[:, 3] = after[:, 3] = 2.0
    return before, after


def test_what_moved_comes_first_and_the_distance_is_that_of_kolmogorov_and_smirnov() -> None:
    before, after = both()
    found = feature_drift(training(rows(before)), rows(after, 3_000), COLUMNS)
    assert found["column"].to_list() == ["moved", "same", "constant", "gone"]
    moved, same, constant, gone = found.iter_rows(named=True)
    assert moved["psi"] > 0.25
    assert same["psi"] < 0.05
    assert constant["psi"] == constant["ks"] == 0
    assert gone["psi"] is None
    for told, column in ((moved, 1), (same, 0)):
        expected = ks_2samp(before[:, column].astype(np.float32), after[:, column].astype(np.float32)).statistic
        assert told["ks"] == pytest.approx(expected, abs=1e-9)
        assert told["mean_judged"] == pytest.approx(after[:, column].mean(), abs=1e-5)


def test_the_index_of_a_known_shift() -> None:
    """A tenth of the rows in each bin before; afterwards twice as many in the last and none in the first."""
    before = np.tile(np.arange(10.0), 100)[:, None] * np.ones(4)
    after = np.tile(np.r_[np.arange(1.0, 10.0), 9.0], 100)[:, None] * np.ones(4)
    found = feature_drift(training(rows(before)), rows(after, 1_000), COLUMNS)
    expected = 0.1 * np.log(2) + (1e-4 - 0.1) * np.log(1e-4 / 0.1)
    assert found["psi"].to_list() == pytest.approx([expected] * 4)


def test_rows_that_were_not_admitted_to_training_are_refused() -> None:
    before, after = both()
    with pytest.raises(LeakError, match="training rows"):
        feature_drift(rows(before), rows(after, 3_000), COLUMNS)
