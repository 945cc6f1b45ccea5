import numpy as np
import polars as pl
import pytest

from mmf.features.build import content_hashes
from mmf.features.histories import CHUNK_BARS, IncrementalTable, incremental
from mmf.features.record import Computation, Feature
from mmf.features.registry import FeatureSet, feature_set
from tests.reference.bars import HOUR, bars_of_close, numbers_with_holes, walk

BARS = bars_of_close(walk(900, seed=13), keep=numbers_with_holes(900, seed=1))


def running(close: np.ndarray) -> dict[str, np.ndarray]:
    """Bits of a row depend on where the array begins."""
    total = np.cumsum(close + 1e9)  # so much that its rounding outlives that to float32
    before = np.concatenate([np.full(min(5, len(total)), np.nan), total[:-5]])
    return {"suspect": total - before - 5e9}


def whole_part(close: np.ndarray) -> dict[str, np.ndarray]:
    """Rows of one call know each other."""
    return {"suspect": close - close.mean()}


def suspect(function, **declared: int) -> FeatureSet:
    computation = Computation.kernel(function, "close")
    return FeatureSet("suspects", (Feature("suspect", "test", "-", "", "none", "", computation, **declared),))


@pytest.mark.parametrize(
    ("function", "declared"), [(running, {"lookback": 5}), (whole_part, {"lookback": 0}), (whole_part, {"memory": 9})]
)
def test_bits_that_depend_on_the_part_computed_are_seen(function, declared: dict[str, int]):
    found = incremental(suspect(function, **declared), BARS, interval=HOUR, n_histories=3)

    assert found["column"].to_list() == ["suspect", "missing_bars", "is_warm"]
    assert found["is_incremental"].to_list() == [False, True, True]
    assert found["n_differing"][0] >= 2


def test_core_is_the_same_however_its_bars_arrive():
    core = feature_set("core")
    sample = FeatureSet("sample", tuple(f for f in core.features[::5] if f.reach <= 400))
    found = incremental(sample, BARS, interval=HOUR, n_histories=3, seed=5)

    assert found["column"].to_list() == [*sample.columns, "missing_bars", "is_warm"]
    assert found.filter(~pl.col("is_incremental")).rows() == []


def test_only_what_changed_is_computed_again():
    features = suspect(whole_part, lookback=0)
    table = IncrementalTable(features, HOUR, lead_bars=20)
    table.update(BARS[:400])
    before = dict(table.chunks)
    table.update(BARS[:410])

    newest = max(before)
    assert len(before) > 4
    assert all(table.chunks[number][1] is before[number][1] for number in before if number != newest)
    assert table.rows().height == 410
    assert content_hashes(table.chunks[newest][1][: before[newest][1].height]) == content_hashes(before[newest][1])
    assert CHUNK_BARS < 400
