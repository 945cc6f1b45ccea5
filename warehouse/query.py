"""SQL over a pinned snapshot: an in-memory DuckDB with a view for each table."""

from collections.abc import Sequence

import duckdb

import sql
from warehouse.errors import NotFoundError
from warehouse.feature_views import create_feature_views
from warehouse.side_tables import side_tables
from warehouse.snapshots import Snapshot
from warehouse.views import create_table, create_view, identifier, paths

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
    "trials",
)  # each reads only what comes before it
_LOGS = (
    *("revisions", "quarantine", "council_votes", "predictions", "trades", "equity", "threshold_sweep"),
    *("cost_sensitivity", "random_schedules", "scores", "reliability", "drift", "epochs"),
    *("folds", "fold_scores", "fold_equity", "combinations", "noise_floor"),
)


def connect(
    snapshot: Snapshot, /, *, feature_sets: Sequence[str] = ("core",), lags: Sequence[int] = ()
) -> duckdb.DuckDBPyConnection:
    """Open an in-memory DuckDB on a pinned snapshot; it closes with the pin.

    Views: `bars`, `gaps`, `absences`, `verdicts`, `revisions`, `quarantine`, `funding`, `universe`, `council_votes`,
    `predictions`, `trades`, `equity`, `threshold_sweep`, `cost_sensitivity`, `random_schedules`, `scores`,
    `reliability`, `drift`, `epochs`, `folds`, `fold_scores`, `fold_equity`, `combinations`, `noise_floor`, `trials`; in
    the schema `features` one view for each version (`features."core@v1"`), one for each set in the version that each
    series was last built with (`features.core`), one with its lags (`features.core_lagged`, columns such as
    `rsi_14_lag_3`), and one for each longer interval that shorter ones can look up (`features.core_context_240`,
    columns such as `rsi_14_ctx_240`), again with lags (`features.core_context_240_lagged`). Table functions:
    `bars_as_of(instant)`, `universe_at(instant)`. Small tables: `series`, `snapshots`, `tags`, `fetches`,
    `instruments`, `aliases`, `runs`, `files`, `feature_versions`. All but the views of context exist, empty where
    nothing is stored.

    Parameters
    ----------
    snapshot : Snapshot
        What to read.
    feature_sets : sequence of str
        Sets that have a view even where no version of them is stored.
    lags : sequence of int
        Lags that `features.core_lagged` has, in stored bars of one series; each costs a column for every feature, so
        a caller that reads none of them gives none.

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
        create_table(connection, name, frame)
    create_view(connection, "intervals")
    files = snapshot.files("bars")
    create_view(connection, "bars" if files else "empty/bars", files=paths(snapshot, files))
    funding = snapshot.files("funding")
    create_view(connection, "funding" if funding else "empty/funding", files=paths(snapshot, funding))
    for name in _LOGS:
        _create_log(connection, snapshot, name)
    for name in _DERIVED:
        create_view(connection, name)
    create_feature_views(connection, snapshot, feature_sets, lags=lags)


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


def _create_log(connection: duckdb.DuckDBPyConnection, snapshot: Snapshot, name: str) -> None:
    files = snapshot.files(name)
    if not files:
        create_view(connection, f"empty/{name}")
        return
    view = "log" if files[0].key is None else "keyed_log"
    create_view(connection, view, view=identifier(name), files=paths(snapshot, files))
