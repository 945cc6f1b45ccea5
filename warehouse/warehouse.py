"""The facade: a directory of immutable Parquet files and the catalog that says which of them count."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from warehouse import chunks, gc, records
from warehouse.catalog import open_catalog
from warehouse.commits import Commit
from warehouse.database import Database
from warehouse.errors import BusyError, ReadOnlyError
from warehouse.files import FileSystem, local_file_system
from warehouse.leases import Leases
from warehouse.locks import file_lock, shared_lock
from warehouse.names import SeriesKey, checked_key, checked_set, checked_table
from warehouse.records import Run, Version
from warehouse.snapshots import AsOf, Snapshot, SnapshotInfo, list_snapshots, resolve
from warehouse.tables import DataFile


class Warehouse:
    """Versioned tables in one directory; any number of processes may have it open.

    Use it as a context manager. Threads of one process may share it; a forked process opens its own.

    Attributes
    ----------
    root : Path
        The directory, absolute.
    database : Database
        Its catalog.

    Examples
    --------
    >>> import polars as pl, tempfile
    >>> with tempfile.TemporaryDirectory() as folder, Warehouse.open(Path(folder), create=True) as warehouse:
    ...     commit = warehouse.begin("first prices")
    ...     file = commit.write("prices", None, pl.DataFrame({"close": [1.0, 2.0]}), start=0, stop=2)
    ...     snapshot_id = commit.publish()
    ...     with warehouse.pin() as snapshot:
    ...         print(snapshot.id, snapshot.scan("prices").collect()["close"].to_list())
    1 [1.0, 2.0]
    """

    def __init__(
        self, root: Path, database: Database, /, *, file_system: FileSystem, now_ms: Callable[[], int]
    ) -> None:
        self.root = root
        self.database = database
        self._file_system = file_system
        self._now_ms = now_ms
        self._leases = Leases(database, now_ms=now_ms)

    @classmethod
    def open(
        cls,
        root: Path,
        /,
        *,
        create: bool = False,
        read_only: bool | None = None,
        file_system: FileSystem | None = None,
        now_ms: Callable[[], int] | None = None,
    ) -> Self:
        """Open the warehouse of a directory.

        Parameters
        ----------
        root : Path
            The directory.
        create : bool
            Make the directory and its catalog where they are absent.
        read_only : bool, optional
            By default a directory that this process may not write is opened for reading only, from a copy of its
            catalog, without leases: it shows the state at the time of opening.
        file_system : FileSystem, optional
            What writes files.
        now_ms : callable, optional
            Clock, UTC in ms.

        Raises
        ------
        NotFoundError
            There is no warehouse, and `create` is false.
        CatalogError
            The directory holds something else, or its catalog is damaged or newer than this code.
        """
        now_ms = now_ms or _now_ms
        root = Path(root).absolute()
        database = open_catalog(root, create=create, read_only=read_only, now_ms=now_ms())
        return cls(root, database, file_system=file_system or local_file_system(), now_ms=now_ms)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give back the leases and close the catalog."""
        self._leases.close()
        self.database.close()

    @property
    def is_read_only(self) -> bool:
        """Whether writes refuse."""
        return self.database.is_read_only

    @contextmanager
    def pin(self, as_of: AsOf = None) -> Iterator[Snapshot]:
        """Hold a snapshot for reading: nothing that it names is deleted meanwhile.

        Parameters
        ----------
        as_of : None, int, str or datetime
            The latest; a number; `S17`; the last snapshot committed by a time with a zone.
        """
        if self.is_read_only:
            snapshot = Snapshot(resolve(self.database, as_of), self.database, root=self.root, require_lease=_no_lease)
            with _closing(snapshot):
                yield snapshot
            return
        with self.database.transaction(is_durable=False):
            info = resolve(self.database, as_of)
            lease_id = self._leases.acquire(info.id)
        try:
            snapshot = Snapshot(
                info, self.database, root=self.root, require_lease=lambda: self._leases.require(lease_id)
            )
            with _closing(snapshot):
                yield snapshot
        finally:
            self._leases.release(lease_id)

    def series(self) -> list[SeriesKey]:
        """Return the series of which the latest snapshot holds files, sorted."""
        rows = self.database.rows(
            """
            select distinct exchange, category, symbol, interval from file_rows
            where series_id is not null and added_snapshot is not null and removed_snapshot is null
            order by exchange, category, symbol, interval
            """
        )
        return [SeriesKey(*row) for row in rows]

    def snapshots(self) -> list[SnapshotInfo]:
        """Return the snapshots that can be read, oldest first."""
        return list_snapshots(self.database)

    def begin(self, message: str = "") -> Commit:
        """Stage a commit."""
        if self.is_read_only:
            raise ReadOnlyError(
                f"the warehouse {self.root} is open for reading only. Make its directory writable, or use another "
                "(--warehouse DIR)."
            )
        return Commit(self.root, self.database, message=message, file_system=self._file_system, now_ms=self._now_ms)

    def writing(
        self, table: str, key: tuple[str, str, str, str] | None, /, *, wait_s: float = 30
    ) -> AbstractContextManager[None]:
        """Hold the lock of a table's series, so that one writer at a time reads, changes and commits it.

        Raises
        ------
        BusyError
            Another writer held it for `wait_s` seconds; the message names its process.
        """
        if self.is_read_only:
            self.begin()
        parts = [checked_table(table), *(checked_key(key) or ())]
        path = self._locks / f"{'--'.join(parts)}.lock"
        return file_lock(path, what=" ".join(["the table", *parts]), wait_s=wait_s)

    def finish_chunk(
        self,
        chunk_key: str,
        files: Sequence[DataFile],
        /,
        *,
        hashes: Mapping[str, str],
        fingerprint: str | None = None,
    ) -> None:
        """Record the files of a finished unit under its key; see `warehouse.chunks`."""
        chunks.finish_chunk(
            self.database, chunk_key, files, hashes=hashes, fingerprint=fingerprint, now_ms=self._now_ms()
        )

    def record_fingerprint(self, fingerprint: str, chunk_key: str, /) -> None:
        """Record that inputs, as the catalog names them, give a unit that is finished already."""
        chunks.record_fingerprint(self.database, fingerprint, chunk_key)

    def finished_chunk(self, chunk_key: str, /) -> list[DataFile] | None:
        """Return the files of a finished unit, None where they must be computed."""
        return chunks.finished_chunk(self.database, chunk_key, root=self.root)

    def finished_units(
        self, table: str, key: tuple[str, str, str, str], /, *, version: str, also_superseded: bool = False
    ) -> list[chunks.Finished]:
        """Return the units of a series that need not be computed again; see `warehouse.chunks`."""
        return chunks.finished_units(
            self.database, table, key, version, root=self.root, also_superseded=also_superseded
        )

    def finished_hashes(self, chunk_key: str, /) -> dict[str, str] | None:
        """Return the hashes recorded with a chunk, None where the key is unknown."""
        return chunks.finished_hashes(self.database, chunk_key)

    def register_version(
        self,
        set_name: str,
        definition_hash: str,
        definitions: Sequence[dict[str, Any]],
        /,
        *,
        packages: Mapping[str, str] | None = None,
    ) -> int:
        """Return the number of a definition hash, the next one where it is new; a number is never given twice."""
        return records.register_version(
            self.database, set_name, definition_hash, definitions, packages=packages, now_ms=self._now_ms()
        )

    def using_versions(self, set_name: str, /) -> AbstractContextManager[Callable[[], bool]]:
        """Tell others that versions of a set are in use, though no file may name them yet; see `forget_version`.

        Yields a call that tells whether nobody else uses them, and if so keeps others waiting to the end.
        """
        return shared_lock(self._locks / f"versions--{checked_set(set_name)}.lock")

    def forget_version(self, set_name: str, number: int, /) -> None:
        """Take the newest version of a set back where no file was ever written under it; its number is free again."""
        records.forget_version(self.database, set_name, number)

    def versions(self, set_name: str | None = None, /) -> list[Version]:
        """Return the feature versions of a set, or of all, oldest first."""
        return records.versions(self.database, set_name)

    def save_run(
        self,
        run_id: str,
        /,
        *,
        kind: str,
        status: str,
        table_state: str,
        config: dict[str, Any],
        card: dict[str, Any],
    ) -> None:
        """Insert a run, or update the one of this id; its table state keeps that snapshot from expiring."""
        records.save_run(
            self.database,
            run_id,
            kind=kind,
            status=status,
            table_state=table_state,
            config=config,
            card=card,
            now_ms=self._now_ms(),
        )

    def runs(self) -> list[Run]:
        """Return every run, newest first."""
        return records.runs(self.database)

    def run(self, run_id: str, /) -> Run:
        """Return one run, or raise NotFoundError."""
        return records.run(self.database, run_id)

    def tag(self, name: str, snapshot_id: int, /) -> None:
        """Name a snapshot and keep it from expiring; an existing tag moves."""
        records.save_tag(self.database, name, snapshot_id, now_ms=self._now_ms())

    def tags(self) -> dict[str, int]:
        """Return the snapshot of each tag."""
        return records.tags(self.database)

    def disk_bytes(self, table: str | None = None, /) -> int:
        """Return the bytes that a table's files take on disk, or the whole directory, catalog included."""
        folder = self.root if table is None else self.root / checked_table(table)
        return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())

    def expire(self, keep_s: float, /) -> gc.ExpireReport:
        """Expire feature tables and snapshots superseded `keep_s` seconds ago or earlier; see `warehouse.gc`."""
        n_tables = self._retire_tables(keep_s)
        report = gc.expire(self.database, keep_s=keep_s, locks=self._locks, now_ms=self._now_ms())
        return report._replace(n_tables=n_tables)

    def collect(self, *, grace_s: float = 3600) -> gc.CollectReport:
        """Delete files unreferenced for `grace_s` seconds; see `warehouse.gc`."""
        return gc.collect(self.root, self.database, grace_s=grace_s, locks=self._locks, now_ms=self._now_ms())

    def _retire_tables(self, keep_s: float) -> int:
        """Take superseded feature tables out of the newest snapshot, but for those that a build has in hand."""
        commit = self.begin("retire superseded feature tables")
        n_tables = 0
        with ExitStack() as locks:
            for table in gc.superseded_tables(self.database, keep_s=keep_s, now_ms=self._now_ms()):
                try:
                    locks.enter_context(self.writing("features", table.key, wait_s=0))
                except BusyError:
                    continue
                files = gc.live_files(self.database, table)
                for file in files:
                    commit.remove(file)
                n_tables += bool(files)
            commit.publish()
        return n_tables

    @property
    def _locks(self) -> Path:
        return self.root / "locks"


# ------------------------------------------------------------------------------------


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _no_lease() -> None:
    """Let a reader of a read-only directory pass: the grace of `collect` is all that protects it."""


@contextmanager
def _closing(snapshot: Snapshot) -> Iterator[None]:
    try:
        yield
    finally:
        snapshot.close()
