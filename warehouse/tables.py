"""Tables as the catalog knows them: their files, their columns, and how one reads them."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from sqlite3 import Row

import polars as pl
import pyarrow as pa

from warehouse.database import Database
from warehouse.errors import SchemaError
from warehouse.names import SeriesKey

# Files of these tables cover ranges of bar numbers: two live files of one series never overlap. All other tables are
# logs, whose files only add up.
GRID_TABLES = frozenset({"bars", "features"})


@dataclass(frozen=True, slots=True)
class DataFile:
    """One immutable Parquet file.

    Attributes
    ----------
    path : str
        Relative to the root of the warehouse.
    table, version : str
        Where it belongs; version is empty for a table without versions.
    key : SeriesKey or None
        Its series; None in a table that belongs to no series.
    start, stop : int
        Half-open range of bar numbers that it may hold.
    n_rows, n_bytes : int
        Its size.
    sha256 : str
        Hash of its bytes.
    content : str
        Hash of its values as the writer gave it, empty where it gave none.
    """

    path: str
    table: str
    version: str
    key: SeriesKey | None
    start: int
    stop: int
    n_rows: int
    n_bytes: int
    sha256: str
    content: str = ""


def file_of_row(row: Row, /) -> DataFile:
    """Build a file from a row of the catalog's view `file_rows`."""
    key = None if row["exchange"] is None else SeriesKey(*(row[field] for field in SeriesKey._fields))
    return DataFile(
        path=row["path"],
        table=row["table_name"],
        version=row["version"],
        key=key,
        start=row["start_bar"],
        stop=row["stop_bar"],
        n_rows=row["n_rows"],
        n_bytes=row["n_bytes"],
        sha256=row["sha256"],
        content=row["content"],
    )


def register_series(database: Database, key: SeriesKey | None, /) -> int | None:
    """Return the number of a series, giving it one at first sight; None stays None."""
    if key is None:
        return None
    database.run(
        """
        insert into series (exchange, category, symbol, interval)
        values ($exchange, $category, $symbol, $interval)
        on conflict do nothing
        """,
        **key._asdict(),
    )
    return database.value(
        """
        select series_id from series
        where exchange = $exchange and category = $category and symbol = $symbol and interval = $interval
        """,
        **key._asdict(),
    )


def register_file(database: Database, file: DataFile, /, *, snapshot_id: int | None, now_ms: int) -> None:
    """Insert the row of a file: published in a snapshot, or unpublished where None."""
    database.run(
        """
        insert into files (
            path, table_name, version, series_id, start_bar, stop_bar, n_rows, n_bytes, sha256, content,
            registered_at_ms, added_snapshot
        )
        values (
            $path, $table, $version, $series_id, $start, $stop, $n_rows, $n_bytes, $sha256, $content,
            $now_ms, $snapshot_id
        )
        """,
        series_id=register_series(database, file.key),
        snapshot_id=snapshot_id,
        now_ms=now_ms,
        **{name: getattr(file, name) for name in _FILE_FIELDS},
    )


def require_schema(database: Database, table: str, version: str, frame: pl.DataFrame, /, *, is_keyed: bool) -> None:
    """Record the columns of a table at its first write; later writes must agree with them.

    A log may gain or lose columns from file to file, a grid table may not. Either all files of a table belong to a
    series or none does.

    Raises
    ------
    SchemaError
        The frame disagrees.
    """
    if (known := _schema_row(database, table, version)) is None:
        with database.transaction():
            database.run(
                """
                insert into table_schemas (table_name, version, is_keyed, arrow_schema)
                values ($table, $version, $is_keyed, $arrow_schema)
                on conflict do nothing
                """,
                table=table,
                version=version,
                is_keyed=is_keyed,
                arrow_schema=frame.head(0).to_arrow().schema.serialize().to_pybytes(),
            )
        known = _schema_row(database, table, version)
    if known is not None:
        _compare(known, frame, table=table, version=version, is_keyed=is_keyed)


def known_schema(database: Database, table: str, version: str, /) -> pl.Schema | None:
    """Columns of a table as first written, None where nothing was written yet."""
    row = _schema_row(database, table, version)
    return None if row is None else _schema_of(row)


def scan_files(files: Sequence[DataFile], /, *, root: Path, is_keyed: bool) -> pl.LazyFrame:
    """Scan files in their order.

    Parameters
    ----------
    files : sequence of DataFile
        At least one, sorted by series.
    is_keyed : bool
        Whether to put the columns exchange, category, symbol and interval before those of the files.
    """
    scans = []
    for key, group in groupby(files, key=lambda file: file.key):
        scan = _scan(list(group), root)
        if is_keyed and key is not None:
            scan = scan.select(*(pl.lit(part).alias(name) for name, part in key._asdict().items()), pl.all())
        scans.append(scan)
    return _stack(scans)


# ------------------------------------------------------------------------------------

_FILE_FIELDS = ("path", "table", "version", "start", "stop", "n_rows", "n_bytes", "sha256", "content")


def _schema_row(database: Database, table: str, version: str) -> Row | None:
    return database.row(
        "select * from table_schemas where table_name = $table and version = $version", table=table, version=version
    )


def _schema_of(row: Row) -> pl.Schema:
    arrow = pa.ipc.read_schema(pa.py_buffer(row["arrow_schema"]))
    return pl.DataFrame(arrow.empty_table()).schema


def _compare(row: Row, frame: pl.DataFrame, *, table: str, version: str, is_keyed: bool) -> None:
    name = f"{table} {version}".strip()
    if bool(row["is_keyed"]) != is_keyed:
        expected = "a series for every file" if row["is_keyed"] else "no series for any file"
        raise SchemaError(f"table {name} was first written with {expected}. Write this file the same way.")
    expected, got = _schema_of(row), frame.schema
    if table not in GRID_TABLES or expected == got:
        return
    for (place, want), (column, kind) in zip(expected.items(), got.items(), strict=False):
        if (place, want) != (column, kind):
            raise SchemaError(
                f"table {name} has the column {place} ({want}) where this frame has {column} ({kind}). "
                "Select and cast the table's columns in their order."
            )
    raise SchemaError(f"table {name} has {len(expected)} columns, this frame {len(got)}. Write all of them.")


def _scan(files: list[DataFile], root: Path) -> pl.LazyFrame:
    paths = [root / file.path for file in files]
    if files[0].table in GRID_TABLES:
        return pl.scan_parquet(paths, glob=False, hive_partitioning=False)
    return _stack([pl.scan_parquet(path, glob=False, hive_partitioning=False) for path in paths])


def _stack(scans: list[pl.LazyFrame]) -> pl.LazyFrame:
    """One frame below the other; of logs the columns may differ."""
    return scans[0] if len(scans) == 1 else pl.concat(scans, how="diagonal_relaxed")
