"""Rows beside the files: feature versions, runs, tags and fetches."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from sqlite3 import Row
from typing import Any

from warehouse.database import Database
from warehouse.errors import NotFoundError
from warehouse.names import checked_key, checked_set, checked_tag
from warehouse.tables import register_series

FETCH_FIELDS = {
    "series",
    "source",
    "fetched_at",
    "n_rows",
    "n_added",
    "n_revised",
    "n_unchanged",
    "n_quarantined",
    "n_forming",
}


@dataclass(frozen=True, slots=True)
class Version:
    """A feature version: definitions under a number that this warehouse gave them.

    Attributes
    ----------
    set_name, number : str, int
        `core` and 3 of `core@v3`.
    definition_hash : str
        Hash of the definitions; the same hash is the same version.
    definitions : list of dict
        As the caller registered them.
    created_at : datetime
        UTC.
    packages : dict of str to str
        Versions of the packages that were at work when it was registered; empty where nobody told.
    """

    set_name: str
    number: int
    definition_hash: str
    definitions: list[dict[str, Any]]
    created_at: datetime
    packages: dict[str, str]

    @property
    def name(self) -> str:
        """Such as `core@v3`."""
        return f"{self.set_name}@v{self.number}"

    @property
    def predecessor(self) -> str | None:
        """The version that was the set's newest until this one; None of the first."""
        return f"{self.set_name}@v{self.number - 1}" if self.number > 1 else None


@dataclass(frozen=True, slots=True)
class Run:
    """A recorded run: what it read, how it was configured and what came of it.

    Attributes
    ----------
    run_id, kind, status, table_state : str
        As saved; a table state such as `core@v3@S17` keeps that snapshot from expiring.
    config, card : dict
        As saved.
    created_at, updated_at : datetime
        UTC.
    """

    run_id: str
    kind: str
    status: str
    table_state: str
    config: dict[str, Any]
    card: dict[str, Any]
    created_at: datetime
    updated_at: datetime


def register_version(
    database: Database,
    set_name: str,
    definition_hash: str,
    definitions: Sequence[dict[str, Any]],
    /,
    *,
    packages: Mapping[str, str] | None = None,
    now_ms: int,
) -> int:
    """Return the number of a definition hash, the next one where it is new; a number is never given twice."""
    find = "select number from feature_versions where set_name = $set_name and definition_hash = $hash"
    known = database.value(find, set_name=checked_set(set_name), hash=definition_hash)
    if known is not None:
        return known
    with database.transaction():
        database.run(
            """
            insert into feature_versions (set_name, number, definition_hash, definitions, packages, created_at_ms)
            select $set_name, coalesce(max(number), 0) + 1, $hash, $definitions, $packages, $now_ms
            from feature_versions where set_name = $set_name
            on conflict (set_name, definition_hash) do nothing
            """,
            set_name=set_name,
            hash=definition_hash,
            definitions=json.dumps(list(definitions)),
            packages=json.dumps(dict(packages or {})),
            now_ms=now_ms,
        )
        return database.value(find, set_name=set_name, hash=definition_hash)


def versions(database: Database, set_name: str | None = None, /) -> list[Version]:
    """Return the registered versions of a set, or of all, oldest first."""
    rows = database.rows(
        """
        select * from feature_versions where $set_name is null or set_name = $set_name
        order by set_name, number
        """,
        set_name=set_name,
    )
    return [
        Version(
            row["set_name"],
            row["number"],
            row["definition_hash"],
            json.loads(row["definitions"]),
            time_of(row["created_at_ms"]),
            json.loads(row["packages"]),
        )
        for row in rows
    ]


def save_run(
    database: Database,
    run_id: str,
    /,
    *,
    kind: str,
    status: str,
    table_state: str,
    config: dict[str, Any],
    card: dict[str, Any],
    now_ms: int,
) -> None:
    """Insert a run, or update the one of this id."""
    pinned = re.search(r"@S(\d+)$", table_state)
    snapshot_id = int(pinned[1]) if pinned else None
    with database.transaction():
        if snapshot_id is not None:
            _require_snapshot(database, snapshot_id, f"run {run_id}")
        database.run(
            """
            insert into runs (
                run_id, kind, status, table_state, snapshot_id, config, card, created_at_ms, updated_at_ms
            )
            values ($run_id, $kind, $status, $table_state, $snapshot_id, $config, $card, $now_ms, $now_ms)
            on conflict (run_id) do update set
                kind = excluded.kind, status = excluded.status, table_state = excluded.table_state,
                snapshot_id = excluded.snapshot_id, config = excluded.config, card = excluded.card,
                updated_at_ms = excluded.updated_at_ms
            """,
            run_id=run_id,
            kind=kind,
            status=status,
            table_state=table_state,
            snapshot_id=snapshot_id,
            config=json.dumps(config),
            card=json.dumps(card),
            now_ms=now_ms,
        )


def runs(database: Database, /) -> list[Run]:
    """Return every run, newest first."""
    return [_run_of(row) for row in database.rows("select * from runs order by created_at_ms desc, run_id desc")]


def run(database: Database, run_id: str, /) -> Run:
    """Return one run, or raise NotFoundError."""
    row = database.row("select * from runs where run_id = $run_id", run_id=run_id)
    if row is None:
        raise NotFoundError(f"the warehouse holds no run {run_id!r}. List them with: mmf runs list")
    return _run_of(row)


def save_tag(database: Database, name: str, snapshot_id: int, /, *, now_ms: int) -> None:
    """Name a snapshot and keep it from expiring; an existing tag moves."""
    checked_tag(name)
    with database.transaction():
        _require_snapshot(database, snapshot_id, f"tag {name}")
        database.run(
            """
            insert into tags (name, snapshot_id, created_at_ms) values ($name, $snapshot_id, $now_ms)
            on conflict (name) do update
            set snapshot_id = excluded.snapshot_id, created_at_ms = excluded.created_at_ms
            """,
            name=name,
            snapshot_id=snapshot_id,
            now_ms=now_ms,
        )


def tags(database: Database, /) -> dict[str, int]:
    """Return the snapshot of each tag."""
    rows = database.rows("select name, snapshot_id from tags order by name")
    return {row["name"]: row["snapshot_id"] for row in rows}


def forget_version(database: Database, set_name: str, number: int, /) -> None:
    """Take the newest version of a set back where no file was ever written under it; its number is free again.

    So are its columns: who mends a feature that failed may well rename it.
    """
    version = f"{checked_set(set_name)}@v{int(number)}"
    with database.transaction():
        n_forgotten = database.run(
            """
            delete from feature_versions
            where set_name = $set_name and number = $number
                and number = (select max(number) from feature_versions where set_name = $set_name)
                and not exists (select 1 from files where table_name = 'features' and version = $version)
            """,
            set_name=set_name,
            number=int(number),
            version=version,
        )
        if n_forgotten:
            database.run(
                "delete from table_schemas where table_name = 'features' and version = $version", version=version
            )


def insert_fetch(database: Database, /, *, snapshot_id: int, row: dict[str, Any]) -> None:
    """Insert a row of `fetches` within the caller's transaction."""
    values = {name: value for name, value in row.items() if name != "series"}
    database.run(
        """
        insert into fetches (
            snapshot_id, series_id, source, fetched_at_ms, n_rows, n_added, n_revised, n_unchanged, n_quarantined,
            n_forming
        )
        values (
            $snapshot_id, $series_id, $source, $fetched_at, $n_rows, $n_added, $n_revised, $n_unchanged, $n_quarantined,
            $n_forming
        )
        """,
        snapshot_id=snapshot_id,
        series_id=register_series(database, checked_key(row["series"])),
        **values,
    )


def time_of(ms: int, /) -> datetime:
    """Return UTC milliseconds as a time."""
    return datetime.fromtimestamp(ms / 1000, tz=UTC)


# ------------------------------------------------------------------------------------


def _require_snapshot(database: Database, snapshot_id: int, what: str) -> None:
    found = database.value(
        "select 1 from snapshots where snapshot_id = $id and expired_at_ms is null", id=int(snapshot_id)
    )
    if found is None:
        raise NotFoundError(
            f"{what} names S{snapshot_id}, which the warehouse does not hold (any more). List snapshots with: "
            "mmf sql snapshots"
        )


def _run_of(row: Row) -> Run:
    return Run(
        run_id=row["run_id"],
        kind=row["kind"],
        status=row["status"],
        table_state=row["table_state"],
        config=json.loads(row["config"]),
        card=json.loads(row["card"]),
        created_at=time_of(row["created_at_ms"]),
        updated_at=time_of(row["updated_at_ms"]),
    )
