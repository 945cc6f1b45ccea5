"""What the catalog holds beside the bars and features, as small frames for SQL."""

import polars as pl

from warehouse.database import Database

_TIME = pl.Datetime("ms", "UTC")
_KEY = dict.fromkeys(("exchange", "category", "symbol", "interval"), pl.String())

# relation -> (query of the catalog at snapshot $id, its columns)
_RELATIONS: dict[str, tuple[str, dict[str, pl.DataType]]] = {
    "series": (
        """
        select exchange, category, symbol, interval, group_concat(distinct table_name)
        from file_rows
        where series_id is not null
            and added_snapshot <= $id and (removed_snapshot is null or removed_snapshot > $id)
        group by exchange, category, symbol, interval
        order by exchange, category, symbol, interval
        """,
        {**_KEY, "tables": pl.String()},
    ),
    "snapshots": (
        """
        select snapshot_id, committed_at_ms, message from snapshots
        where snapshot_id <= $id and expired_at_ms is null
        order by snapshot_id
        """,
        {"snapshot_id": pl.Int64(), "committed_at": _TIME, "message": pl.String()},
    ),
    "tags": (
        "select name, snapshot_id from tags where snapshot_id <= $id order by name",
        {"tag": pl.String(), "snapshot_id": pl.Int64()},
    ),
    "fetches": (
        """
        select
            exchange, category, symbol, interval, snapshot_id, source, fetched_at_ms,
            n_rows, n_added, n_revised, n_unchanged, n_quarantined, n_forming
        from fetches inner join series using (series_id)
        where snapshot_id <= $id
        order by fetch_id
        """,
        {
            **_KEY,
            "snapshot_id": pl.Int64(),
            "source": pl.String(),
            "fetched_at": _TIME,
            **dict.fromkeys(
                ("n_rows", "n_added", "n_revised", "n_unchanged", "n_quarantined", "n_forming"), pl.Int64()
            ),
        },
    ),
    "absence_ranges": (
        """
        select exchange, category, symbol, interval, start_bar, stop_bar, source, reason, checked_at_ms, snapshot_id
        from absences inner join series using (series_id)
        where snapshot_id <= $id
        order by exchange, category, symbol, interval, start_bar, absence_id
        """,
        {
            **_KEY,
            **dict.fromkeys(("start_bar", "stop_bar"), pl.Int64()),
            **dict.fromkeys(("source", "reason"), pl.String()),
            "checked_at": _TIME,
            "snapshot_id": pl.Int64(),
        },
    ),
    # opinions are about the bars as they are now, and have no history
    "verdict_ranges": (
        """
        select exchange, category, symbol, interval, start_bar, stop_bar, verdict, evidence, checked_at_ms
        from verdicts inner join series using (series_id)
        order by exchange, category, symbol, interval, start_bar
        """,
        {
            **_KEY,
            **dict.fromkeys(("start_bar", "stop_bar"), pl.Int64()),
            **dict.fromkeys(("verdict", "evidence"), pl.String()),
            "checked_at": _TIME,
        },
    ),
    # what was seen before the next snapshot was committed was known in this one
    "instruments": (
        """
        select
            exchange, category, symbol, status, launch_ms, delisted_ms, funding_interval_min, seen_at_ms
        from instruments
        where not exists (
            select 1 from snapshots where snapshot_id > $id and committed_at_ms <= instruments.seen_at_ms
        )
        order by exchange, category, symbol, seen_at_ms
        """,
        {
            **dict.fromkeys(("exchange", "category", "symbol", "status"), pl.String()),
            "launched_at": _TIME,
            "delisted_at": _TIME,
            "funding_interval_min": pl.Int64(),
            "seen_at": _TIME,
        },
    ),
    "aliases": (
        """
        select exchange, category, symbol, successor, kind, ratio, ended_ms, began_ms from aliases
        order by exchange, category, symbol
        """,
        {
            **dict.fromkeys(("exchange", "category", "symbol", "successor", "kind"), pl.String()),
            "ratio": pl.Float64(),
            "ended_at": _TIME,
            "began_at": _TIME,
        },
    ),
    "runs": (
        """
        select run_id, kind, status, table_state, config, card, created_at_ms, updated_at_ms from runs
        where snapshot_id is null or snapshot_id <= $id
        order by created_at_ms, run_id
        """,
        {
            **dict.fromkeys(("run_id", "kind", "status", "table_state", "config", "card"), pl.String()),
            "created_at": _TIME,
            "updated_at": _TIME,
        },
    ),
    "files": (
        """
        select
            table_name, version, exchange, category, symbol, interval, start_bar, stop_bar, n_rows, n_bytes,
            added_snapshot, path, sha256
        from file_rows
        where added_snapshot <= $id and (removed_snapshot is null or removed_snapshot > $id)
        order by table_name, version, exchange, category, symbol, interval, start_bar
        """,
        {
            "table_name": pl.String(),
            "version": pl.String(),
            **_KEY,
            **dict.fromkeys(("start_bar", "stop_bar", "n_rows", "n_bytes", "added_snapshot"), pl.Int64()),
            "path": pl.String(),
            "sha256": pl.String(),
        },
    ),
    "feature_versions": (
        """
        select
            set_name || '@v' || number, set_name, number, definition_hash, json_array_length(definitions),
            definitions, packages, created_at_ms
        from feature_versions
        order by set_name, number
        """,
        {
            "version": pl.String(),
            "set_name": pl.String(),
            "number": pl.Int64(),
            "definition_hash": pl.String(),
            "count_definitions": pl.Int64(),
            "definitions": pl.String(),
            "packages": pl.String(),
            "created_at": _TIME,
        },
    ),
}


def side_tables(database: Database, snapshot_id: int, /) -> dict[str, pl.DataFrame]:
    """Return the small relations of a snapshot by name, each with its columns even where it has no rows."""
    return {
        name: pl.DataFrame([tuple(row) for row in database.rows(query, id=snapshot_id)], schema=schema, orient="row")
        for name, (query, schema) in _RELATIONS.items()
    }
