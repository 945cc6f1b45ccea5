from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from tests.warehouse.frames import KEY, OTHER, START_MS, Clock, bars, closes, features, publish_bars
from warehouse import Warehouse
from warehouse.errors import LeaseLostError, NotFoundError

START = datetime.fromtimestamp(START_MS / 1000, tz=UTC)


def test_a_pinned_snapshot_does_not_see_what_comes_later(warehouse: Warehouse) -> None:
    publish_bars(warehouse, 0, 2, price=1.0)
    with warehouse.pin() as before:
        publish_bars(warehouse, 0, 2, price=2.0)
        publish_bars(warehouse, 2, 3, price=3.0)
        with warehouse.pin() as after:
            assert (before.id, closes(before)) == (1, [1.0, 1.0])
            assert (after.id, closes(after)) == (3, [2.0, 2.0, 3.0])


@pytest.mark.parametrize(
    ("as_of", "expected"),
    [
        (None, 3),
        (1, 1),
        ("S2", 2),
        ("s2", 2),
        (" 0 ", 0),
        (START, 0),
        (START + timedelta(seconds=10), 1),
        (START + timedelta(seconds=29.9), 2),
        (datetime(2100, 1, 1, tzinfo=UTC), 3),
        ("2023-11-14T22:13:31", 1),  # START is 22:13:20 UTC
        ("2023-11-14 23:13:41+01:00", 2),
        ("2023-11-15", 3),
    ],
)
def test_as_of_finds_a_snapshot(
    warehouse: Warehouse, clock: Clock, as_of: int | str | datetime | None, expected: int
) -> None:
    for i in range(3):
        clock.advance(10)
        publish_bars(warehouse, i, i + 1)
    with warehouse.pin(as_of) as snapshot:
        assert snapshot.id == expected
        assert snapshot.committed_at == START + timedelta(seconds=10 * expected)
        assert len(closes(snapshot) if expected else []) == expected


@pytest.mark.parametrize(
    ("as_of", "message"),
    [
        (9, "S9 does not exist"),
        ("S9", "S9 does not exist"),
        ("yesterday", "is no snapshot and no time. Write S and its number"),
        ("S1; drop table files", "is no snapshot"),
        (START - timedelta(days=1), r"state as of .* does not exist. The newest snapshots .*S0 \(2023-11-14"),
        (datetime(2024, 1, 1), "has no time zone"),
    ],
)
def test_as_of_says_what_is_wrong(warehouse: Warehouse, as_of: int | str | datetime, message: str) -> None:
    with pytest.raises(NotFoundError, match=message), warehouse.pin(as_of):
        pass


def test_an_expired_snapshot_is_not_answered_with_another(warehouse: Warehouse, clock: Clock) -> None:
    for i in range(4):
        clock.advance(10)
        publish_bars(warehouse, 0, 1, price=i)
    warehouse.tag("kept", 1)
    clock.advance(1)
    warehouse.expire(0)
    assert [info.id for info in warehouse.snapshots()] == [1, 4]
    as_of = START + timedelta(seconds=29)
    message = r"as of .*:49\+00:00 was S2, which has expired"
    with pytest.raises(NotFoundError, match=message), warehouse.pin(as_of):
        pass


def test_files_are_sorted_by_series_and_start_and_cut_to_a_range(warehouse: Warehouse) -> None:
    for start in (8, 0, 4):
        publish_bars(warehouse, start, start + 4)
    publish_bars(warehouse, 0, 4, key=OTHER)
    with warehouse.pin() as snapshot:
        assert [(file.key, file.start) for file in snapshot.files("bars")] == [
            (OTHER, 0),
            (KEY, 0),
            (KEY, 4),
            (KEY, 8),
        ]
        for (start, stop), expected in {
            (4, 8): [4],
            (3, 5): [0, 4],
            (7, None): [4, 8],
            (None, 4): [0],
            (12, None): [],
            (5, 6): [4],
        }.items():
            found = snapshot.files("bars", KEY, start=start, stop=stop)
            assert [file.start for file in found] == expected
        assert snapshot.keys("bars") == [OTHER, KEY]
        assert snapshot.keys("features", version="core@v1") == []


def test_a_scan_is_in_order_and_names_the_series_where_it_reads_all(warehouse: Warehouse) -> None:
    for start in (4, 0):
        publish_bars(warehouse, start, start + 4, price=start + 1)
    publish_bars(warehouse, 0, 1, price=9.0, key=OTHER)
    with warehouse.pin() as snapshot:
        one = snapshot.scan("bars", KEY).collect()
        assert one.columns == bars([]).columns
        assert one["open_time"].is_sorted()
        assert one["close"].to_list() == [1.0] * 4 + [5.0] * 4
        everything = snapshot.scan("bars").collect()
        assert everything.columns[:4] == ["exchange", "category", "symbol", "interval"]
        assert everything["symbol"].to_list() == ["ETHUSDT"] + ["BTCUSDT"] * 8
        assert everything.filter(pl.col("symbol") == "ETHUSDT")["close"].to_list() == [9.0]


def test_an_empty_table_scans_as_an_empty_frame_of_its_columns(warehouse: Warehouse) -> None:
    publish_bars(warehouse, 0, 2)
    with warehouse.pin() as snapshot:
        assert snapshot.scan("bars", OTHER).collect().schema == bars([]).schema
    with warehouse.pin(0) as snapshot:
        assert snapshot.scan("bars", KEY).collect().schema == bars([]).schema
        with pytest.raises(NotFoundError, match="no table features core@v1: nothing was written"):
            snapshot.scan("features", KEY, version="core@v1")


def test_logs_may_gain_columns(warehouse: Warehouse) -> None:
    for frame in (pl.DataFrame({"a": [1]}), pl.DataFrame({"a": [2], "b": ["x"]})):
        commit = warehouse.begin()
        commit.write("predictions", None, frame, start=0, stop=1)
        commit.publish()
    with warehouse.pin() as snapshot:
        assert snapshot.scan("predictions").collect().rows() == [(1, None), (2, "x")]


def test_versions_are_sorted_by_number(warehouse: Warehouse) -> None:
    commit = warehouse.begin()
    for version in ("core@v10", "core@v2", "alt@v1"):
        commit.write("features", KEY, features(range(2)), start=0, stop=2, version=version, codec="features")
    commit.publish()
    with warehouse.pin() as snapshot:
        assert snapshot.versions("features") == ["alt@v1", "core@v2", "core@v10"]


def test_a_pin_that_missed_its_heartbeats_says_so(warehouse: Warehouse, clock: Clock) -> None:
    publish_bars(warehouse, 0, 1)
    with warehouse.pin() as snapshot:
        clock.advance(61)
        warehouse.expire(0)
        warehouse._leases.beat()
        with pytest.raises(LeaseLostError, match=r"missed its heartbeats for 60 s.*Pin a snapshot again"):
            snapshot.files("bars")


def test_a_heartbeat_keeps_the_pin(warehouse: Warehouse, clock: Clock) -> None:
    publish_bars(warehouse, 0, 1, price=1.0)
    with warehouse.pin() as snapshot:
        publish_bars(warehouse, 0, 1, price=2.0)
        for _ in range(5):
            clock.advance(50)
            warehouse._leases.beat()
            warehouse.expire(0)
            warehouse.collect(grace_s=0)
        assert closes(snapshot) == [1.0]


def test_leases_are_given_back(tmp_path: Path) -> None:
    with Warehouse.open(tmp_path, create=True) as warehouse:
        with warehouse.pin(), warehouse.pin():
            assert warehouse.database.value("select count(*) from leases") == 2
        assert warehouse.database.value("select count(*) from leases") == 0
        forgotten = warehouse.pin()
        forgotten.__enter__()
    with Warehouse.open(tmp_path) as warehouse:
        assert warehouse.database.value("select count(*) from leases") == 0
