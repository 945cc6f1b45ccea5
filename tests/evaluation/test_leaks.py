import numpy as np
import polars as pl
import pytest

from mmf.bars import Interval
from mmf.evaluation.leaks import Check, chance_interval, expected_labels, expected_split, judged_check, label_faults
from mmf.labels import LabelConfig, make_labels
from mmf.rows import Rows
from mmf.splits import chronological_split
from tests.pipeline.sources import HOUR_MS, walk

HOUR = Interval("60")
CONFIGS = [LabelConfig(), LabelConfig(horizon=3, hurdle=0.001), LabelConfig(kind="triple_barrier", horizon=12)]


def rows_of(label: np.ndarray, *, horizon: int = 3) -> Rows:
    times = np.arange(len(label)) * HOUR_MS
    return Rows(times, np.zeros((len(label), 1), np.float32), ("a",), label, times + (horizon + 1) * HOUR_MS)


@pytest.mark.parametrize("config", CONFIGS, ids=["hurdle", "short", "barriers"])
@pytest.mark.parametrize("has_hole", [False, True])
def test_labels_counted_one_by_one_are_those_of_the_pipeline(config: LabelConfig, has_hole: bool) -> None:
    bars = walk(0, 600)
    if has_hole:
        bars = pl.concat([bars[:200], bars[231:]])
    expected = make_labels(bars, interval=HOUR, config=config)["label"].fill_null(np.nan).to_numpy()
    found = expected_labels(bars, HOUR, config)
    assert np.array_equal(found, expected, equal_nan=True)
    assert 0.05 < np.nanmean(found) < 0.95


def test_each_kind_of_wrong_label_is_named() -> None:
    truth = np.array([1.0, 0.0, 1.0, 0.0, np.nan, np.nan, np.nan])
    asked = {"interval": HOUR, "horizon": 3, "last_ms": 6 * HOUR_MS}
    assert label_faults(rows_of(truth), truth, **asked) == []
    wrong = np.array([1.0, 1.0, 1.0, 0.0, 0.0, np.nan, np.nan])
    faults = label_faults(rows_of(wrong, horizon=2), truth, **asked)
    assert [fault.partition(" labels")[0].partition(" rows")[0] for fault in faults] == ["2", "1", "7"]
    assert "the first at 1970-01-01 01:00" in faults[0]


def test_the_split_counted_plainly_is_that_of_the_pipeline() -> None:
    label = np.append((np.arange(97) % 2).astype(float), np.full(5, np.nan))
    rows = rows_of(label, horizon=5)
    split = chronological_split(rows, test_share=0.2)
    kept, start_ms, n_purged = expected_split(rows, test_share=0.2)
    assert kept.tolist() == split.train.tolist()
    assert (start_ms, n_purged) == (split.test_start_ms, 5)


def test_a_check_fails_with_its_first_fault() -> None:
    assert judged_check("Model", "m", [], "fine.", next_step="x") == Check("Model", "m", "pass", "fine.")
    failed = judged_check("Model", "m", ["a.", "b.", "c."], "fine.", next_step="x")
    assert failed == Check("Model", "m", "fail", "a. (2 more faults of this kind)", "x")


def test_chance_is_wide_on_few_rows_and_narrow_on_many() -> None:
    label = (np.arange(36_000) % 2).astype(float)
    low, high = chance_interval(label, horizon=36)
    assert (low, high) == pytest.approx(
        (0.5 - 3 * np.sqrt(1001 / (12 * 500**2)), 0.5 + 3 * np.sqrt(1001 / (12 * 500**2)))
    )
    assert chance_interval(label[:100], horizon=36) == (0.0, 1.0)
