"""Views of the feature tables: each version, each set in the version in use, its lags, its longer intervals."""

from collections import defaultdict
from collections.abc import Mapping, Sequence

import duckdb
import polars as pl

from warehouse.errors import NotFoundError
from warehouse.names import SeriesKey, checked_set
from warehouse.snapshots import Snapshot
from warehouse.tables import known_schema
from warehouse.turns import versions_in_use
from warehouse.views import create_view, filled, identifier, literal, paths, tuples

MAX_AGE = 2  # bars of a longer interval after which it says nothing of a row


def create_feature_views(
    connection: duckdb.DuckDBPyConnection, snapshot: Snapshot, feature_sets: Sequence[str], /, *, lags: Sequence[int]
) -> None:
    """Create the schema `features` and its views; `intervals` exists already.

    Parameters
    ----------
    connection : duckdb.DuckDBPyConnection
        Where to.
    snapshot : Snapshot
        What to read.
    feature_sets : sequence of str
        Sets that have a view even where no version of them is stored.
    lags : sequence of int
        Lags in stored bars of one series.
    """
    connection.execute("create schema features")
    versions = {name: snapshot.keys("features", version=name) for name in snapshot.versions("features")[::-1]}
    for version in versions:
        create_view(
            connection,
            "feature_version",
            view=identifier(version),
            columns=", ".join(map(identifier, _columns(snapshot, version))),
            files=paths(snapshot, snapshot.files("features", version=version)),
        )
    turns = versions_in_use(snapshot.database, snapshot.id)
    for name in sorted({*map(checked_set, feature_sets), *(version.partition("@")[0] for version in versions)}):
        of_set = {version: keys for version, keys in versions.items() if version.partition("@")[0] == name}
        in_use = {key: version for (set_name, key), version in turns.items() if set_name == name}
        _create_set(connection, snapshot, name, of_set, in_use, lags=lags)
        _create_contexts(connection, snapshot, name, of_set, in_use, lags=lags)


# ------------------------------------------------------------------------------------


def _create_set(
    connection: duckdb.DuckDBPyConnection,
    snapshot: Snapshot,
    name: str,
    versions: Mapping[str, Sequence[SeriesKey]],
    in_use: Mapping[SeriesKey, str],
    *,
    lags: Sequence[int],
) -> None:
    """Create the views of a set from its versions, newest first, the series that each holds and what is in use."""
    if not versions:
        create_view(connection, "empty/feature_set", view=identifier(name))
        create_view(connection, "empty/feature_set", view=identifier(_lagged(name)))
        return
    newest = _of_each_series(versions, in_use)
    parts = [
        filled("feature_set_part", version=identifier(version), series=tuples(keys)) for version, keys in newest.items()
    ]
    create_view(connection, "feature_set", view=identifier(name), parts="\nunion all by name\n".join(parts))
    features = dict.fromkeys(feature for version in newest for feature in _features(snapshot, version))
    _create_lagged(connection, name, list(features), lags)


def _create_contexts(
    connection: duckdb.DuckDBPyConnection,
    snapshot: Snapshot,
    name: str,
    versions: Mapping[str, Sequence[SeriesKey]],
    in_use: Mapping[SeriesKey, str],
    *,
    lags: Sequence[int],
) -> None:
    """Create two views for each interval in which a shorter series of the same symbol and version looks its set up."""
    lengths = dict(connection.sql("select interval_name, length_ms from intervals").fetchall())
    pairs: defaultdict[str, dict[str, list[SeriesKey]]] = defaultdict(dict)
    for version, keys in versions.items():
        for longer in sorted({key.interval for key in keys}):
            pairs[longer][version] = [
                key for key in keys if lengths[key.interval] < lengths[longer] and key._replace(interval=longer) in keys
            ]
    for longer, held in pairs.items():
        chosen = _of_each_series(held, in_use)
        parts = [
            filled(
                "feature_set_context_part",
                version=identifier(version),
                series=tuples(keys),
                context=literal(longer),
                looked_up=", ".join(_looked_up(_features(snapshot, version), longer, MAX_AGE * lengths[longer])),
            )
            for version, keys in chosen.items()
        ]
        if parts:
            view = f"{name}_context_{longer.lower()}"
            create_view(
                connection,
                "feature_set_context",
                view=identifier(view),
                parts="\nunion all by name\n".join(f"({part})" for part in parts),
            )
            features = dict.fromkeys(
                _in_context(feature, longer) for version in chosen for feature in _features(snapshot, version)
            )
            _create_lagged(connection, view, list(features), lags)


def _create_lagged(
    connection: duckdb.DuckDBPyConnection, base: str, features: Sequence[str], lags: Sequence[int]
) -> None:
    """Create the view of a view's rows with lags of some of its columns beside them."""
    expressions = [
        f"lag({identifier(feature)}, {int(lag)}) over earlier_bars as {identifier(f'{feature}_lag_{int(lag)}')}"
        for feature in features
        for lag in lags
    ]
    lines = {"view": identifier(_lagged(base)), "base": identifier(base), "lags": ", ".join(expressions)}
    create_view(connection, "feature_set_lagged" if expressions else "feature_set_unlagged", **lines)


def _lagged(view: str) -> str:
    return f"{view}_lagged"


def _in_context(feature: str, longer: str) -> str:
    return f"{feature}_ctx_{longer.lower()}"


def _looked_up(features: Sequence[str], longer: str, max_age_ms: int) -> list[str]:
    return [
        f"case when own._close_ms - longer._close_ms <= {max_age_ms} then longer.{identifier(feature)} end"
        f" as {identifier(_in_context(feature, longer))}"
        for feature in features
    ]


def _of_each_series(
    versions: Mapping[str, Sequence[SeriesKey]], in_use: Mapping[SeriesKey, str]
) -> dict[str, list[SeriesKey]]:
    """Return the series that each version stands for, newest version first: a build of one must not hide others.

    It is the version that the series was last built with, and the newest of those that hold it where that is not known
    or not there.
    """
    holders: defaultdict[SeriesKey, list[str]] = defaultdict(list)
    for version, keys in versions.items():
        for key in keys:
            holders[key].append(version)
    chosen = {key: in_use[key] if in_use.get(key) in held else held[0] for key, held in holders.items()}
    parts = {version: [key for key in keys if chosen[key] == version] for version, keys in versions.items()}
    return {version: keys for version, keys in parts.items() if keys}


def _features(snapshot: Snapshot, version: str) -> list[str]:
    return [column for column, kind in _columns(snapshot, version).items() if kind.is_float()]


def _columns(snapshot: Snapshot, version: str) -> pl.Schema:
    schema = known_schema(snapshot.database, "features", version)
    if schema is None:
        raise NotFoundError(f"the catalog does not know the columns of features {version}.")
    return schema
