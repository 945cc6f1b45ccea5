import numpy as np
import polars as pl
import pytest

from tests.warehouse.frames import KEY, OTHER, Clock, bars, closes, features, paths, publish_bars
from warehouse import DataFile, Warehouse
from warehouse.errors import ConflictError, SchemaError, WarehouseError


def _only_file(warehouse: Warehouse) -> DataFile:
    with warehouse.pin() as snapshot:
        (file,) = snapshot.files("bars", KEY)
    return file


def test_what_is_not_published_is_not_there(warehouse: Warehouse) -> None:
    warehouse.begin().write("bars", KEY, bars(range(2)), start=0, stop=2)
    with warehouse.pin() as snapshot:
        assert (snapshot.id, snapshot.files("bars")) == (0, [])


def test_a_file_is_described_in_full(warehouse: Warehouse) -> None:
    commit = warehouse.begin("why")
    written = commit.write("bars", KEY, bars(range(3)), start=np.int64(0), stop=np.int64(4), content="abc")  # type: ignore[arg-type]
    assert commit.publish() == 1
    assert _only_file(warehouse) == written
    assert (written.n_rows, written.content, written.key, written.version) == (3, "abc", KEY, "")
    assert written.path.startswith("bars/exchange=bybit/category=linear/symbol=BTCUSDT/interval=60/0-4-")
    assert warehouse.snapshots()[-1].message == "why"
    assert warehouse.series() == [KEY]


def test_a_commit_without_changes_publishes_nothing(warehouse: Warehouse) -> None:
    publish_bars(warehouse, 0, 1)
    commit = warehouse.begin("nothing")
    commit.add(_only_file(warehouse))
    assert commit.publish() == 1
    assert [info.id for info in warehouse.snapshots()] == [0, 1]


def test_a_commit_is_published_once(warehouse: Warehouse) -> None:
    commit = warehouse.begin("once")
    commit.publish()
    with pytest.raises(WarehouseError, match="'once' was published already"):
        commit.publish()


def test_of_two_commits_that_replace_one_file_the_second_conflicts(warehouse: Warehouse) -> None:
    publish_bars(warehouse, 0, 2, price=1.0)
    old = _only_file(warehouse)
    commits = [warehouse.begin(), warehouse.begin()]
    for commit, price in zip(commits, (2.0, 3.0), strict=True):
        commit.remove(old)
        commit.write("bars", KEY, bars(range(2), price), start=0, stop=2)
    assert commits[0].publish() == 2
    with pytest.raises(ConflictError, match="no longer live: another writer replaced it"):
        commits[1].publish()
    with warehouse.pin() as snapshot:
        assert (snapshot.id, closes(snapshot)) == (2, [2.0, 2.0])


def test_of_two_commits_that_fill_one_range_the_second_conflicts(warehouse: Warehouse) -> None:
    commits = [warehouse.begin(), warehouse.begin()]
    for commit, start in zip(commits, (0, 3), strict=True):
        commit.write("bars", KEY, bars(range(start, start + 4)), start=start, stop=start + 4)
    commits[0].publish()
    with pytest.raises(ConflictError, match=r"covers bar numbers that .* covers too"):
        commits[1].publish()
    with warehouse.pin() as snapshot:
        assert (snapshot.id, len(closes(snapshot))) == (1, 4)


@pytest.mark.parametrize(("key", "start", "table"), [(KEY, 4, "bars"), (OTHER, 0, "bars"), (KEY, 0, "revisions")])
def test_neighbours_other_series_and_logs_do_not_conflict(
    warehouse: Warehouse, key: tuple[str, str, str, str], start: int, table: str
) -> None:
    for at in (0, start):
        commit = warehouse.begin()
        commit.write(table, KEY if at != start else key, bars(range(at, at + 4)), start=at, stop=at + 4)
        commit.publish()
        if key == OTHER:
            key = KEY
    with warehouse.pin() as snapshot:
        assert len(snapshot.files(table)) == 2


def test_a_file_that_left_cannot_come_back(warehouse: Warehouse) -> None:
    publish_bars(warehouse, 0, 2)
    old = _only_file(warehouse)
    publish_bars(warehouse, 0, 2)
    commit = warehouse.begin()
    commit.add(old)
    with pytest.raises(ConflictError, match="cannot be added again"):
        commit.publish()


def test_a_file_that_was_collected_cannot_be_published(warehouse: Warehouse) -> None:
    commit = warehouse.begin()
    file = commit.write("bars", KEY, bars(range(2)), start=0, stop=2)
    (warehouse.root / file.path).unlink()
    with pytest.raises(ConflictError, match="is gone: it was collected"):
        commit.publish()
    assert warehouse.series() == []


def test_a_clock_set_back_does_not_reorder_snapshots(warehouse: Warehouse, clock: Clock) -> None:
    clock.advance(100)
    publish_bars(warehouse, 0, 1)
    clock.advance(-50)
    publish_bars(warehouse, 1, 2)
    times = [info.committed_at for info in warehouse.snapshots()]
    assert times == sorted(times)


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (bars(range(2)).drop("volume"), r"column volume \(Float64\) where this frame has turnover"),
        (bars(range(2)).with_columns(pl.col("close").cast(pl.Float32)), r"close \(Float64\) where .* \(Float32\)"),
        (bars(range(2)).with_columns(x=1), "has 10 columns, this frame 11"),
        (bars(range(5)), "5 rows do not fit the bar numbers 2 to 4"),
    ],
)
def test_bars_of_another_shape_are_refused(warehouse: Warehouse, frame: pl.DataFrame, message: str) -> None:
    publish_bars(warehouse, 0, 2)
    with pytest.raises(SchemaError, match=message):
        warehouse.begin().write("bars", KEY, frame, start=2, stop=4)


def test_each_feature_version_has_columns_of_its_own(warehouse: Warehouse) -> None:
    commit = warehouse.begin()
    for version, n_columns in (("core@v1", 2), ("core@v2", 3)):
        frame = features(range(2), n_columns)
        commit.write("features", KEY, frame, start=0, stop=2, version=version, codec="features")
    commit.publish()
    with warehouse.pin() as snapshot:
        assert [len(snapshot.scan("features", KEY, version=f"core@v{n}").collect().columns) for n in (1, 2)] == [5, 6]


def test_a_table_belongs_to_series_or_to_none(warehouse: Warehouse) -> None:
    publish_bars(warehouse, 0, 2)
    with pytest.raises(SchemaError, match="first written with a series for every file"):
        warehouse.begin().write("bars", None, bars(range(2)), start=0, stop=2)


def test_only_fetches_are_recorded_and_only_in_full(warehouse: Warehouse) -> None:
    with pytest.raises(SchemaError, match="expected 'fetches' with"):
        warehouse.begin().record("fetches", series=KEY, n_rows=1)
    with pytest.raises(SchemaError, match="cannot record 'runs'"):
        warehouse.begin().record("runs", run_id="r")


def test_a_fetch_is_recorded_with_its_snapshot_or_not_at_all(warehouse: Warehouse) -> None:
    counts = dict.fromkeys(("n_rows", "n_added", "n_revised", "n_unchanged", "n_quarantined", "n_forming"), 1)
    publish_bars(warehouse, 0, 2)
    quiet = warehouse.begin()
    quiet.record("fetches", series=KEY, source="quiet", fetched_at=5, **counts)
    assert quiet.publish() == 1
    clashing = warehouse.begin()
    clashing.write("bars", KEY, bars(range(2)), start=0, stop=2)
    clashing.record("fetches", series=KEY, source="clashing", fetched_at=6, **counts)
    with pytest.raises(ConflictError):
        clashing.publish()
    rows = warehouse.database.rows("select snapshot_id, source, n_rows from fetches")
    assert [tuple(row) for row in rows] == [(1, "quiet", 1)]


def test_a_published_file_is_never_written_again(warehouse: Warehouse) -> None:
    publish_bars(warehouse, 0, 2, price=1.0)
    old = _only_file(warehouse)
    before = (warehouse.root / old.path).stat()
    publish_bars(warehouse, 0, 2, price=2.0)
    after = (warehouse.root / old.path).stat()
    assert (before.st_mtime_ns, before.st_ino) == (after.st_mtime_ns, after.st_ino)
    assert old.path not in paths([_only_file(warehouse)])
