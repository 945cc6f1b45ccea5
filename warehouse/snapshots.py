"""Reading: which snapshot an `as_of` means, and what a pinned snapshot holds."""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from sqlite3 import Row
from typing import NamedTuple

import polars as pl

from warehouse.database import Database
from warehouse.errors import NotFoundError
from warehouse.names import SeriesKey, checked_key, checked_table, checked_version
from warehouse.records import time_of
from warehouse.tables import DataFile, file_of_row, known_schema, scan_files

AsOf = int | str | datetime | None


class SnapshotInfo(NamedTuple):
    """A snapshot that can be read: its number, UTC time of commit, and what it brought."""

    id: int
    committed_at: datetime
    message: str


class Snapshot:
    """The state of every table at one commit; valid within the `with` that pinned it.

    Attributes
    ----------
    id : int
        17 of S17.
    committed_at : datetime
        UTC.
    root : Path
        Of the warehouse; paths of files are relative to it.
    """

    def __init__(
        self, info: SnapshotInfo, database: Database, /, *, root: Path, require_lease: Callable[[], None]
    ) -> None:
        self.id = info.id
        self.committed_at = info.committed_at
        self.root = root
        self.database = database
        self._require_lease = require_lease
        self._closers: list[Callable[[], object]] = []

    def files(
        self,
        table: str,
        key: tuple[str, str, str, str] | None = None,
        /,
        *,
        version: str = "",
        start: int | None = None,
        stop: int | None = None,
        added_after: int = -1,
    ) -> list[DataFile]:
        """Return the files of a table sorted by series and start.

        Parameters
        ----------
        table : str
            Name of the table.
        key : SeriesKey, optional
            One series; all by default.
        version : str
            Such as `core@v3`; empty for a table without versions.
        start, stop : int, optional
            Only files that overlap this half-open range of bar numbers.
        added_after : int
            Only files that a later snapshot than this brought.

        Raises
        ------
        LeaseLostError
            The pin missed its heartbeats.
        """
        self._require_lease()
        checked = checked_key(key)
        parts = checked._asdict() if checked else dict.fromkeys(SeriesKey._fields)
        rows = self.database.rows(
            """
            select * from file_rows
            where table_name = $table and version = $version
                and added_snapshot <= $id and (removed_snapshot is null or removed_snapshot > $id)
                and added_snapshot > $added_after
                and ($start is null or stop_bar > $start) and ($stop is null or start_bar < $stop)
                and (
                    $exchange is null
                    or exchange = $exchange and category = $category and symbol = $symbol and interval = $interval
                )
            order by exchange, category, symbol, interval, start_bar, added_snapshot, file_id
            """,
            table=checked_table(table),
            version=checked_version(version),
            id=self.id,
            start=None if start is None else int(start),
            stop=None if stop is None else int(stop),
            added_after=int(added_after),
            **parts,
        )
        return [file_of_row(row) for row in rows]

    def first_added(
        self, table: str, key: tuple[str, str, str, str], /, *, version: str = "", start: int
    ) -> int | None:
        """Return the snapshot that brought the oldest file of a series that ends after a bar number; None without any.

        Snapshots are counted in the order of their commits, so that `files(added_after=...)` of another table tells
        what came later.
        """
        return self.database.value(
            """
            select min(added_snapshot) from file_rows
            where table_name = $table and version = $version and stop_bar > $start
                and added_snapshot <= $id and (removed_snapshot is null or removed_snapshot > $id)
                and exchange = $exchange and category = $category and symbol = $symbol and interval = $interval
            """,
            table=checked_table(table),
            version=checked_version(version),
            start=int(start),
            id=self.id,
            **SeriesKey(*key)._asdict(),
        )

    def scan(
        self,
        table: str,
        key: tuple[str, str, str, str] | None = None,
        /,
        *,
        version: str = "",
        start: int | None = None,
        stop: int | None = None,
    ) -> pl.LazyFrame:
        """Scan the files that `files` returns, in order; collect it within the pin.

        Of all series (no `key`) the frame begins with the columns exchange, category, symbol, interval. Whole files
        are scanned, so rows outside `start` and `stop` may come too. Without files the frame is empty.

        Raises
        ------
        NotFoundError
            Nothing was ever written to the table, so its columns are unknown.
        """
        files = self.files(table, key, version=version, start=start, stop=stop)
        if files:
            return scan_files(files, root=self.root, is_keyed=key is None)
        if (schema := known_schema(self.database, table, version)) is None:
            name = f"{table} {version}".strip()
            raise NotFoundError(f"the warehouse {self.root} has no table {name}: nothing was written to it yet.")
        return pl.LazyFrame(schema=schema)

    def keys(self, table: str, /, *, version: str = "") -> list[SeriesKey]:
        """Return the series of which the table holds files, sorted."""
        found = {file.key for file in self.files(table, version=version)}
        return sorted(key for key in found if key is not None)

    def versions(self, table: str, /) -> list[str]:
        """Return the versions of which the table holds files, sorted by set and number."""
        self._require_lease()
        rows = self.database.rows(
            """
            select distinct version from files
            where table_name = $table and added_snapshot <= $id
                and (removed_snapshot is null or removed_snapshot > $id)
            """,
            table=checked_table(table),
            id=self.id,
        )
        return sorted((row["version"] for row in rows), key=_version_order)

    def on_close(self, closer: Callable[[], object], /) -> None:
        """Call something when the pin ends."""
        self._closers.append(closer)

    def close(self) -> None:
        """End what was opened on this snapshot; `Warehouse.pin` calls it."""
        while self._closers:
            self._closers.pop()()


def resolve(database: Database, as_of: AsOf, /) -> SnapshotInfo:
    """Find the snapshot that an `as_of` means.

    Parameters
    ----------
    as_of : None, int, str or datetime
        The latest; a number; `S17`; the last one committed by a time with a zone, or by a text such as
        `2024-05-01T12:00`, which is UTC where it names no zone.

    Raises
    ------
    NotFoundError
        There is no such snapshot, or it expired.
    """
    match as_of:
        case None:
            return _info(_newest(database))
        case int():
            return _kept(database, _by_number(database, as_of), f"S{as_of}")
        case datetime():
            return _kept(database, _by_time(database, as_of), f"the state as of {as_of.isoformat()}")
        case _:
            return resolve(database, _read(as_of))


def list_snapshots(database: Database, /) -> list[SnapshotInfo]:
    """Return the snapshots that can be read, oldest first."""
    return [
        _info(row) for row in database.rows("select * from snapshots where expired_at_ms is null order by snapshot_id")
    ]


# ------------------------------------------------------------------------------------


def _info(row: Row) -> SnapshotInfo:
    return SnapshotInfo(row["snapshot_id"], time_of(row["committed_at_ms"]), row["message"])


def _newest(database: Database) -> Row:
    return database.rows("select * from snapshots order by snapshot_id desc limit 1")[0]


def _by_number(database: Database, number: int) -> Row | None:
    return database.row("select * from snapshots where snapshot_id = $number", number=number)


def _by_time(database: Database, time: datetime) -> Row | None:
    if time.tzinfo is None:
        raise NotFoundError(f"as of {time.isoformat()} has no time zone. Give one, such as {time.isoformat()}+00:00.")
    return database.row(
        "select * from snapshots where committed_at_ms <= $ms order by snapshot_id desc limit 1",
        ms=int(time.timestamp() * 1000),
    )


def _kept(database: Database, row: Row | None, what: str) -> SnapshotInfo:
    if row is not None and row["expired_at_ms"] is None:
        return _info(row)
    kept = ", ".join(f"S{info.id} ({info.committed_at:%Y-%m-%d %H:%M:%S})" for info in list_snapshots(database)[-5:])
    if row is None:
        raise NotFoundError(f"{what} does not exist. The newest snapshots that can be read: {kept}.")
    committed_at = time_of(row["committed_at_ms"])
    raise NotFoundError(
        f"{what} was S{row['snapshot_id']}, which has expired. The newest snapshots that can be read: {kept}. "
        "What was known of the bars then is answered from the ledger: "
        f"from bars_as_of(timestamptz '{committed_at:%Y-%m-%d %H:%M:%S}+00')"
    )


def _read(text: str) -> int | datetime:
    """A number such as `S17`, or a time in ISO form; one without a zone is UTC."""
    if match := re.fullmatch(r"[sS]?(\d{1,18})", text.strip()):
        return int(match[1])
    try:
        time = datetime.fromisoformat(text.strip())
    except ValueError:
        raise NotFoundError(
            f"{text!r} is no snapshot and no time. Write S and its number, such as S17, or 2024-05-01T12:00 (UTC)."
        ) from None
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def _version_order(version: str) -> tuple[str, int]:
    name, _, number = version.partition("@v")
    return name, int(number or 0)
