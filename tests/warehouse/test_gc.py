import os
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.warehouse.frames import KEY, OTHER, Clock, bars, closes, features, publish_bars, stored_files
from warehouse import DataFile, SeriesKey, Warehouse
from warehouse.errors import NotFoundError


def _history(warehouse: Warehouse, clock: Clock, n: int) -> None:
    """S1 to Sn, each with one file of price = its number, ten seconds apart."""
    for number in range(1, n + 1):
        clock.advance(10)
        publish_bars(warehouse, 0, 2, price=number)


def _age(root: Path, ms: int) -> None:
    """Set the modification time of every file that holds data."""
    for path in stored_files(root):
        os.utime(root / path, (ms / 1000, ms / 1000))


def test_what_nothing_pins_expires_and_is_collected(warehouse: Warehouse, clock: Clock) -> None:
    _history(warehouse, clock, 3)
    clock.advance(1)
    report = warehouse.expire(0)
    assert (report.n_snapshots, report.n_files) == (3, 2)
    assert report.n_bytes > 0
    assert len(stored_files(warehouse.root)) == 3
    assert warehouse.collect(grace_s=0) == (2, 0, report.n_bytes)
    assert len(stored_files(warehouse.root)) == 1
    with warehouse.pin() as snapshot:
        assert closes(snapshot) == [3.0, 3.0]
    assert warehouse.expire(0) == (0, 0, 0, 0)
    assert warehouse.collect(grace_s=0) == (0, 0, 0)


def test_the_keep_time_counts_from_being_superseded(warehouse: Warehouse, clock: Clock) -> None:
    _history(warehouse, clock, 3)  # S0 superseded at 10 s, S1 at 20 s, S2 at 30 s
    clock.advance(15)
    warehouse.expire(20)
    assert [info.id for info in warehouse.snapshots()] == [2, 3]


def test_tags_runs_and_leases_pin(warehouse: Warehouse, clock: Clock) -> None:
    _history(warehouse, clock, 6)
    warehouse.tag("paper", 1)
    warehouse.save_run("r", kind="run", status="done", table_state="core@v1@S3", config={}, card={})
    with warehouse.pin(4) as held:
        clock.advance(30)
        warehouse.expire(0)
        warehouse.collect(grace_s=0)
        assert [info.id for info in warehouse.snapshots()] == [1, 3, 4, 6]
        assert closes(held) == [4.0, 4.0]
    for number in (1, 3, 6):
        with warehouse.pin(number) as snapshot:
            assert closes(snapshot) == [number, number]
    warehouse.expire(0)
    assert [info.id for info in warehouse.snapshots()] == [1, 3, 6]


def test_the_lease_of_a_dead_reader_expires(warehouse: Warehouse, clock: Clock) -> None:
    _history(warehouse, clock, 2)
    with warehouse.pin(1):
        clock.advance(59)
        warehouse.expire(0)
        assert [info.id for info in warehouse.snapshots()] == [1, 2]
        clock.advance(2)
        warehouse.expire(0)
        assert [info.id for info in warehouse.snapshots()] == [2]


def test_files_stay_for_the_grace_after_they_lost_their_last_snapshot(warehouse: Warehouse, clock: Clock) -> None:
    _history(warehouse, clock, 2)
    clock.advance(5000)
    warehouse.expire(0)
    assert warehouse.collect().n_files == 0
    clock.advance(3599)
    assert warehouse.collect().n_files == 0
    clock.advance(1)
    assert warehouse.collect().n_files == 1


def test_what_a_killed_writer_left_is_collected_after_the_grace(warehouse: Warehouse, clock: Clock) -> None:
    publish_bars(warehouse, 0, 2, price=4.0)
    stray = warehouse.begin().write("bars", KEY, bars(range(2, 4)), start=2, stop=4)
    partial = (warehouse.root / stray.path).with_name(".2-4-0.parquet.tmp")
    partial.write_bytes(b"PAR1")
    (warehouse.root / "bars" / "notes.txt").write_text("mine")
    _age(warehouse.root, clock.ms)
    clock.advance(3599)
    assert warehouse.collect().n_strays == 0
    clock.advance(1)
    report = warehouse.collect()
    assert (report.n_files, report.n_strays, report.n_bytes) == (0, 2, stray.n_bytes + 4)
    assert len(stored_files(warehouse.root)) == 1
    assert (warehouse.root / "bars" / "notes.txt").read_text() == "mine"
    with warehouse.pin() as snapshot:
        assert closes(snapshot) == [4.0, 4.0]


def test_files_of_a_working_writer_are_no_strays(warehouse: Warehouse, clock: Clock) -> None:
    clock.ms = 10**14  # far beyond the real times of the files, so that no grace protects them
    with warehouse.writing("bars", KEY):
        commit = warehouse.begin()
        commit.write("bars", KEY, bars(range(2)), start=0, stop=2)
        assert warehouse.collect(grace_s=0).n_strays == 0
        commit.publish()
    warehouse.begin().write("bars", KEY, bars(range(2, 4)), start=2, stop=4)
    assert warehouse.collect(grace_s=0).n_strays == 1


def test_a_collection_cut_short_leaves_strays_and_no_row_without_its_file(
    warehouse: Warehouse, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    _history(warehouse, clock, 3)
    clock.advance(1)
    warehouse.expire(0)

    def die(path: Path, missing_ok: bool = False) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", die)
        with pytest.raises(KeyboardInterrupt):
            warehouse.collect(grace_s=0)
    assert len(stored_files(warehouse.root)) == 3
    rows = warehouse.database.rows("select path from files")
    assert {row["path"] for row in rows} < stored_files(warehouse.root)
    clock.ms = 10**14
    assert warehouse.collect(grace_s=0).n_strays == 2
    with warehouse.pin() as snapshot:
        assert closes(snapshot) == [3.0, 3.0]


def test_an_expired_snapshot_cannot_be_pinned_or_tagged(warehouse: Warehouse, clock: Clock) -> None:
    _history(warehouse, clock, 2)
    clock.advance(1)
    warehouse.expire(0)
    with pytest.raises(NotFoundError, match="S1 was S1, which has expired"), warehouse.pin(1):
        pass
    with pytest.raises(NotFoundError, match="does not hold"):
        warehouse.tag("late", 1)


def test_disk_bytes_counts_files(warehouse: Warehouse, clock: Clock) -> None:
    _history(warehouse, clock, 2)
    with warehouse.pin(1) as first, warehouse.pin(2) as second:
        n_bytes = sum(file.n_bytes for snapshot in (first, second) for file in snapshot.files("bars"))
    assert warehouse.disk_bytes("bars") == n_bytes
    assert warehouse.disk_bytes() > n_bytes
    assert warehouse.disk_bytes("features") == 0


@pytest.fixture
def two_versions(warehouse: Warehouse, clock: Clock) -> Warehouse:
    """S1 and S2 hold core@v1 of two series; S3, ten seconds later, core@v2 of the first."""
    for version, key in (("core@v1", KEY), ("core@v1", OTHER), ("core@v2", KEY)):
        clock.advance(10)
        file = publish_features(warehouse, 0, 4, version=version, key=key)
        unit = f"{version} {':'.join(key)}"
        warehouse.finish_chunk(unit, [file], hashes={}, fingerprint=f"inputs of {unit}")
    return warehouse


def publish_features(warehouse: Warehouse, start: int, stop: int, *, version: str, key: SeriesKey = KEY) -> DataFile:
    commit = warehouse.begin(version)
    file = commit.write("features", key, features(range(start, stop)), start=start, stop=stop, version=version)
    commit.publish()
    return file


def held(warehouse: Warehouse) -> set[tuple[str, str]]:
    """Feature tables of the newest snapshot."""
    with warehouse.pin() as snapshot:
        return {
            (version, key.symbol)
            for version in snapshot.versions("features")
            for key in snapshot.keys("features", version=version)
        }


ALL = {("core@v1", "BTCUSDT"), ("core@v1", "ETHUSDT"), ("core@v2", "BTCUSDT")}
NEWEST = ALL - {("core@v1", "BTCUSDT")}


def test_an_old_version_of_a_series_leaves_once_a_newer_one_has_held_it_for_the_keep_time(
    two_versions: Warehouse, clock: Clock
) -> None:
    clock.advance(99)
    assert two_versions.expire(100).n_tables == 0
    assert held(two_versions) == ALL
    clock.advance(1)
    assert two_versions.expire(100).n_tables == 1
    assert held(two_versions) == NEWEST
    assert two_versions.expire(100).n_tables == 0


def test_its_files_and_chunk_keys_go_together_and_no_others(two_versions: Warehouse) -> None:
    assert two_versions.expire(0).n_files == 1  # the snapshots that held it are superseded in the same moment
    assert {row["chunk_key"] for row in two_versions.database.rows("select chunk_key from chunks")} == {
        "core@v1 bybit:linear:BTCUSDT:60",
        "core@v1 binance:um:ETHUSDT:D",
        "core@v2 bybit:linear:BTCUSDT:60",
    }
    assert two_versions.collect(grace_s=0).n_files == 1
    assert {row["chunk_key"] for row in two_versions.database.rows("select chunk_key from chunks")} == {
        "core@v1 binance:um:ETHUSDT:D",
        "core@v2 bybit:linear:BTCUSDT:60",
    }
    for table in ("chunk_files", "unit_inputs"):
        assert two_versions.database.value(f"select count(*) from {table}") == 2
    assert two_versions.collect(grace_s=0) == (0, 0, 0)  # neither a stray nor a row without its file is left
    assert held(two_versions) == NEWEST


@pytest.mark.parametrize("pin", ["run", "tag", "lease"])
def test_an_old_version_stays_in_the_snapshot_that_something_names(
    two_versions: Warehouse, clock: Clock, pin: str
) -> None:
    with ExitStack() as stack:
        match pin:
            case "run":
                two_versions.save_run("r", kind="run", status="done", table_state="core@v1@S2", config={}, card={})
            case "tag":
                two_versions.tag("paper", 2)
            case "lease":
                stack.enter_context(two_versions.pin(2))
        for _ in range(3):
            clock.advance(1)
            two_versions.expire(0)
            two_versions.collect(grace_s=0)
        assert held(two_versions) == NEWEST
        with two_versions.pin(2) as snapshot:
            assert snapshot.scan("features", KEY, version="core@v1").collect().height == 4


def test_a_version_that_is_still_built_stays(two_versions: Warehouse, clock: Clock) -> None:
    """Older code at work goes on with its own version."""
    clock.advance(1000)
    publish_features(two_versions, 4, 8, version="core@v1")
    clock.advance(99)
    assert two_versions.expire(100).n_tables == 0
    clock.advance(1)
    assert two_versions.expire(100).n_tables == 1


def test_a_table_that_a_build_has_in_hand_stays(two_versions: Warehouse, clock: Clock) -> None:
    with two_versions.writing("features", KEY):
        assert two_versions.expire(0).n_tables == 0
        assert held(two_versions) == ALL
    assert two_versions.expire(0).n_tables == 1


def test_versions_are_ordered_by_number_and_of_one_set(warehouse: Warehouse) -> None:
    for version in ("core@v9", "core@v10", "core_own@v11"):
        publish_features(warehouse, 0, 4, version=version)
    assert warehouse.expire(0).n_tables == 1
    assert held(warehouse) == {("core@v10", "BTCUSDT"), ("core_own@v11", "BTCUSDT")}


def test_a_newer_version_that_has_lost_its_rows_supersedes_nothing(two_versions: Warehouse) -> None:
    commit = two_versions.begin()
    with two_versions.pin() as snapshot:
        for file in snapshot.files("features", version="core@v2"):
            commit.remove(file)
    commit.publish()
    assert two_versions.expire(0).n_tables == 0


def test_the_definitions_of_an_expired_version_stay(two_versions: Warehouse, clock: Clock) -> None:
    assert [two_versions.register_version("core", hash_, [{"name": "f_0"}]) for hash_ in ("a", "b")] == [1, 2]
    two_versions.expire(0)
    clock.advance(1)
    two_versions.expire(0)
    two_versions.collect(grace_s=0)
    assert [version.definitions for version in two_versions.versions()] == [[{"name": "f_0"}]] * 2
    assert two_versions.register_version("core", "c", []) == 3
