"""Reading feature tables: base columns, lags and context of one series or several, lazily."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from difflib import get_close_matches
from typing import Self

import numpy as np
import polars as pl

from mmf.bars import Interval, Series
from mmf.errors import CallError
from mmf.features.context import MAX_AGE, context_columns, require_longer, split_context, with_context
from mmf.features.lags import LAGS, lag_columns, lag_expr, split_lag
from mmf.panel import Panel, make_panel
from mmf.pipeline.state import ROW_COLUMNS, feature_columns, in_interval, resolve_state, stored_version
from warehouse import SeriesKey, Snapshot, Warehouse
from warehouse.snapshots import AsOf

Time = datetime | str | None

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def scan_features(
    snapshot: Snapshot,
    series: Series | Sequence[Series],
    version: str,
    /,
    *,
    columns: Sequence[str] | None = None,
    lags: Sequence[int] = LAGS,
    context: Sequence[str] = (),
    start: Time = None,
    stop: Time = None,
) -> pl.LazyFrame:
    """Scan a feature table with its lags and context; collect it within the pin.

    Nothing but base columns is stored: lags are shifts and context is a join, both done when the frame is collected,
    and only for the columns that are asked for.

    Parameters
    ----------
    snapshot : Snapshot
        The state to read.
    series : Series or sequence of Series
        One series, or several, one below the other in the order given; lags never read across them.
    version : str
        Such as `core@v3`; `core` is the version that the series were last built with.
    columns : sequence of str, optional
        Any of `rsi_14`, `rsi_14_lag_3`, `rsi_14_ctx_240`, `rsi_14_ctx_240_lag_3`, `missing_bars`, `is_warm`, with any
        lag. By default every feature, every feature in each context, their lags, missing_bars and is_warm.
    lags : sequence of int
        Lags of the default columns, in stored bars of the series.
    context : sequence of str
        Longer intervals of the default columns, such as `("240",)`.
    start, stop : datetime or str, optional
        Half-open range of open_time; a text such as `2024-01-31T12:00` is UTC where it names no zone. Before `start`
        as many rows are read as the largest lag asked for, and none after `stop`.

    Returns
    -------
    pl.LazyFrame
        open_time and the columns, of several series behind exchange, category, symbol, interval. Null where a feature
        is undefined, where the lag lies before the first stored bar, and where `with_context` says so.

    Raises
    ------
    CallError
        A column, interval or time is not one.
    DataError
        The snapshot holds no such version of a series, or not in one of the contexts; the message names the build.

    Notes
    -----
    Context is read from the table of the same version of the other interval, so its numbers come from the same
    definitions, and never from bars.
    """
    several = [series] if isinstance(series, Series) else list(series)
    contexts = [Interval.parse(name) for name in context]
    asked = None if columns is None else [_Column.of(name) for name in columns]
    looked_up = [*contexts, *(column.context for column in asked or () if column.context)]
    tables = [*several, *(_longer_series(one, longer) for one in several for longer in looked_up)]
    version = stored_version(snapshot, tables, version)
    features = feature_columns(snapshot, version)
    if asked is None:
        names = (*lag_columns((*features, *context_columns(features, contexts)), lags), *ROW_COLUMNS)
        asked = [_Column.of(name) for name in names]
    for column in asked:
        column.require_one_of((*features, *ROW_COLUMNS))
    scans = [_Scan(snapshot, one, version, asked, _ms(start), _ms(stop)) for one in several]
    if isinstance(series, Series):
        return scans[0].frame()
    return pl.concat([_keyed(scan.frame(), scan.series) for scan in scans])


def read_features(
    warehouse: Warehouse,
    series: Series,
    state: str,
    /,
    *,
    as_of: AsOf = None,
    columns: Sequence[str] | None = None,
    lags: Sequence[int] = LAGS,
    context: Sequence[str] = (),
    start: Time = None,
    stop: Time = None,
) -> pl.DataFrame:
    """Read a feature table whose state is written `core`, `core@v3` or `core@v3@S17`.

    Parameters and errors are those of `scan_features` and `resolve_state`.
    """
    found = resolve_state(warehouse, series, state, as_of=as_of)
    with warehouse.pin(found.snapshot) as snapshot:
        return scan_features(
            snapshot, series, found.version, columns=columns, lags=lags, context=context, start=start, stop=stop
        ).collect()


def read_panel(
    snapshot: Snapshot,
    series: Iterable[Series],
    version: str,
    /,
    *,
    columns: Sequence[str],
    start: Time = None,
    stop: Time = None,
) -> Panel:
    """Read the same columns of several series, aligned in time; one series is held in memory beside the panel.

    Parameters and errors are those of `scan_features` and `mmf.panel.make_panel`.
    """
    several = sorted(set(series))
    version = stored_version(snapshot, several, version)
    scans = {one: scan_features(snapshot, one, version, columns=columns, start=start, stop=stop) for one in several}
    return make_panel(scans, columns)


# ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Column:
    """A column asked for: its name, the feature that it reads, in which longer interval, how many bars back."""

    name: str
    feature: str
    context: Interval | None
    lag: int

    @classmethod
    def of(cls, name: str) -> Self:
        unlagged, lag = split_lag(name)
        return cls(name, *split_context(unlagged), lag)

    def require_one_of(self, stored: Sequence[str]) -> None:
        if self.feature not in stored:
            near = get_close_matches(self.feature, stored, n=1)
            hint = f"Did you mean {near[0]}?" if near else "See them all: mmf features list"
            raise CallError(f"column {self.name!r} is not of this feature version, which has no {self.feature}. {hint}")


@dataclass(frozen=True)
class _Scan:
    """The scan of one series."""

    snapshot: Snapshot
    series: Series
    version: str
    columns: Sequence[_Column]
    start_ms: int | None
    stop_ms: int | None

    def frame(self) -> pl.LazyFrame:
        rows, n_lead, first_ms = self._rows()
        for context in dict.fromkeys(column.context for column in self.columns if column.context):
            features = list(dict.fromkeys(column.feature for column in self.columns if column.context == context))
            longer = self._longer(context, first_ms)
            rows = with_context(rows, longer, features, interval=self.series.grid, context=context)
        return rows.select("open_time", *(lag_expr(column.name) for column in self.columns)).slice(n_lead)

    def _rows(self) -> tuple[pl.LazyFrame, int, int | None]:
        """Rows of the range and those before it that lags read; the count of the latter; the first row's open_time."""
        if self.start_ms is None and self.stop_ms is None:
            return self._stored(), 0, None
        n_lead = max((column.lag for column in self.columns), default=0)
        scan = self._stored(start=self._first_bar(n_lead), stop=self._bar_from(self.stop_ms))
        times = scan.select(pl.col("open_time").to_physical()).collect().to_series().to_numpy()
        start, stop = _places(times, self.start_ms, self.stop_ms)
        first = max(0, start - n_lead)
        first_ms = int(times[first]) if first < len(times) else None
        return scan.slice(first, stop - first), start - first, first_ms

    def _first_bar(self, n_lead: int) -> int | None:
        """Bar number from which on files hold the range and `n_lead` rows before it; holes may lie between."""
        start = first = self._bar_from(self.start_ms)
        for file in reversed(self.snapshot.files("features", self._key, version=self.version, stop=start)):
            if start is None or (n_lead <= 0 and file.stop <= start):
                break
            first = file.start
            n_lead -= file.n_rows if file.stop <= start else 0  # the file that holds `start` may begin with it
        return first

    def _bar_from(self, ms: int | None) -> int | None:
        """Number of the first bar that opens at an instant or later."""
        return None if ms is None else self.series.grid.bar_number(ms - 1) + 1

    def _longer(self, context: Interval, first_ms: int | None) -> pl.LazyFrame:
        """Rows of a longer interval that the range can see."""
        first = None if first_ms is None else context.bar_number(first_ms) - MAX_AGE
        stop = None if self.stop_ms is None else context.bar_number(self.stop_ms) + 1
        key = SeriesKey(*in_interval(self.series, context).key)
        return self.snapshot.scan("features", key, version=self.version, start=first, stop=stop)

    def _stored(self, *, start: int | None = None, stop: int | None = None) -> pl.LazyFrame:
        return self.snapshot.scan("features", self._key, version=self.version, start=start, stop=stop)

    @property
    def _key(self) -> SeriesKey:
        return SeriesKey(*self.series.key)


def _longer_series(series: Series, context: Interval) -> Series:
    require_longer(series.grid, context)
    return in_interval(series, context)


def _places(times: np.ndarray, start_ms: int | None, stop_ms: int | None) -> tuple[int, int]:
    """Half-open range of the rows between two instants."""
    start = 0 if start_ms is None else int(np.searchsorted(times, start_ms))
    stop = len(times) if stop_ms is None else int(np.searchsorted(times, stop_ms))
    return start, max(start, stop)


def _ms(time: Time) -> int | None:
    if time is None:
        return None
    if isinstance(time, str):
        try:
            time = datetime.fromisoformat(time.strip())
        except ValueError:
            raise CallError(f"{time!r} is no time. Write it as 2024-01-31 or 2024-01-31T12:00 (UTC).") from None
        time = time if time.tzinfo else time.replace(tzinfo=UTC)
    if time.tzinfo is None:
        raise CallError(f"{time.isoformat()} has no time zone. Give one, such as datetime(..., tzinfo=UTC).")
    return (time - _EPOCH) // timedelta(milliseconds=1)


def _keyed(frame: pl.LazyFrame, series: Series) -> pl.LazyFrame:
    return frame.select(
        *(pl.lit(part).alias(name) for name, part in SeriesKey(*series.key)._asdict().items()), pl.all()
    )
