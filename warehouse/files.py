"""Durable writing of Parquet files, through operations that a test can watch or break."""

import errno
import functools
import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from secrets import token_hex
from typing import Literal, NamedTuple

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from warehouse.errors import ReadOnlyError, StorageFullError

Codec = Literal["bars", "features"]

TEMPORARY_SUFFIX = ".tmp"
ROW_GROUP_ROWS = 16_384


@dataclass(frozen=True, slots=True)
class FileSystem:
    """The operations that make a file durable, in the order of their use.

    A rename is durable only once the folder is synced, and a file's bytes only once the file is: without the first
    fsync a crash leaves a name without its bytes.
    """

    create: Callable[[Path], int]
    write: Callable[[int, memoryview], int]
    fsync: Callable[[int], None]
    rename: Callable[[Path, Path], None]
    fsync_folder: Callable[[Path], None]


class Written(NamedTuple):
    """What was written: path relative to the warehouse, size and hash of the bytes."""

    path: str
    n_bytes: int
    sha256: str


def local_file_system() -> FileSystem:
    """Return the operations of the local disk."""
    return FileSystem(create=_create, write=os.write, fsync=os.fsync, rename=os.rename, fsync_folder=_fsync_folder)


def encode(frame: pl.DataFrame, /, *, codec: Codec) -> memoryview:
    """Return a frame as the bytes of a Parquet file.

    Notes
    -----
    `features` is lz4 with statistics of open_time only: of 195 float32 columns zstd triples the time of a scan, and a
    dictionary takes six times as long to write. `bars` is zstd with statistics; a dictionary there is kept to text,
    since one of prices makes the file half as large again. pyarrow is as fast as Polars at this and takes dictionary
    and statistics by column.
    """
    table = frame.to_arrow()
    text = [field.name for field in table.schema if _is_text(field.type)]
    sink = pa.BufferOutputStream()
    if codec == "features":
        timed = [name for name in ("open_time",) if name in frame.columns]
        pq.write_table(
            table,
            sink,
            compression="lz4",
            use_dictionary=False,
            write_statistics=timed,
            row_group_size=ROW_GROUP_ROWS,
            write_batch_size=ROW_GROUP_ROWS,  # the default cuts a column into 16 steps and takes a third longer
        )
    else:
        pq.write_table(table, sink, compression="zstd", use_dictionary=text, row_group_size=ROW_GROUP_ROWS)
    return memoryview(sink.getvalue())


def read_columns(paths: Sequence[Path], columns: Sequence[str], /) -> pl.DataFrame:
    """Read columns of Parquet files, one below the other, in the calling thread.

    Notes
    -----
    A build reads a few small files a chunk: Polars spends longer on planning such a scan than this takes, and wakes a
    pool of threads in every process of a build.
    """
    tables = [_read_table(path, tuple(columns)) for path in paths]
    frame = pl.from_arrow(pa.concat_tables(tables))
    return frame if isinstance(frame, pl.DataFrame) else frame.to_frame()


def write_durably(data: memoryview, /, *, root: Path, folder: str, stem: str, file_system: FileSystem) -> Written:
    """Put bytes under a unique name into a folder of the warehouse, so that no crash can take them back.

    Raises
    ------
    StorageFullError
        The disk or the quota is full; the partial file is gone again.
    """
    name = f"{stem}-{token_hex(8)}.parquet"
    final = root / folder / name
    temporary = final.with_name(f".{name}{TEMPORARY_SUFFIX}")
    try:
        _make_folder(final.parent, root, file_system)
        _write_and_sync(temporary, data, file_system)
        file_system.rename(temporary, final)
        file_system.fsync_folder(final.parent)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise _own_words(error, final, root, len(data)) from error
    return Written(f"{folder}/{name}", len(data), sha256(data).hexdigest())


# ------------------------------------------------------------------------------------


@functools.lru_cache(maxsize=2)  # the bars of one chunk are read again before those of the next; files never change
def _read_table(path: Path, columns: tuple[str, ...]) -> pa.Table:
    with pq.ParquetFile(path, memory_map=True) as file:
        return file.read(columns=list(columns), use_threads=False)


def _create(path: Path) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)


def _fsync_folder(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _make_folder(folder: Path, root: Path, file_system: FileSystem) -> None:
    """Make a folder and those above it; each new name is synced in its parent."""
    if folder.is_dir():
        return
    if folder.parent != root:
        _make_folder(folder.parent, root, file_system)
    folder.mkdir(exist_ok=True)
    file_system.fsync_folder(folder.parent)


def _write_and_sync(path: Path, data: memoryview, file_system: FileSystem) -> None:
    descriptor = file_system.create(path)
    try:
        while data:
            data = data[file_system.write(descriptor, data) :]
        file_system.fsync(descriptor)
    finally:
        os.close(descriptor)


def _is_text(kind: pa.DataType) -> bool:
    return pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)


def _own_words(error: OSError, path: Path, root: Path, n_bytes: int) -> Exception:
    match error.errno:
        case errno.ENOSPC | errno.EDQUOT:
            return StorageFullError(
                f"the disk is full: {path.parent} takes no file of {n_bytes / 1e6:.1f} MB "
                f"({shutil.disk_usage(root).free / 1e6:.0f} MB free). The last snapshot is whole; "
                "free some space and try again."
            )
        case errno.EROFS | errno.EACCES | errno.EPERM:
            return ReadOnlyError(f"{path.parent} cannot be written: {error.strerror}. Check its permissions.")
        case _:
            return error
