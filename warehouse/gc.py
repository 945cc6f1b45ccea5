"""What no longer counts: retire superseded feature tables, expire superseded snapshots, collect unreferenced files.

What refers to a file is a snapshot that can be read: the newest one, one that a tag, a run or a live lease names, one
that the keep time still protects. A feature table belongs to the newest snapshot until the series is built with
another version of its set; so an old version lives on in the snapshots of the runs that used it and nowhere else.
"""

from pathlib import Path
from typing import NamedTuple

from warehouse.database import Database
from warehouse.files import TEMPORARY_SUFFIX
from warehouse.locks import held_since_ms
from warehouse.names import SeriesKey
from warehouse.tables import DataFile, file_of_row


class ExpireReport(NamedTuple):
    """Snapshots that can no longer be read, the files that only they referred to, and the feature tables retired."""

    n_snapshots: int
    n_files: int
    n_bytes: int
    n_tables: int = 0


class FeatureTable(NamedTuple):
    """The rows that one series has in one feature version."""

    version: str
    key: SeriesKey


class CollectReport(NamedTuple):
    """Files deleted: those that lost their last snapshot, and those that no commit ever published."""

    n_files: int
    n_strays: int
    n_bytes: int


def superseded_tables(database: Database, /, *, keep_s: float, now_ms: int) -> list[FeatureTable]:
    """Return the live feature tables that were superseded `keep_s` seconds ago or earlier.

    A table is superseded since the series was last built with another version of its set, which holds rows, and since
    its own last change. Where no build has said so (in a catalog from before they did) the version with the highest
    number counts.
    """
    rows = database.rows(
        """
        with tables as (
            select
                substr(version, 1, instr(version, '@v') - 1) as set_name,
                cast(substr(version, instr(version, '@v') + 2) as integer) as number,
                version,
                series_id,
                min(added_snapshot) as first_snapshot,
                max(max(added_snapshot), coalesce(max(removed_snapshot), 0)) as last_snapshot,
                sum(removed_snapshot is null) as n_live
            from files
            where table_name = 'features' and added_snapshot is not null
            group by version, series_id
        ),

        turns as (
            select set_name, series_id, version, snapshot_id, max(turn_id)
            from feature_turns
            group by set_name, series_id
        ),

        superseded as (
            select
                old.version,
                old.series_id,
                max(
                    old.last_snapshot,
                    min(case when turns.version = other.version then turns.snapshot_id else other.first_snapshot end)
                ) as since_snapshot
            from tables as old
            inner join tables as other
                on old.set_name = other.set_name and old.series_id = other.series_id and old.version <> other.version
            left join turns on old.set_name = turns.set_name and old.series_id = turns.series_id
            where old.n_live > 0 and other.n_live > 0
                and old.version is not turns.version
                and (other.version = turns.version or old.number < other.number)
            group by old.version, old.series_id
        )

        select version, exchange, category, symbol, interval
        from superseded
        inner join series using (series_id)
        inner join snapshots on superseded.since_snapshot = snapshots.snapshot_id
        where committed_at_ms <= $before_ms
        order by version, exchange, category, symbol, interval
        """,
        before_ms=now_ms - int(keep_s * 1000),
    )
    return [FeatureTable(row["version"], SeriesKey(*(row[field] for field in SeriesKey._fields))) for row in rows]


def live_files(database: Database, table: FeatureTable, /) -> list[DataFile]:
    """Return the files of a feature table that the newest snapshot holds."""
    rows = database.rows(
        """
        select * from file_rows
        where table_name = 'features' and version = $version
            and added_snapshot is not null and removed_snapshot is null
            and exchange = $exchange and category = $category and symbol = $symbol and interval = $interval
        order by start_bar
        """,
        version=table.version,
        **table.key._asdict(),
    )
    return [file_of_row(row) for row in rows]


def expire(database: Database, /, *, keep_s: float, locks: Path, now_ms: int) -> ExpireReport:
    """Expire snapshots superseded `keep_s` seconds ago or earlier and mark the files that they leave behind.

    The latest snapshot stays, and so does one that a tag, a run's table state or a live lease names. Chunks that a
    build finished and never published count as left behind after the keep time too, unless a writer is at work.

    Nothing is deleted; `collect` does that.
    """
    before_ms = now_ms - int(keep_s * 1000)
    with database.transaction():
        database.run("delete from leases where expires_at_ms < $now_ms", now_ms=now_ms)
        n_snapshots = database.run(
            """
            update snapshots set expired_at_ms = $now_ms
            where expired_at_ms is null
                and snapshot_id not in (select snapshot_id from tags)
                and snapshot_id not in (select snapshot_id from leases)
                and snapshot_id not in (select snapshot_id from runs where snapshot_id is not null)
                and exists (
                    select 1 from snapshots as next
                    where next.snapshot_id = snapshots.snapshot_id + 1 and next.committed_at_ms <= $before_ms
                )
            """,
            now_ms=now_ms,
            before_ms=before_ms,
        )
        _mark_left_behind(database, now_ms)
        if held_since_ms(locks) is None:
            _mark_unpublished(database, now_ms, before_ms)
        marked = database.rows("select n_bytes from files where unreferenced_at_ms = $now_ms", now_ms=now_ms)
    return ExpireReport(n_snapshots, len(marked), sum(row["n_bytes"] for row in marked))


def collect(root: Path, database: Database, /, *, grace_s: float, locks: Path, now_ms: int) -> CollectReport:
    """Delete files unreferenced for `grace_s` seconds, and strays of that age.

    A stray is a file that no row of the catalog names: a killed writer left it. While a writer holds its lock, files
    younger than that lock are not strays. The grace is for readers of a read-only directory, who hold no lease.

    Rows go before files, so a crash in between leaves strays and never a row without its file.
    """
    before_ms = now_ms - int(grace_s * 1000)
    with database.transaction():
        dead = _forget(database, before_ms)
    for path, _ in dead:
        (root / path).unlink(missing_ok=True)
    with database.transaction():  # no publish may name a stray while it is being deleted
        held_ms = held_since_ms(locks)
        # a file of the very millisecond in which the lock was taken may be its holder's
        strays = _strays(root, database, before_ms if held_ms is None else min(before_ms, held_ms - 1))
        n_stray_bytes = sum(path.stat().st_size for path in strays)
        for path in strays:
            path.unlink()
    return CollectReport(len(dead), len(strays), sum(n_bytes for _, n_bytes in dead) + n_stray_bytes)


# ------------------------------------------------------------------------------------


def _mark_left_behind(database: Database, now_ms: int) -> None:
    database.run(
        """
        update files set unreferenced_at_ms = $now_ms
        where unreferenced_at_ms is null and removed_snapshot is not null
            and not exists (
                select 1 from snapshots
                where snapshots.expired_at_ms is null
                    and snapshots.snapshot_id >= files.added_snapshot
                    and snapshots.snapshot_id < files.removed_snapshot
            )
        """,
        now_ms=now_ms,
    )


def _mark_unpublished(database: Database, now_ms: int, before_ms: int) -> None:
    database.run(
        """
        update files set unreferenced_at_ms = $now_ms
        where unreferenced_at_ms is null and added_snapshot is null and registered_at_ms <= $before_ms
        """,
        now_ms=now_ms,
        before_ms=before_ms,
    )


def _forget(database: Database, before_ms: int) -> list[tuple[str, int]]:
    """Delete the rows of dead files and of chunks that name them; return (path, bytes)."""
    dead = database.rows("select path, n_bytes from files where unreferenced_at_ms <= $before_ms", before_ms=before_ms)
    database.run(
        """
        delete from chunks where chunk_key in (
            select chunk_key from chunk_files
            inner join files using (file_id)
            where files.unreferenced_at_ms <= $before_ms
        )
        """,
        before_ms=before_ms,
    )
    database.run("delete from files where unreferenced_at_ms <= $before_ms", before_ms=before_ms)
    return [(row["path"], row["n_bytes"]) for row in dead]


def _strays(root: Path, database: Database, before_ms: int) -> list[Path]:
    """Files in the folders of the known tables that no row names and that are older than `before_ms`."""
    known = {row["path"] for row in database.rows("select path from files")}
    tables = [row["table_name"] for row in database.rows("select distinct table_name from table_schemas")]
    return [
        path
        for table in tables
        for path in sorted((root / table).rglob("*"))
        if path.name.endswith((".parquet", f".parquet{TEMPORARY_SUFFIX}"))
        and path.relative_to(root).as_posix() not in known
        and path.stat().st_mtime_ns // 1_000_000 <= before_ms
    ]
