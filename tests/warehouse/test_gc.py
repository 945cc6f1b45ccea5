import os
from pathlib import Path

import pytest

from tests.warehouse.frames import KEY, Clock, bars, closes, publish_bars, stored_files
from warehouse import Warehouse
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
    assert warehouse.expire(0) == (0, 0, 0)
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
