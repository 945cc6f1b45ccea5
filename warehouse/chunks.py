"""Finished chunks of a build, recorded by key outside any snapshot."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from warehouse.database import Database
from warehouse.tables import DataFile, file_of_row, register_file


def finish_chunk(
    database: Database,
    chunk_key: str,
    files: Sequence[DataFile],
    /,
    *,
    hashes: Mapping[str, str],
    now_ms: int,
) -> None:
    """Record the files of a chunk under its key, in place of what the key named before.

    Files that no snapshot holds yet become known to the catalog, so that gc keeps them for the keep time.
    """
    with database.transaction():
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


def finished_chunk(database: Database, chunk_key: str, /, *, root: Path) -> list[DataFile] | None:
    """Return the files of a chunk in order.

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


def finished_hashes(database: Database, chunk_key: str, /) -> dict[str, str] | None:
    """Return the hashes recorded with a chunk, None where the key is unknown."""
    found = database.value("select hashes from chunks where chunk_key = $key", key=chunk_key)
    return None if found is None else json.loads(found)
