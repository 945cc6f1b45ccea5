"""Finished units of a build, recorded by key outside any snapshot.

A unit is what one key names: a closed chunk, or a stretch of the open one.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from warehouse.database import Database
from warehouse.names import checked_key, checked_table, checked_version
from warehouse.tables import DataFile, file_of_row, register_file


@dataclass(frozen=True, slots=True)
class Finished:
    """A unit that need not be computed again.

    Attributes
    ----------
    chunk_key : str
        Key that it was recorded under.
    fingerprint : str or None
        Inputs, as the catalog names them, that are known to give this key; a unit may have several or none.
    file : DataFile
        Holds its rows.
    """

    chunk_key: str
    fingerprint: str | None
    file: DataFile


def finish_chunk(
    database: Database,
    chunk_key: str,
    files: Sequence[DataFile],
    /,
    *,
    hashes: Mapping[str, str],
    fingerprint: str | None = None,
    now_ms: int,
) -> None:
    """Record the files of a unit under its key, in place of what the key named before.

    Files that no snapshot holds yet become known to the catalog, so that gc keeps them for the keep time. The record
    does not wait for the disk: a power cut may lose it, and the unit is computed once more.
    """
    with database.transaction(is_durable=False):
        database.run("delete from chunks where chunk_key = $key", key=chunk_key)
        database.run(
            "insert into chunks (chunk_key, finished_at_ms, hashes) values ($key, $now_ms, $hashes)",
            key=chunk_key,
            now_ms=now_ms,
            hashes=json.dumps(dict(hashes)),
        )
        for place, file in enumerate(files):
            known = "select file_id from files where path = $path"
            if database.value(known, path=file.path) is None:
                register_file(database, file, snapshot_id=None, now_ms=now_ms)
            database.run(
                "insert into chunk_files (chunk_key, place, file_id) values ($key, $place, $file_id)",
                key=chunk_key,
                place=place,
                file_id=database.value(known, path=file.path),
            )
        if fingerprint is not None:
            _insert_fingerprint(database, fingerprint, chunk_key)


def record_fingerprint(database: Database, fingerprint: str, chunk_key: str, /) -> None:
    """Record that these inputs give a unit that is finished already."""
    with database.transaction(is_durable=False):
        _insert_fingerprint(database, fingerprint, chunk_key)


def finished_chunk(database: Database, chunk_key: str, /, *, root: Path) -> list[DataFile] | None:
    """Return the files of a unit in order.

    None where the key is unknown, or where a file of it has left the warehouse and could not be published again.
    """
    if database.value("select 1 from chunks where chunk_key = $key", key=chunk_key) is None:
        return None
    rows = database.rows(
        """
        select file_rows.*, removed_snapshot is not null or unreferenced_at_ms is not null as has_left
        from chunk_files
        inner join file_rows using (file_id)
        where chunk_files.chunk_key = $key
        order by chunk_files.place
        """,
        key=chunk_key,
    )
    if any(row["has_left"] or not (root / row["path"]).is_file() for row in rows):
        return None
    return [file_of_row(row) for row in rows]


def finished_units(
    database: Database,
    table: str,
    key: tuple[str, str, str, str],
    version: str,
    /,
    *,
    root: Path,
    also_superseded: bool = False,
) -> list[Finished]:
    """Return the units of one series whose file is live or may still be published, one row a fingerprint.

    Parameters
    ----------
    also_superseded : bool
        Return those too whose file has left the newest snapshot: it may be in an older one.
    """
    rows = database.rows(
        _ALL_UNITS if also_superseded else f"{_ALL_UNITS} and {_IS_CURRENT}",
        table=checked_table(table),
        version=checked_version(version),
        **_parts(key),
    )
    found = [Finished(row["chunk_key"], row["fingerprint"], file_of_row(row)) for row in rows]
    return [one for one in found if (root / one.file.path).is_file()]


def finished_hashes(database: Database, chunk_key: str, /) -> dict[str, str] | None:
    """Return the hashes recorded with a unit, None where the key is unknown."""
    found = database.value("select hashes from chunks where chunk_key = $key", key=chunk_key)
    return None if found is None else json.loads(found)


# ------------------------------------------------------------------------------------

_ALL_UNITS = """
    select file_rows.*, chunk_files.chunk_key, unit_inputs.fingerprint
    from file_rows
    inner join chunk_files using (file_id)
    left join unit_inputs using (chunk_key)
    where table_name = $table and version = $version
        and series_id = (
            select series_id from series
            where exchange = $exchange and category = $category and symbol = $symbol and interval = $interval
        )
        and not exists (
            select 1 from chunk_files as more
            where more.chunk_key = chunk_files.chunk_key and more.place > 0
        )
"""
_IS_CURRENT = "removed_snapshot is null and unreferenced_at_ms is null"


def _insert_fingerprint(database: Database, fingerprint: str, chunk_key: str) -> None:
    database.run(
        "insert or replace into unit_inputs (fingerprint, chunk_key) values ($fingerprint, $key)",
        fingerprint=fingerprint,
        key=chunk_key,
    )


def _parts(key: tuple[str, str, str, str]) -> dict[str, str]:
    checked = checked_key(key)
    return checked._asdict() if checked else {}
