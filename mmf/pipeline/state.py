"""Table states: which feature version of which series, in which snapshot."""

import re
from dataclasses import dataclass

import polars as pl

from mmf.bars import Series
from mmf.errors import CallError, DataError
from mmf.features.registry import feature_set
from mmf.pipeline.build import stale_chunks
from warehouse import SeriesKey, Snapshot, Warehouse

_STATE = re.compile(r"(?P<set>[a-z][a-z0-9_]*)(@v(?P<number>\d+))?(@S(?P<snapshot>\d+))?")


@dataclass(frozen=True)
class TableState:
    """A feature table at one moment; written `core@v3@S17`.

    Attributes
    ----------
    series : Series
        Whose rows.
    version : str
        Feature version, such as `core@v3`.
    snapshot : int
        Snapshot of the warehouse.
    columns : tuple of str
        Base columns of that version.
    definition_hash : str
        Hash of the definitions that computed them.
    """

    series: Series
    version: str
    snapshot: int
    columns: tuple[str, ...]
    definition_hash: str

    def __str__(self) -> str:
        return f"{self.version}@S{self.snapshot}"


def resolve_state(warehouse: Warehouse, series: Series, text: str, /) -> TableState:
    """Find the table state that `core`, `core@v3` or `core@v3@S17` names.

    Without a snapshot the newest one, without a number the newest version that it holds of the series.

    Raises
    ------
    CallError
        The text does not name a table state.
    DataError
        The snapshot holds no such version of the series.
    """
    match = _STATE.fullmatch(text)
    if match is None:
        raise CallError(f"{text!r} names no feature table. Write core, core@v3 or core@v3@S17.")
    key = SeriesKey(*series.key)
    with warehouse.pin(int(match["snapshot"]) if match["snapshot"] else None) as snapshot:
        stored = [
            version
            for version in warehouse.versions(match["set"])
            if match["number"] in {None, str(version.number)}
            and snapshot.files("features", key, version=f"{version.set_name}@v{version.number}")
        ]
        if not stored:
            raise DataError(
                f"S{snapshot.id} holds no {text.partition('@S')[0]} of {series}. "
                f"Build it with: mmf features build {series} --set {match['set']}"
            )
        newest = stored[-1]
        return TableState(
            series=series,
            version=f"{newest.set_name}@v{newest.number}",
            snapshot=snapshot.id,
            columns=tuple(definition["name"] for definition in newest.definitions),
            definition_hash=newest.definition_hash,
        )


def require_current(warehouse: Warehouse, snapshot: Snapshot, state: TableState, /, *, since_ms: int) -> None:
    """Refuse features that are not what the bars of their own snapshot give.

    Parameters
    ----------
    warehouse : Warehouse
        Knows the hashes of finished chunks.
    snapshot : Snapshot
        The snapshot of `state`.
    state : TableState
        What is to be read. Where its definitions are no longer those of the code, they cannot be computed again, and
        the times of rows and bars are compared alone.
    since_ms : int
        open_time from which on rows matter.

    Raises
    ------
    DataError
        Bars were appended, filled in or revised since the features were built.
    """
    features = feature_set(state.version.partition("@")[0])
    since = state.series.grid.bar_number(since_ms)
    if features.definition_hash == state.definition_hash:
        is_stale = stale_chunks(warehouse, snapshot, state.series, features, state.version, start=since) > 0
    else:
        is_stale = not _times(snapshot, "features", state, since_ms).equals(_times(snapshot, "bars", state, since_ms))
    if is_stale:
        raise DataError(
            f"{state} of {state.series} is older than its bars: some were added or revised since it was built. "
            f"Bring it up to date with: mmf features build {state.series} --set {features.name}"
        )


# ------------------------------------------------------------------------------------


def _times(snapshot: Snapshot, table: str, state: TableState, since_ms: int) -> pl.Series:
    version = state.version if table == "features" else ""
    scan = snapshot.scan(table, SeriesKey(*state.series.key), version=version)
    times = scan.select("open_time").collect()["open_time"]
    return times.filter(times.to_physical() >= since_ms)
