"""What is refused because bars were added or revised, beyond what the training tests show."""

import polars as pl
import pytest

from mmf.errors import DataError
from mmf.features.registry import FeatureSet, feature_set
from mmf.pipeline.build import build_features
from mmf.pipeline.freshness import require_current
from mmf.pipeline.ingest import ingest
from mmf.pipeline.state import resolve_state
from tests.pipeline.sources import HOUR_MS, SERIES, ListSource, walk
from warehouse import Warehouse

SMALL = FeatureSet("gone", feature_set("core").features[:3])  # the code at hand knows no set of this name


def check(warehouse: Warehouse, *, since: int = 0) -> None:
    state = resolve_state(warehouse, SERIES, "gone")
    with warehouse.pin(state.snapshot) as snapshot:
        require_current(warehouse, snapshot, state, since_ms=since * HOUR_MS)


@pytest.fixture
def built(warehouse: Warehouse) -> Warehouse:
    ingest(warehouse, ListSource((walk(0, 300).filter(pl.int_range(pl.len()) != 50),)), SERIES)
    build_features(warehouse, SERIES, SMALL)
    return warehouse


def test_of_a_version_whose_code_is_gone_the_times_are_compared(built: Warehouse) -> None:
    check(built)
    ingest(built, ListSource((walk(300, 1),)), SERIES)
    with pytest.raises(DataError, match=r"gone@v1@S\d+ of .* is older than its bars.*--set gone"):
        check(built)


def test_rows_before_those_that_are_read_do_not_matter(built: Warehouse) -> None:
    ingest(built, ListSource((walk(50, 1),)), SERIES)
    check(built, since=51)
    with pytest.raises(DataError, match="is older than its bars"):
        check(built, since=50)


def test_an_older_state_is_judged_by_the_bars_of_its_own_snapshot(built: Warehouse) -> None:
    state = resolve_state(built, SERIES, "gone")
    ingest(built, ListSource((walk(300, 1),)), SERIES)
    with built.pin(state.snapshot) as snapshot:
        require_current(built, snapshot, state, since_ms=0)


def test_of_a_version_whose_code_is_gone_revised_bars_are_noticed(built: Warehouse) -> None:
    ingest(built, ListSource((walk(100, 1).with_columns(high=pl.col("high") * 1.01),)), SERIES)
    with pytest.raises(DataError, match="is older than its bars"):
        check(built)
    with pytest.raises(DataError, match="is older than its bars"):
        check(built, since=200)  # a chunk remembers its earlier bars


def test_bars_revised_before_the_build_do_not_matter(warehouse: Warehouse) -> None:
    ingest(warehouse, ListSource((walk(0, 300),)), SERIES)
    ingest(warehouse, ListSource((walk(100, 1).with_columns(high=pl.col("high") * 1.01),)), SERIES)
    build_features(warehouse, SERIES, SMALL)
    check(warehouse)


def test_bars_before_all_that_was_read_may_be_revised(warehouse: Warehouse) -> None:
    """A chunk of 16,384 bars reads 5,120 before its first."""
    ingest(warehouse, ListSource((walk(0, 16_384 + 500),)), SERIES)
    build_features(warehouse, SERIES, SMALL)
    ingest(warehouse, ListSource((walk(100, 1).with_columns(high=pl.col("high") * 1.01),)), SERIES)
    check(warehouse, since=16_384 + 400)
    with pytest.raises(DataError, match="is older than its bars"):
        check(warehouse, since=16_000)
