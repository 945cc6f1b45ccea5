"""One SQLite connection: transactions, migrations, and errors in the warehouse's own words."""

import shutil
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import RLock
from typing import Any, Self

import sql
from warehouse.errors import BusyError, CatalogError, ReadOnlyError, StorageFullError

BUSY_TIMEOUT_S = 30.0
APPLICATION_ID = 0x57485345  # 'WHSE': tells a catalog from any other SQLite file


class Database:
    """A connection that several threads of one process may share; each process opens its own.

    Attributes
    ----------
    is_read_only : bool
        Whether `transaction` refuses.
    """

    def __init__(self, connection: sqlite3.Connection, /, *, is_read_only: bool = False) -> None:
        self._connection = connection
        self._lock = RLock()
        self.is_read_only = is_read_only
        connection.row_factory = sqlite3.Row

    @classmethod
    def open(cls, path: Path, /) -> Self:
        """Open a database for reading and writing; it is created where absent."""
        with _own_words(path):
            connection = _connect(path)
            connection.execute("pragma journal_mode = wal")
            connection.execute("pragma foreign_keys = on")
        return cls(connection)

    def rows(self, statement: str, /, **values: object) -> list[sqlite3.Row]:
        """Return every row of a query."""
        with self._lock, _own_words():
            return self._connection.execute(statement, values).fetchall()

    def row(self, statement: str, /, **values: object) -> sqlite3.Row | None:
        """Return the first row of a query, None where there is none."""
        with self._lock, _own_words():
            return self._connection.execute(statement, values).fetchone()

    def value(self, statement: str, /, **values: object) -> Any:
        """Return the first field of the first row, None where there is no row."""
        found = self.row(statement, **values)
        return found[0] if found is not None else None

    def run(self, statement: str, /, **values: object) -> int:
        """Run a statement that changes rows and return how many."""
        with self._lock, _own_words():
            return self._connection.execute(statement, values).rowcount

    def run_many(self, statement: str, rows: list[Mapping[str, object]], /) -> None:
        """Run a statement for each mapping of values."""
        with self._lock, _own_words():
            self._connection.executemany(statement, rows)

    @contextmanager
    def transaction(self, *, is_durable: bool = True) -> Iterator[None]:
        """Hold the write lock of the database; commit at the end, roll back on any error.

        Parameters
        ----------
        is_durable : bool
            Whether the commit waits for the disk. Without, a power cut may undo it, as a whole; the next durable
            commit makes it durable too.

        Raises
        ------
        ReadOnlyError
            The database is open for reading only.
        BusyError
            Another process held the lock for longer than the busy timeout.
        """
        if self.is_read_only:
            raise ReadOnlyError(
                "the warehouse is open for reading only. Make its directory writable, or use another (--warehouse DIR)."
            )
        with self._lock, _own_words():
            self._connection.execute(_PRAGMAS["durable" if is_durable else "hasty"])
            self._connection.execute("begin immediate")
            try:
                yield
                self._connection.execute("commit")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("rollback")
                raise

    def on_statement(self, listener: Callable[[str], None] | None, /) -> None:
        """Call a listener with the text of each statement as it starts."""
        self._connection.set_trace_callback(listener)

    def close(self) -> None:
        """Close the connection; a second call does nothing."""
        with self._lock:
            self._connection.close()


class DatabaseCopy(Database):
    """A private copy of a database in a directory where SQLite may not write.

    A database in WAL mode opens only where its `-wal` and `-shm` files exist or may be made, and what a killed writer
    had committed lies in the `-wal` file; so both are copied. The copy shows the state at the time of opening, in the
    schema of this code: a catalog that older code wrote reads like any other.
    """

    @classmethod
    def open(cls, path: Path, /) -> Self:
        """Copy the database and its WAL to a temporary folder and open the copy."""
        folder = TemporaryDirectory(prefix="warehouse-")
        try:
            copy = _consistent_copy(path, Path(folder.name))
            _bring_up_to_date(copy)
            with _own_words(path):
                database = cls(_connect(copy), is_read_only=True)
        except BaseException:
            folder.cleanup()
            raise
        database._folder = folder
        return database

    def close(self) -> None:
        """Close the copy and remove it."""
        super().close()
        self._folder.cleanup()

    _folder: TemporaryDirectory[str]


def migrate(database: Database, /, *, now_ms: int) -> None:
    """Apply the migrations of `sql/schema` that the database has not recorded, each in one transaction.

    Raises
    ------
    CatalogError
        The database knows a migration that this code does not.
    """
    known = {int(name.split("_")[0]): name for name in sql.names("schema")}
    require_known_schema(database, newest=max(known))
    for number in sorted(known):
        with database.transaction():
            if number <= _schema_number(database):  # another process was faster
                continue
            for statement in _statements(sql.read(f"schema/{known[number]}")):
                database.run(statement)
            database.run(
                "insert into migrations (number, name, applied_at_ms) values ($number, $name, $now)",
                number=number,
                name=known[number],
                now=now_ms,
            )
            database.run(_PRAGMAS["user_version"].format(number))
            database.run(_PRAGMAS["application_id"].format(APPLICATION_ID))


def require_known_schema(database: Database, /, *, newest: int | None = None) -> None:
    """Raise CatalogError where the schema is newer than this code."""
    newest = newest or max(int(name.split("_")[0]) for name in sql.names("schema"))
    if (found := _schema_number(database)) > newest:
        raise CatalogError(
            f"the catalog has schema {found}, and this code knows 1 to {newest}. Install a newer version to open it."
        )


# ------------------------------------------------------------------------------------

_PRAGMAS = {
    "durable": "pragma synchronous = full",
    "hasty": "pragma synchronous = normal",
    "user_version": "pragma user_version = {:d}",
    "application_id": "pragma application_id = {:d}",
}
_COPY_ATTEMPTS = 5


def _connect(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(path, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False)


def _schema_number(database: Database) -> int:
    return int(database.value("pragma user_version"))


def _statements(script: str) -> Iterator[str]:
    """Statements of a script; `executescript` would end the transaction that it is called in."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""


def _consistent_copy(path: Path, folder: Path) -> Path:
    """Copy database and WAL as of one moment; frames never leave a WAL without its header changing."""
    copy = folder / path.name
    wal, wal_copy = path.with_name(f"{path.name}-wal"), folder / f"{path.name}-wal"
    for _ in range(_COPY_ATTEMPTS):
        before = _state(path, wal)
        shutil.copyfile(path, copy)
        wal_copy.unlink(missing_ok=True)
        if wal.exists():
            shutil.copyfile(wal, wal_copy)
        if _state(path, wal) == before and _is_sound(copy):
            return copy
    raise BusyError(f"{path} changed during each of {_COPY_ATTEMPTS} attempts to copy it. Try again.")


def _bring_up_to_date(copy: Path) -> None:
    """Migrate a private copy of a catalog; anything else is left for the checks that follow."""
    database = Database.open(copy)
    try:
        newest = max(int(name.split("_")[0]) for name in sql.names("schema"))
        if database.value("pragma application_id") == APPLICATION_ID and _schema_number(database) < newest:
            migrate(database, now_ms=int(copy.stat().st_mtime * 1000))
    finally:
        database.close()


def _state(path: Path, wal: Path) -> object:
    header = b""
    if wal.exists():
        with wal.open("rb") as file:
            header = file.read(32)  # holds the salts that change whenever the WAL starts anew
    stat = path.stat()
    return header or (stat.st_mtime_ns, stat.st_size)


def _is_sound(copy: Path) -> bool:
    try:
        connection = _connect(copy)
        try:
            return connection.execute("pragma quick_check").fetchone()[0] == "ok"
        finally:
            connection.close()
    except sqlite3.DatabaseError as error:
        # what is no database at all will not be one at the next attempt; opening the copy says so
        return error.sqlite_errorcode == sqlite3.SQLITE_NOTADB


@contextmanager
def _own_words(path: Path | None = None) -> Iterator[None]:
    """Turn SQLite's errors that a user can act on into the warehouse's."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        where = f" ({path})" if path else ""
        match getattr(error, "sqlite_errorcode", 0) & 0xFF:  # the low byte is the primary code
            case sqlite3.SQLITE_FULL:
                raise StorageFullError(
                    f"the disk is full: the catalog{where} could not be written. The last snapshot is whole; "
                    "free some space and try again."
                ) from error
            case sqlite3.SQLITE_BUSY:
                raise BusyError(
                    f"the catalog{where} was locked by another process for {BUSY_TIMEOUT_S:.0f} s. Try again."
                ) from error
            case sqlite3.SQLITE_CORRUPT | sqlite3.SQLITE_NOTADB:
                raise CatalogError(
                    f"the catalog{where} is damaged: {error}. Restore it from a backup; the Parquet files beside it "
                    "are untouched."
                ) from error
            case sqlite3.SQLITE_READONLY | sqlite3.SQLITE_CANTOPEN | sqlite3.SQLITE_PERM:
                raise ReadOnlyError(
                    f"the catalog{where} cannot be written: {error}. Check the permissions of its directory."
                ) from error
            case _:
                raise
