import errno
import io
import os
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq
import pytest
from polars.testing import assert_frame_equal

from tests.warehouse.frames import KEY, bars, closes, features, full_disk, publish_bars, stored_files
from warehouse import Warehouse
from warehouse.errors import ReadOnlyError, StorageFullError
from warehouse.files import Codec, FileSystem, encode, local_file_system


def _columns(data: memoryview) -> dict[str, pq.ColumnChunkMetaData]:
    metadata = pq.ParquetFile(io.BytesIO(data)).metadata
    assert metadata.num_row_groups == 1
    group = metadata.row_group(0)
    return {group.column(i).path_in_schema: group.column(i) for i in range(group.num_columns)}


def test_features_are_lz4_without_dictionary_in_one_row_group() -> None:
    columns = _columns(encode(features(range(16_384)), codec="features"))
    for column in columns.values():
        assert column.compression == "LZ4"
        assert not any("DICTIONARY" in encoding for encoding in column.encodings)
    assert columns["open_time"].is_stats_set
    assert not columns["f_0"].is_stats_set


def test_bars_are_zstd_with_statistics_and_a_dictionary_for_text_only() -> None:
    columns = _columns(encode(bars(range(16_384)), codec="bars"))
    assert {column.compression for column in columns.values()} == {"ZSTD"}
    assert all(column.is_stats_set for column in columns.values())
    with_dictionary = {
        name for name, column in columns.items() if any("DICTIONARY" in each for each in column.encodings)
    }
    assert with_dictionary == {"source"}


@pytest.mark.parametrize("codec", ["bars", "features"])
@pytest.mark.parametrize("frame", [bars(range(3)), bars([]), features(range(5))], ids=["bars", "empty", "features"])
def test_a_frame_comes_back_as_it_was(codec: Codec, frame: pl.DataFrame) -> None:
    assert_frame_equal(pl.read_parquet(io.BytesIO(encode(frame, codec=codec))), frame)


def _recording(log: list[str]) -> FileSystem:
    """The local disk, noting what happens to it."""
    disk = local_file_system()

    def create(path: Path) -> int:
        log.append("create")
        return disk.create(path)

    def write(descriptor: int, data: memoryview) -> int:
        log.append("write")
        return disk.write(descriptor, data)

    def fsync(descriptor: int) -> None:
        log.append("fsync")
        disk.fsync(descriptor)

    def rename(source: Path, target: Path) -> None:
        log.append("rename")
        disk.rename(source, target)

    def fsync_folder(path: Path) -> None:
        log.append(f"fsync folder {path.name}")
        disk.fsync_folder(path)

    return FileSystem(create, write, fsync, rename, fsync_folder)


def test_a_file_is_durable_before_the_catalog_names_it(tmp_path: Path) -> None:
    log: list[str] = []
    with Warehouse.open(tmp_path, create=True, file_system=_recording(log)) as warehouse:
        publish_bars(warehouse, 0, 2)
        log.clear()
        warehouse.database.on_statement(lambda text: log.append(text) if text == "commit" else None)
        commit = warehouse.begin()
        commit.write("bars", KEY, bars(range(2, 4)), start=2, stop=4)
        commit.publish()
        warehouse.database.on_statement(None)
    assert log == ["create", "write", "fsync", "rename", "fsync folder interval=60", "commit"]


def test_each_new_folder_is_durable_in_its_parent(tmp_path: Path) -> None:
    log: list[str] = []
    with Warehouse.open(tmp_path / "data", create=True, file_system=_recording(log)) as warehouse:
        publish_bars(warehouse, 0, 2)
    assert log == [
        "fsync folder data",
        "fsync folder bars",
        "fsync folder exchange=bybit",
        "fsync folder category=linear",
        "fsync folder symbol=BTCUSDT",
        "create",
        "write",
        "fsync",
        "rename",
        "fsync folder interval=60",
    ]


def test_the_catalog_waits_for_the_disk_at_each_commit(warehouse: Warehouse) -> None:
    log: list[str] = []
    commit = warehouse.begin()
    commit.write("bars", KEY, bars(range(2)), start=0, stop=2)
    warehouse.database.on_statement(log.append)
    commit.publish()
    warehouse.database.on_statement(None)
    assert log[:2] == ["pragma synchronous = full", "begin immediate"]
    assert log[-1] == "commit"
    assert not any("pragma" in statement for statement in log[1:])
    assert warehouse.database.value("pragma synchronous") == 2  # FULL
    assert warehouse.database.value("pragma journal_mode") == "wal"
    assert warehouse.database.value("pragma foreign_keys") == 1


def test_a_folder_that_may_not_be_written_is_said(tmp_path: Path) -> None:
    def refuse(path: Path) -> int:
        raise PermissionError(errno.EACCES, "Permission denied")

    disk = replace(local_file_system(), create=refuse)
    with (
        Warehouse.open(tmp_path, create=True, file_system=disk) as warehouse,
        pytest.raises(ReadOnlyError, match="interval=60 cannot be written: Permission denied"),
    ):
        publish_bars(warehouse, 0, 1)


@pytest.mark.parametrize("after_bytes", [0, 100])
def test_a_full_disk_is_said_and_leaves_the_last_snapshot_whole(tmp_path: Path, after_bytes: int) -> None:
    with Warehouse.open(tmp_path, create=True) as warehouse:
        publish_bars(warehouse, 0, 2, price=7.0)
    before = stored_files(tmp_path)
    with Warehouse.open(tmp_path, file_system=full_disk(after_bytes)) as warehouse:
        with pytest.raises(StorageFullError, match=r"disk is full: .*interval=60 takes no file of .* MB free"):
            publish_bars(warehouse, 0, 2, price=8.0)
        with warehouse.pin() as snapshot:
            assert closes(snapshot) == [7.0, 7.0]
    assert stored_files(tmp_path) == before


def test_a_disk_that_takes_few_bytes_at_a_time_gets_all_of_them(tmp_path: Path) -> None:
    slow = replace(local_file_system(), write=lambda descriptor, data: os.write(descriptor, data[:1000]))
    with Warehouse.open(tmp_path, create=True, file_system=slow) as warehouse:
        publish_bars(warehouse, 0, 200)
        with warehouse.pin() as snapshot:
            (file,) = snapshot.files("bars", KEY)
            data = (tmp_path / file.path).read_bytes()
            assert (len(data), sha256(data).hexdigest()) == (file.n_bytes, file.sha256)
            assert closes(snapshot) == [1.0] * 200


def test_a_full_disk_under_the_catalog_is_said(warehouse: Warehouse) -> None:
    publish_bars(warehouse, 0, 2, price=7.0)
    warehouse.database.run("pragma max_page_count = 1")
    message = "long " * 200_000
    commit = warehouse.begin(message)
    commit.write("bars", KEY, bars(range(2, 4)), start=2, stop=4)
    with pytest.raises(StorageFullError, match="last snapshot is whole"):
        commit.publish()
    with pytest.raises(StorageFullError):
        warehouse.save_run("r", kind=message, status="", table_state="", config={}, card={})
    warehouse.database.run("pragma max_page_count = 1000000")
    with warehouse.pin() as snapshot:
        assert (snapshot.id, closes(snapshot)) == (1, [7.0, 7.0])
    assert commit.publish() == 2
