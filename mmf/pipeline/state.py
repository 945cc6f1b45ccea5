"""Table states: which feature version of which series, in which snapshot."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from mmf.bars import Interval, Series
from mmf.errors import CallError, DataError
from warehouse import SeriesKey, Snapshot, Warehouse
from warehouse.snapshots import AsOf
from warehouse.tables import known_schema
from warehouse.turns import versions_in_use

ROW_COLUMNS = ("missing_bars", "is_warm")  # what a feature table says of each row beside its features

_STATE = re.compile(r"(?P<set>[a-z][a-z0-9_]*)(@v(?P<number>\d+))?(@S(?P<snapshot>\d+))?")


@dataclass(frozen=True)
class TableState:
    """A feature table at one moment, of one series or of several that are learned from together; `core@v3@S17`.

    Attributes
    ----------
    series : Series
        Whose rows; the first of several.
    version : str
        Feature version, such as `core@v3`.
    snapshot : int
        Snapshot of the warehouse.
    columns : tuple of str
        Base columns of that version.
    definition_hash : str
        Hash of the definitions that computed them.
    beside : tuple of Series
        The others, ascending, of the same interval.
    """

    series: Series
    version: str
    snapshot: int
    columns: tuple[str, ...]
    definition_hash: str
    beside: tuple[Series, ...] = ()

    def __str__(self) -> str:
        return f"{self.version}@S{self.snapshot}"

    @property
    def all_series(self) -> tuple[Series, ...]:
        """All of them, ascending."""
        return (self.series, *self.beside)

    @property
    def series_names(self) -> str | list[str]:
        """The name of the series, or the names of several."""
        return [str(one) for one in self.all_series] if self.beside else str(self.series)

    def each(self) -> Iterator["TableState"]:
        """Yield the state of each series by itself."""
        return (replace(self, series=one, beside=()) for one in self.all_series)


def resolve_state(
    warehouse: Warehouse,
    series: Series | Sequence[Series],
    text: str,
    /,
    *,
    as_of: AsOf = None,
    prefer: str | None = None,
) -> TableState:
    """Find the table state that `core`, `core@v3` or `core@v3@S17` names.

    Parameters
    ----------
    warehouse : Warehouse
        Where to look.
    series : Series or sequence of Series
        Whose table; of several it is one version that all of them have, and their order does not matter.
    text : str
        Without a number the version that the series was last built with; without a snapshot that of `as_of`.
    as_of : None, int, str or datetime
        Snapshot, or the time by which it was committed; the newest by default.
    prefer : str, optional
        Definition hash of the set as the code at hand computes it: where the snapshot holds that version of the series
        it is taken before others, which nobody could bring up to date.

    Raises
    ------
    CallError
        The text does not name a table state, or names a snapshot beside `as_of`; several series have two intervals or
        share the name of a symbol.
    DataError
        The snapshot holds no such version of the series.
    """
    match = _parsed(text)
    first, *others = _together([series] if isinstance(series, Series) else series)
    if match["snapshot"] and as_of is not None:
        raise CallError(f"{text} names a snapshot, and --as-of {as_of} another. Give one of them.")
    with warehouse.pin(int(match["snapshot"]) if match["snapshot"] else as_of) as snapshot:
        wanted = text.partition("@S")[0]
        if match["number"] is None and prefer is not None:
            wanted = _preferred(warehouse, snapshot, [first, *others], wanted, prefer)
        name = stored_version(snapshot, [first, *others], wanted)
        version = next(known for known in warehouse.versions(match["set"]) if known.name == name)
        return TableState(
            series=first,
            version=name,
            snapshot=snapshot.id,
            columns=tuple(definition["name"] for definition in version.definitions),
            definition_hash=version.definition_hash,
            beside=tuple(others),
        )


def stored_version(snapshot: Snapshot, series: Sequence[Series], text: str, /) -> str:
    """Find the version that `core` or `core@v3` names and that a snapshot holds of every series.

    Without a number that is the one that the series were last built with, and the newest of several or where that is
    not known or not held.

    Raises
    ------
    CallError
        The text names no version.
    DataError
        The snapshot holds no such version; the message names a series that lacks it and the command that builds it.
    """
    match = _parsed(text)
    number = match["number"]
    named = [
        version
        for version in snapshot.versions("features")[::-1]
        if version.partition("@v")[0] == match["set"] and number in {None, version.partition("@v")[2]}
    ]
    turns = versions_in_use(snapshot.database, snapshot.id)
    in_use = {turns.get((match["set"], SeriesKey(*one.key))) for one in series}
    lacking = series[0]
    for version in sorted(named, key=lambda name: name not in in_use):
        held = set(snapshot.keys("features", version=version))
        absent = [one for one in series if SeriesKey(*one.key) not in held]
        if not absent:
            return version
        lacking = absent[0]
    raise DataError(
        f"S{snapshot.id} holds no {text} of {lacking}. Build it with: mmf features build {lacking} --set {match['set']}"
    )


def feature_columns(snapshot: Snapshot, version: str, /) -> tuple[str, ...]:
    """Names of the features of a version, in the order in which they are stored."""
    schema = known_schema(snapshot.database, "features", version) or {}
    return tuple(name for name in schema if name not in {"open_time", *ROW_COLUMNS})


def in_interval(series: Series, interval: Interval, /) -> Series:
    """Return the series of the same symbol in another interval."""
    return replace(series, interval=interval.name)


# ------------------------------------------------------------------------------------


def _together(series: Sequence[Series]) -> list[Series]:
    """Series that one model can learn from, ascending by symbol."""
    several = sorted(set(series), key=lambda one: (one.symbol, one))
    if not several:
        raise CallError("a table state is of one series at least. Name one, such as bybit:linear:BTCUSDT:60.")
    if len(intervals := sorted({one.interval for one in several})) > 1:
        raise CallError(f"one model learns from one interval, got {' and '.join(intervals)}. Train a model of each.")
    symbols = [one.symbol for one in several]
    if twice := sorted({name for name in symbols if symbols.count(name) > 1}):
        raise CallError(f"two of the series are called {twice[0]}: predictions name symbols. Take one of them.")
    return several


def _preferred(
    warehouse: Warehouse, snapshot: Snapshot, series: Sequence[Series], set_name: str, definition_hash: str
) -> str:
    """Name of the version with this hash, or of the set where the snapshot does not hold it of every series."""
    keys = [SeriesKey(*one.key) for one in series]
    for version in warehouse.versions(set_name):
        if version.definition_hash == definition_hash and all(
            snapshot.files("features", key, version=version.name) for key in keys
        ):
            return version.name
    return set_name


def _parsed(text: str) -> re.Match[str]:
    match = _STATE.fullmatch(text)
    if match is None:
        raise CallError(f"{text!r} names no feature table. Write core, core@v3 or core@v3@S17.")
    return match
