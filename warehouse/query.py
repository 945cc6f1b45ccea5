"""SQL over a pinned snapshot: an in-memory DuckDB with a view for each table."""

from collections.abc import Sequence
from string import Template

import duckdb
import polars as pl

import sql
from warehouse.errors import NotFoundError
from warehouse.names import SeriesKey, checked_set
from warehouse.side_tables import side_tables
from warehouse.snapshots import Snapshot
from warehouse.tables import DataFile, known_schema

LAGS = (1, 2, 3, 5, 8, 13)

# A query reads what lies on this machine; it fetches code from the network only where it says INSTALL.
_SETTINGS: dict[str, bool | float | int | list[str] | str] = {
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
    "allow_community_extensions": False,
}
_DERIVED = (
    "gaps",
    "absences",
    "verdicts",
    "universe",
    "universe_at",
    "bars_as_of",
)  # each reads only what comes before it
_LOGS = ("revisions", "quarantine", "council_votes", "predictions")


def connect(
    snapshot: Snapshot, /, *, feature_sets: Sequence[str] = ("core",), lags: Sequence[int] = LAGS
) -> duckdb.DuckDBPyConnection:
    """Open an in-memory DuckDB on a pinned snapshot; it closes with the pin.

    Views: `bars`, `gaps`, `absences`, `verdicts`, `revisions`, `quarantine`, `funding`, `universe`, `council_votes`,
    `predictions`; in the schema `features` one view for each version (`features."core@v1"`), one for each set in its
    newest version (`features.core`), and one with its lags (`features.core_lagged`, columns such as `rsi_14_lag_3`).
    Table functions: `bars_as_of(instant)`, `universe_at(instant)`. Small tables: `series`, `snapshots`, `tags`,
    `fetches`, `instruments`,
    `aliases`, `runs`, `files`, `feature_versions`. All exist, empty where nothing is stored.

    Parameters
    ----------
    snapshot : Snapshot
        What to read.
    feature_sets : sequence of str
        Sets that have a view even where no version of them is stored.
    lags : sequence of int
        Lags in stored bars of one series.

    Notes
    -----
    Times are TIMESTAMPTZ and the session is in UTC. DuckDB's own `fetchall` needs the package pytz for them; read
    results as frames: `connection.sql(query).pl()`.
    """
    connection = duckdb.connect(":memory:", config=_SETTINGS)
    snapshot.on_close(connection.close)
    connection.execute("set timezone = 'UTC'")
    define(connection, snapshot, feature_sets=feature_sets, lags=lags)
    return connection


def define(
    connection: duckdb.DuckDBPyConnection,
    snapshot: Snapshot,
    /,
    *,
    feature_sets: Sequence[str],
    lags: Sequence[int],
) -> None:
    """Create the views and small tables of a snapshot in an empty database."""
    for name, frame in side_tables(snapshot.database, snapshot.id).items():
        _create_table(connection, name, frame)
    _create(connection, "intervals")
    files = snapshot.files("bars")
    _create(connection, "bars" if files else "empty/bars", files=_paths(snapshot, files))
    funding = snapshot.files("funding")
    _create(connection, "funding" if funding else "empty/funding", files=_paths(snapshot, funding))
    for name in _LOGS:
        _create_log(connection, snapshot, name)
    for name in _DERIVED:
        _create(connection, name)
    _create_features(connection, snapshot, feature_sets, lags)


def inspections() -> dict[str, str]:
    """Return the inspection queries by name, each with its one-line description."""
    return {name: _description(sql.read(f"inspect/{name}")) for name in sql.names("inspect")}


def inspection(name: str, /) -> str:
    """Return the text of an inspection query, or raise NotFoundError."""
    if name not in (known := sql.names("inspect")):
        raise NotFoundError(f"there is no inspection {name!r}. There are: {', '.join(known)}.")
    return sql.read(f"inspect/{name}")


# ------------------------------------------------------------------------------------


def _description(text: str) -> str:
    return text.splitlines()[0].removeprefix("--").strip()


def _create(connection: duckdb.DuckDBPyConnection, name: str, /, **placeholders: str) -> None:
    connection.execute(_filled(name, **placeholders))


def _filled(name: str, /, **placeholders: str) -> str:
    """Return the text of a view with its placeholders filled in."""
    # the header names the placeholders too, and a value of several lines would run out of its comment
    text = "\n".join(line for line in sql.read(f"views/{name}").splitlines() if not line.startswith("--"))
    return Template(text).substitute(placeholders)


def _create_table(connection: duckdb.DuckDBPyConnection, name: str, frame: pl.DataFrame) -> None:
    connection.register("incoming", frame.to_arrow())
    connection.execute(f"create table {_identifier(name)} as select * from incoming")  # noqa: S608
    connection.unregister("incoming")


def _create_log(connection: duckdb.DuckDBPyConnection, snapshot: Snapshot, name: str) -> None:
    files = snapshot.files(name)
    if not files:
        _create(connection, f"empty/{name}")
        return
    view = "log" if files[0].key is None else "keyed_log"
    _create(connection, view, view=_identifier(name), files=_paths(snapshot, files))


def _create_features(
    connection: duckdb.DuckDBPyConnection, snapshot: Snapshot, feature_sets: Sequence[str], lags: Sequence[int]
) -> None:
    connection.execute("create schema features")
    versions = snapshot.versions("features")
    for version in versions:
        _create(
            connection,
            "feature_version",
            view=_identifier(version),
            columns=", ".join(map(_identifier, _columns(snapshot, version))),
            files=_paths(snapshot, snapshot.files("features", version=version)),
        )
    for name in sorted({*map(checked_set, feature_sets), *(version.partition("@")[0] for version in versions)}):
        of_set = [version for version in versions if version.partition("@")[0] == name]
        _create_set(connection, snapshot, name, of_set[::-1], lags)


def _create_set(
    connection: duckdb.DuckDBPyConnection, snapshot: Snapshot, name: str, versions: Sequence[str], lags: Sequence[int]
) -> None:
    """Create the views of a set from those of its versions, newest first."""
    lagged = _identifier(f"{name}_lagged")
    if not versions:
        _create(connection, "empty/feature_set", view=_identifier(name))
        _create(connection, "empty/feature_set", view=lagged)
        return
    parts = _newest_of_each_series(snapshot, versions)
    _create(connection, "feature_set", view=_identifier(name), parts="\nunion all by name\n".join(parts.values()))
    kinds = {column: kind for version in parts for column, kind in _columns(snapshot, version).items()}
    columns = [column for column, kind in kinds.items() if kind.is_float()]
    expressions = [
        f"lag({_identifier(column)}, {int(lag)}) over earlier_bars as {_identifier(f'{column}_lag_{int(lag)}')}"
        for column in columns
        for lag in lags
    ]
    _create(
        connection,
        "feature_set_lagged",
        view=lagged,
        base=_identifier(name),
        lags=", ".join(expressions) or "null as no_feature",
    )


def _newest_of_each_series(snapshot: Snapshot, versions: Sequence[str]) -> dict[str, str]:
    """Return a select for each version that is the newest one of some series: a build of one must not hide others."""
    parts: dict[str, str] = {}
    seen: set[SeriesKey] = set()
    for version in versions:
        own = [key for key in snapshot.keys("features", version=version) if key not in seen]
        if own:
            keys = ", ".join("(" + ", ".join(map(_literal, key)) + ")" for key in own)
            parts[version] = _filled("feature_set_part", version=_identifier(version), series=keys)
        seen.update(own)
    return parts


def _columns(snapshot: Snapshot, version: str) -> pl.Schema:
    schema = known_schema(snapshot.database, "features", version)
    if schema is None:
        raise NotFoundError(f"the catalog does not know the columns of features {version}.")
    return schema


def _paths(snapshot: Snapshot, files: Sequence[DataFile]) -> str:
    """Return the paths as a list literal: a view takes no parameters."""
    return "[" + ", ".join(_literal(str(snapshot.root / file.path)) for file in files) + "]"


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _identifier(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'
