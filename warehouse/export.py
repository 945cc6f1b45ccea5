"""Export: a .duckdb file of views over one snapshot, for any DuckDB client."""

from collections.abc import Callable, Sequence
from hashlib import sha256
from pathlib import Path

import duckdb
import polars as pl

from warehouse.errors import CatalogError, NotFoundError
from warehouse.query import define
from warehouse.snapshots import Snapshot

MARKER = "warehouse_export"


def export(
    snapshot: Snapshot,
    path: Path,
    /,
    *,
    tag: Callable[[str, int], None],
    feature_sets: Sequence[str] = ("core",),
    lags: Sequence[int] = (),
) -> str:
    """Write views with absolute paths, and the small tables, and tag the snapshot so that its files stay.

    Parameters
    ----------
    snapshot : Snapshot
        What the views read.
    path : Path
        File to write; an earlier export there is replaced.
    tag : callable
        `Warehouse.tag`.
    feature_sets, lags : sequence
        As in `warehouse.query.connect`.

    Returns
    -------
    str
        The tag, such as `export:research-5f2a9c31`: a name and a hash of the path. It moves with the next export
        to the same path.

    Raises
    ------
    CatalogError
        There is a file at `path` that no export wrote.
    ReadOnlyError
        The warehouse is open for reading only, so the snapshot cannot be tagged.
    """
    path = path.resolve()
    if not path.parent.is_dir():
        raise NotFoundError(f"{path.parent} is not a directory. Make it first.")
    if path.exists() and not _is_export(path):
        raise CatalogError(f"{path} exists and is not an export of a warehouse. Choose another file.")
    name = _tag_name(path)
    tag(name, snapshot.id)
    unfinished = path.with_name(f".{path.name}.tmp")
    unfinished.unlink(missing_ok=True)
    with duckdb.connect(unfinished) as connection:
        define(connection, snapshot, feature_sets=feature_sets, lags=lags)
        marker = pl.DataFrame({"warehouse": [str(snapshot.root)], "snapshot_id": [snapshot.id], "tag": [name]})
        connection.register("incoming", marker.to_arrow())
        connection.execute("create table warehouse_export as select * from incoming")
    unfinished.replace(path)
    return name


# ------------------------------------------------------------------------------------


def _tag_name(path: Path) -> str:
    stem = "".join(character if character.isascii() and character.isalnum() else "_" for character in path.stem)
    return f"export:{stem[:60]}-{sha256(str(path).encode()).hexdigest()[:8]}"


def _is_export(path: Path) -> bool:
    try:
        with duckdb.connect(path, read_only=True) as connection:
            found = connection.execute(
                "select count(*) from information_schema.tables where table_name = $name", {"name": MARKER}
            ).fetchone()
    except duckdb.Error:
        return False
    return found is not None and found[0] == 1
