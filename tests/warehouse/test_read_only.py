import os
import shutil
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

import sql
from tests.warehouse.frames import KEY, closes, publish_bars
from warehouse import Warehouse
from warehouse.catalog import CATALOG_NAME
from warehouse.database import DatabaseCopy
from warehouse.errors import ReadOnlyError


def _left_by_a_killed_writer(root: Path, left: Path) -> None:
    """Copy a warehouse whose last commit lies in the WAL, as a killed process leaves it."""
    with Warehouse.open(root, create=True) as warehouse:
        publish_bars(warehouse, 0, 2, price=1.0)
        warehouse.database.run("pragma wal_checkpoint(truncate)")
        publish_bars(warehouse, 0, 2, price=2.0)
        shutil.copytree(root, left)
    assert (left / f"{CATALOG_NAME}-wal").stat().st_size > 0


def test_a_copy_holds_what_a_killed_writer_had_committed(tmp_path: Path) -> None:
    _left_by_a_killed_writer(tmp_path / "data", tmp_path / "left")
    before = sorted((path.name, path.stat().st_mtime_ns) for path in (tmp_path / "left").iterdir())
    with Warehouse.open(tmp_path / "left", read_only=True) as warehouse, warehouse.pin() as snapshot:
        assert warehouse.is_read_only
        assert (snapshot.id, closes(snapshot)) == (2, [2.0, 2.0])
    with Warehouse.open(tmp_path / "left", read_only=True) as warehouse, warehouse.pin("S1") as snapshot:
        assert closes(snapshot) == [1.0, 1.0]
    assert sorted((path.name, path.stat().st_mtime_ns) for path in (tmp_path / "left").iterdir()) == before


def test_a_copy_without_the_wal_would_miss_the_last_commit(tmp_path: Path) -> None:
    _left_by_a_killed_writer(tmp_path / "data", tmp_path / "left")
    (tmp_path / "left" / f"{CATALOG_NAME}-wal").unlink()
    (tmp_path / "left" / f"{CATALOG_NAME}-shm").unlink()
    with Warehouse.open(tmp_path / "left", read_only=True) as warehouse, warehouse.pin() as snapshot:
        assert snapshot.id == 1


def test_a_copy_is_removed_when_closed(tmp_path: Path) -> None:
    Warehouse.open(tmp_path, create=True).close()
    database = DatabaseCopy.open(tmp_path / CATALOG_NAME)
    folder = Path(database._folder.name)
    assert folder.exists()
    database.close()
    assert not folder.exists()


def test_a_copy_torn_by_a_busy_writer_is_taken_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    publish: list[int] = []
    real_copy = shutil.copyfile
    with Warehouse.open(tmp_path, create=True) as warehouse:

        def copy_while_the_writer_works(source: Path, target: Path) -> Path:
            copied = real_copy(source, target)
            if len(publish) < 2:
                publish.append(publish_bars(warehouse, 0, 2, price=len(publish)))
                warehouse.database.run("pragma wal_checkpoint(restart)")
                publish_bars(warehouse, 2, 3, price=5.0)  # the WAL begins anew
            return copied

        monkeypatch.setattr(shutil, "copyfile", copy_while_the_writer_works)
        with Warehouse.open(tmp_path, read_only=True) as reader, reader.pin() as snapshot:
            assert snapshot.id == 4
    assert publish == [1, 3]


@pytest.mark.parametrize(
    "write",
    [
        lambda warehouse: warehouse.begin("x"),
        lambda warehouse: warehouse.writing("bars", KEY).__enter__(),
        lambda warehouse: warehouse.tag("t", 0),
        lambda warehouse: warehouse.expire(0),
        lambda warehouse: warehouse.collect(),
        lambda warehouse: warehouse.finish_chunk("k", [], hashes={}),
        lambda warehouse: warehouse.register_version("core", "h", []),
        lambda warehouse: warehouse.save_run("r", kind="", status="", table_state="", config={}, card={}),
    ],
    ids=["begin", "writing", "tag", "expire", "collect", "finish_chunk", "register_version", "save_run"],
)
def test_every_write_refuses(tmp_path: Path, write: Callable[[Warehouse], object]) -> None:
    Warehouse.open(tmp_path, create=True).close()
    with (
        Warehouse.open(tmp_path, read_only=True) as warehouse,
        pytest.raises(ReadOnlyError, match="open for reading only"),
    ):
        write(warehouse)
    with Warehouse.open(tmp_path) as warehouse:
        assert warehouse.snapshots()[-1].id == 0


def _as_somebody_else(work: Callable[[], None]) -> int:
    """Run something as a user who owns nothing here; root ignores the modes of files."""
    if os.getuid() != 0:
        work()
        return 0
    if not all(folder.stat().st_mode & 0o001 for folder in Path(sql.__file__).parents):
        pytest.skip("this code lies in a folder that other users may not enter")
    if (child := os.fork()) == 0:
        try:
            os.setgid(65534)
            os.setuid(65534)
            work()
        except BaseException:  # noqa: BLE001 - a forked test must not go on as a second suite
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@pytest.fixture
def locked() -> Iterator[Path]:
    """A warehouse left by a killed writer in a directory where nothing may be written."""
    with TemporaryDirectory() as folder:  # tmp_path is for its owner only
        Path(folder).chmod(0o755)
        root = Path(folder) / "left"
        _left_by_a_killed_writer(Path(folder) / "data", root)
        everything = [root, *root.rglob("*")]
        for path in everything:
            path.chmod(0o555 if path.is_dir() else 0o444)
        yield root
        for path in everything:
            path.chmod(0o755 if path.is_dir() else 0o644)


def test_a_directory_without_write_permission_opens_for_reading(locked: Path) -> None:
    def read() -> None:
        with Warehouse.open(locked) as warehouse, warehouse.pin() as snapshot:
            assert warehouse.is_read_only
            assert snapshot.id == 2
            (file,) = snapshot.files("bars", KEY)
            assert (locked / file.path).stat().st_size == file.n_bytes
            with pytest.raises(ReadOnlyError):
                warehouse.begin()

    assert _as_somebody_else(read) == 0


def test_a_warehouse_cannot_be_created_where_nothing_may_be_written(locked: Path) -> None:
    def create() -> None:
        with pytest.raises(ReadOnlyError, match="is not writable"):
            Warehouse.open(locked / "new", create=True)

    assert _as_somebody_else(create) == 0


def test_a_catalog_that_older_code_wrote_can_be_read(tmp_path: Path) -> None:
    """Its copy is brought up to date; the catalog itself is left as it is."""
    with Warehouse.open(tmp_path / "data", create=True) as warehouse:
        publish_bars(warehouse, 0, 2, price=1.0)
        warehouse.database.run("drop table feature_turns")
        warehouse.database.run("drop table unit_inputs")
        warehouse.database.run("drop index files_current")
        warehouse.database.run("alter table feature_versions drop column packages")
        warehouse.database.run("delete from migrations where number > 3")
        warehouse.database.run("pragma user_version = 3")
    for _ in range(2):
        with Warehouse.open(tmp_path / "data", read_only=True) as warehouse, warehouse.pin() as snapshot:
            assert closes(snapshot) == [1.0, 1.0]
            assert warehouse.finished_units("features", KEY, version="core@v1") == []
            assert warehouse.versions() == []
