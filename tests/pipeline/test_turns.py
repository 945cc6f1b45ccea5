"""A set means the version that a series was last built with, in SQL and for expiry, whatever its number."""

from dataclasses import replace
from pathlib import Path

import pytest

from mmf.features.registry import FeatureSet
from mmf.pipeline.build import Job, build_many
from mmf.pipeline.state import resolve_state, stored_version
from tests.pipeline.small_builds import CUT, SERIES, SMALL, put
from warehouse import SeriesKey, Warehouse
from warehouse.query import connect

FEWER = FeatureSet("small", SMALL.features[:2])
OTHER = replace(SERIES, symbol="OTHER")
BARS = dict.fromkeys(range(200), 0)


def build(warehouse: Warehouse, features: FeatureSet, *series) -> None:
    build_many(warehouse, [Job(one, features) for one in series or (SERIES,)], cut=CUT)


def columns(warehouse: Warehouse, *, as_of: int | None = None, symbol: str = "SMALL") -> int:
    """Count of the features that the set's view gives of a symbol."""
    with warehouse.pin(as_of) as snapshot, connect(snapshot, feature_sets=("small",)) as connection:
        frame = connection.sql("select * from features.small where symbol = $symbol", params={"symbol": symbol}).pl()
    return sum(name in frame.columns and frame[name].null_count() < frame.height for name in ("ema", "mean", "ratio"))


def held(warehouse: Warehouse) -> list[str]:
    with warehouse.pin() as snapshot:
        return [name for name in snapshot.versions("features") if snapshot.files("features", version=name)]


@pytest.fixture
def turned(warehouse: Warehouse) -> Warehouse:
    """Built with v1, then with v2, then with v1 again, for which nothing was due."""
    put(warehouse, BARS)
    for features in (SMALL, FEWER, SMALL):
        build(warehouse, features)
    return warehouse


def test_sql_follows_the_last_build_and_not_the_number(turned: Warehouse) -> None:
    assert columns(turned) == 3
    build(turned, FEWER)
    assert columns(turned) == 2


def test_an_older_snapshot_shows_what_was_in_use_then(turned: Warehouse) -> None:
    put(turned, BARS | {200: 0})
    build(turned, FEWER)
    with turned.pin() as snapshot:
        newest = snapshot.id
    assert columns(turned) == 2
    assert columns(turned, as_of=newest - 1) == 3


def test_a_turn_for_which_nothing_was_due_is_a_snapshot_of_its_own(turned: Warehouse) -> None:
    with turned.pin() as snapshot:
        newest = snapshot.id
    assert columns(turned, as_of=newest - 1) == 2
    assert columns(turned, as_of=newest) == 3
    build(turned, SMALL)
    with turned.pin() as snapshot:
        assert snapshot.id == newest


def test_a_table_is_kept_from_the_turn_on_that_superseded_it(tmp_path: Path) -> None:
    now_ms = [0]
    with Warehouse.open(tmp_path / "w", create=True, now_ms=lambda: now_ms[0]) as warehouse:
        put(warehouse, BARS)
        build(warehouse, SMALL)
        build(warehouse, FEWER)
        now_ms[0] = 10_000
        build(warehouse, SMALL)
        now_ms[0] = 12_000
        warehouse.expire(5)
        assert held(warehouse) == ["small@v1", "small@v2"]
        now_ms[0] = 16_000
        warehouse.expire(5)
        assert held(warehouse) == ["small@v1"]


def test_python_means_the_same_version(turned: Warehouse) -> None:
    put(turned, BARS, series=OTHER)
    build(turned, FEWER, OTHER)
    with turned.pin() as snapshot:
        assert stored_version(snapshot, [SERIES], "small") == "small@v1"
        assert stored_version(snapshot, [OTHER], "small") == "small@v2"
        assert stored_version(snapshot, [SERIES, OTHER], "small") == "small@v2"  # the one that both hold
    assert resolve_state(turned, SERIES, "small").version == "small@v1"
    build(turned, SMALL, OTHER)
    with turned.pin() as snapshot:
        assert stored_version(snapshot, [SERIES, OTHER], "small") == "small@v1"


def test_another_series_keeps_its_own_version(turned: Warehouse) -> None:
    put(turned, BARS, series=OTHER)
    build(turned, FEWER, OTHER)
    assert (columns(turned), columns(turned, symbol="OTHER")) == (3, 2)


def test_expiry_retires_the_version_that_is_not_in_use(turned: Warehouse) -> None:
    turned.expire(0)
    assert held(turned) == ["small@v1"]
    with turned.pin() as snapshot:
        assert snapshot.keys("features", version="small@v1") == [SeriesKey(*SERIES.key)]


def test_repeated_builds_leave_one_turn(turned: Warehouse) -> None:
    for _ in range(3):
        build(turned, SMALL)
    assert turned.database.value("select count(*) from feature_turns") == 3


def test_an_older_catalog_without_turns_goes_by_the_number(turned: Warehouse) -> None:
    turned.database.run("delete from feature_turns")
    assert columns(turned) == 2
    turned.expire(0)
    assert held(turned) == ["small@v2"]
