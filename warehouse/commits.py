"""A staged commit: files are written first, then one SQLite transaction makes them a snapshot."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import polars as pl

from warehouse.database import Database
from warehouse.errors import ConflictError, SchemaError, WarehouseError
from warehouse.files import Codec, FileSystem, encode, write_durably
from warehouse.names import checked_key, checked_table, checked_version, folder_of
from warehouse.records import FETCH_FIELDS, insert_fetch
from warehouse.tables import GRID_TABLES, DataFile, register_file, register_series, require_schema
from warehouse.turns import TURN_FIELDS, insert_turn, is_turn
from warehouse.verdicts import ABSENCE_FIELDS, insert_absence


@dataclass(frozen=True, slots=True)
class FileWriter:
    """Writes files durably and knows no catalog, so that it may be sent to another process.

    Attributes
    ----------
    root : Path
        Of the warehouse.
    file_system : FileSystem
        What writes files.
    """

    root: Path
    file_system: FileSystem

    def write(
        self,
        data: memoryview,
        table: str,
        key: tuple[str, str, str, str] | None,
        /,
        *,
        start: int,
        stop: int,
        n_rows: int,
        version: str = "",
        content: str = "",
    ) -> DataFile:
        """Write the bytes of a Parquet file under a new name; parameters are those of `Commit.write`."""
        checked, start, stop = checked_key(key), int(start), int(stop)  # numpy integers would be stored as blobs
        if not 0 <= start <= stop or (table in GRID_TABLES and n_rows > stop - start):
            raise SchemaError(f"table {table}: {n_rows} rows do not fit the bar numbers {start} to {stop}, half-open.")
        written = write_durably(
            data,
            root=self.root,
            folder=folder_of(table, version, checked),
            stem=f"{start}-{stop}",
            file_system=self.file_system,
        )
        return DataFile(
            path=written.path,
            table=checked_table(table),
            version=checked_version(version),
            key=checked,
            start=start,
            stop=stop,
            n_rows=n_rows,
            n_bytes=written.n_bytes,
            sha256=written.sha256,
            content=content,
        )


class Commit:
    """Changes that `publish` turns into the next snapshot, all or none.

    Files that were written and never published are swept up by `Warehouse.collect`.

    Parameters
    ----------
    root : Path
        Of the warehouse.
    database : Database
        Its catalog.
    message : str
        What the snapshot brings, for people.
    file_system : FileSystem
        What writes files.
    now_ms : callable
        Clock, UTC in ms.
    """

    def __init__(
        self,
        root: Path,
        database: Database,
        /,
        *,
        message: str,
        file_system: FileSystem,
        now_ms: Callable[[], int],
    ) -> None:
        self.message = message
        self._root = root
        self._database = database
        self._file_system = file_system
        self._now_ms = now_ms
        self._added: dict[str, DataFile] = {}
        self._removed: dict[str, DataFile] = {}
        self._records: list[tuple[str, dict[str, object]]] = []
        self._is_published = False

    def write(
        self,
        table: str,
        key: tuple[str, str, str, str] | None,
        frame: pl.DataFrame,
        /,
        *,
        start: int,
        stop: int,
        version: str = "",
        codec: Codec = "bars",
        content: str = "",
    ) -> DataFile:
        """Write a frame durably as one file and stage it.

        Parameters
        ----------
        table : str
            Name of the table.
        key : SeriesKey or None
            Series of the file; None in a table that belongs to no series.
        frame : pl.DataFrame
            Rows, sorted as they shall be read.
        start, stop : int
            Half-open range of bar numbers that the file may hold.
        version : str
            Such as `core@v3`; empty for a table without versions.
        codec : {"bars", "features"}
            See `warehouse.files.encode`.
        content : str
            Hash of the values, kept with the file for the caller.

        Raises
        ------
        SchemaError
            The columns differ from the table's.
        StorageFullError
            The disk is full.
        """
        self.declare(table, key, frame, version=version)
        file = self.writer().write(
            encode(frame, codec=codec),
            table,
            key,
            start=start,
            stop=stop,
            n_rows=frame.height,
            version=version,
            content=content,
        )
        self.add(file)
        return file

    def declare(
        self, table: str, key: tuple[str, str, str, str] | None, frame: pl.DataFrame, /, *, version: str = ""
    ) -> None:
        """Record the columns of a table at its first write, or raise SchemaError where the frame's differ from them.

        `write` does so by itself; it is for files that `writer` writes, in this process or another.
        """
        checked = checked_key(key)
        require_schema(
            self._database, checked_table(table), checked_version(version), frame, is_keyed=checked is not None
        )

    def writer(self) -> FileWriter:
        """Return what writes files without the catalog; `add` stages them."""
        return FileWriter(self._root, self._file_system)

    def add(self, file: DataFile, /) -> None:
        """Stage a file that was written before; one that is live already stays as it is."""
        self._added[file.path] = file

    def remove(self, file: DataFile, /) -> None:
        """Stage that a file leaves the next snapshot."""
        self._removed[file.path] = file

    def record(self, kind: str, /, **row: object) -> None:
        """Stage a row of a side table, written with the snapshot.

        Parameters
        ----------
        kind : str
            `fetches`, whose columns are series, source, fetched_at (UTC in ms), n_rows, n_added, n_revised,
            n_unchanged, n_quarantined and n_forming; `absences`, whose columns are series, start_bar, stop_bar,
            source and checked_at (UTC in ms); or `feature_turns`, whose columns are series and version.
        """
        if kind not in _RECORDS or set(row) != _RECORDS[kind].fields:
            expected = " or ".join(f"{name!r} with {sorted(known.fields)}" for name, known in _RECORDS.items())
            raise SchemaError(f"cannot record {kind!r} with {sorted(row)}: expected {expected}.")
        self._records.append((kind, row))

    def publish(self) -> int:
        """Make the staged changes the next snapshot and return its number.

        Without files to add or to remove no snapshot is made and the current number is returned, unless a record
        changes what readers see of the files that are there.

        Raises
        ------
        ConflictError
            A file to remove is no longer live, one to add is gone, or two live files would cover the same bars: another
            writer published in between.
        """
        if self._is_published:
            raise WarehouseError(f"the commit {self.message!r} was published already. Begin another.")
        with self._database.transaction():
            snapshot_id = self._publish_files()
            for kind, row in self._records:
                _RECORDS[kind].insert(self._database, snapshot_id=snapshot_id, row=row)
        self._is_published = True
        return snapshot_id

    def _publish_files(self) -> int:
        current = self._database.value("select max(snapshot_id) from snapshots")
        added = [file for file in self._added.values() if not _is_live(self._database, file)]
        if not added and not self._removed and not self._is_seen_by_readers():
            return current
        now_ms = self._now_ms()
        snapshot_id = _insert_snapshot(self._database, self.message, now_ms)
        for file in self._removed.values():
            _retire(self._database, file, snapshot_id)
        for file in added:
            _admit(self._database, self._root, file, snapshot_id, now_ms)
        for file in added:
            _require_alone(self._database, file)
        return snapshot_id

    def _is_seen_by_readers(self) -> bool:
        return any(kind == "feature_turns" and is_turn(self._database, row) for kind, row in self._records)


# ------------------------------------------------------------------------------------


class _Record(NamedTuple):
    fields: set[str]
    insert: Callable[..., None]


_RECORDS = {
    "fetches": _Record(FETCH_FIELDS, insert_fetch),
    "absences": _Record(ABSENCE_FIELDS, insert_absence),
    "feature_turns": _Record(TURN_FIELDS, insert_turn),
}


def _insert_snapshot(database: Database, message: str, now_ms: int) -> int:
    # a clock that was set back must not make a later snapshot look older
    database.run(
        """
        insert into snapshots (committed_at_ms, message)
        select max($now_ms, max(committed_at_ms)), $message from snapshots
        """,
        now_ms=now_ms,
        message=message,
    )
    return database.value("select max(snapshot_id) from snapshots")


def _is_live(database: Database, file: DataFile) -> bool:
    return bool(
        database.value(
            "select added_snapshot is not null and removed_snapshot is null from files where path = $path",
            path=file.path,
        )
    )


def _retire(database: Database, file: DataFile, snapshot_id: int) -> None:
    n_changed = database.run(
        """
        update files set removed_snapshot = $snapshot_id
        where path = $path and added_snapshot is not null and removed_snapshot is null
        """,
        snapshot_id=snapshot_id,
        path=file.path,
    )
    if n_changed != 1:
        raise ConflictError(
            f"{file.path} is no longer live: another writer replaced it since this commit was staged. "
            "Read the latest snapshot and try again."
        )


def _admit(database: Database, root: Path, file: DataFile, snapshot_id: int, now_ms: int) -> None:
    known = database.row("select * from files where path = $path", path=file.path)
    if known is None:
        register_file(database, file, snapshot_id=snapshot_id, now_ms=now_ms)
    elif known["added_snapshot"] is not None or known["unreferenced_at_ms"] is not None:
        raise ConflictError(f"{file.path} has left the warehouse and cannot be added again. Write it anew.")
    else:
        database.run(
            "update files set added_snapshot = $snapshot_id where path = $path",
            snapshot_id=snapshot_id,
            path=file.path,
        )
    if not (root / file.path).is_file():
        raise ConflictError(f"{file.path} is gone: it was collected before it was published. Write it anew.")


def _require_alone(database: Database, file: DataFile) -> None:
    if file.table not in GRID_TABLES:
        return
    other = database.value(
        """
        select path from files
        where table_name = $table and version = $version and series_id is $series_id and path <> $path
            and added_snapshot is not null and removed_snapshot is null
            and start_bar < $stop and stop_bar > $start
        """,
        table=file.table,
        version=file.version,
        series_id=register_series(database, file.key),
        path=file.path,
        start=file.start,
        stop=file.stop,
    )
    if other is not None:
        raise ConflictError(
            f"{file.path} covers bar numbers that {other} covers too: another writer published in between, or "
            "the old file was not removed. Read the latest snapshot and try again."
        )
