"""Opening the catalog of a directory: what may be opened, how, and what to say where it may not."""

import os
from pathlib import Path

from warehouse.database import APPLICATION_ID, Database, DatabaseCopy, migrate, require_known_schema
from warehouse.errors import CatalogError, InvalidNameError, NotFoundError, ReadOnlyError
from warehouse.locks import file_lock

CATALOG_NAME = "catalog.sqlite"


def open_catalog(root: Path, /, *, create: bool, read_only: bool | None, now_ms: int) -> Database:
    """Open the catalog below a directory, bringing its schema up to date.

    Parameters
    ----------
    root : Path
        Directory of the warehouse, absolute.
    create : bool
        Make directory and catalog where absent.
    read_only : bool or None
        Open a copy for reading; None decides by what this process may write.
    now_ms : int
        UTC in ms, for the first snapshot.
    """
    _require_plain_path(root)
    path = root / CATALOG_NAME
    if root.exists() and not root.is_dir():
        raise CatalogError(f"{root} is not a directory. Name the directory of the warehouse (--warehouse DIR).")
    if not path.exists():
        _require_creatable(root, create=create)
    if read_only or (read_only is None and path.exists() and not _is_writable(path)):
        return _open_copy(path)
    return _open_and_migrate(path, now_ms)


# ------------------------------------------------------------------------------------

# Parquet readers take key=value in a path for a partition, and these others for a pattern.
_PATTERN_CHARACTERS = "=*?[]"


def _require_plain_path(root: Path) -> None:
    if found := [character for character in _PATTERN_CHARACTERS if character in str(root)]:
        raise InvalidNameError(
            f"the path {root} holds {found[0]!r}, which Parquet readers take for a pattern or a partition. "
            "Choose a directory without any of = * ? [ ]."
        )


def _require_creatable(root: Path, *, create: bool) -> None:
    if root.exists() and any(entry.name != "locks" for entry in root.iterdir()):
        raise CatalogError(
            f"{root} is not a warehouse: it holds files, and no {CATALOG_NAME} among them. "
            "Choose an empty or new directory (--warehouse DIR)."
        )
    if not create:
        raise NotFoundError(
            f"there is no warehouse at {root}. `mmf ingest` creates it; or choose another (--warehouse DIR)."
        )
    parent = next(folder for folder in (root, *root.parents) if folder.exists())
    if not os.access(parent, os.W_OK):
        raise ReadOnlyError(f"{root} cannot be created: {parent} is not writable. Choose another (--warehouse DIR).")


def _is_writable(path: Path) -> bool:
    return os.access(path.parent, os.W_OK) and os.access(path, os.W_OK)


def _open_copy(path: Path) -> Database:
    database = DatabaseCopy.open(path)
    try:
        _require_catalog(database, path)
        require_known_schema(database)
    except BaseException:
        database.close()
        raise
    return database


def _open_and_migrate(path: Path, now_ms: int) -> Database:
    path.parent.mkdir(parents=True, exist_ok=True)
    with file_lock(path.parent / "locks" / "catalog.lock", what=f"the schema of {path}", wait_s=30):
        database = Database.open(path)
        try:
            _require_empty_or_catalog(database, path)
            migrate(database, now_ms=now_ms)
            _create_first_snapshot(database, now_ms)
        except BaseException:
            database.close()
            raise
    return database


def _require_empty_or_catalog(database: Database, path: Path) -> None:
    """An empty database is one whose creation was cut short, but only where no data lies beside it."""
    is_empty = not database.value("select count(*) from sqlite_master")
    has_data = any(entry.is_dir() and entry.name != "locks" for entry in path.parent.iterdir())
    if not is_empty or has_data:
        _require_catalog(database, path)


def _require_catalog(database: Database, path: Path) -> None:
    if database.value("pragma application_id") != APPLICATION_ID:
        raise CatalogError(
            f"{path} is not the catalog of a warehouse, or has lost its content. Restore it from a backup, or choose "
            "another directory (--warehouse DIR)."
        )


def _create_first_snapshot(database: Database, now_ms: int) -> None:
    """S0, the empty state, so that a new warehouse can be read."""
    with database.transaction():
        database.run(
            """
            insert into snapshots (snapshot_id, committed_at_ms, message)
            select 0, $now_ms, 'created' where not exists (select 1 from snapshots)
            """,
            now_ms=now_ms,
        )
