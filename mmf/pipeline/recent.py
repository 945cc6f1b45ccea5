"""The newest rows of a feature table, or those of a range, and before them those that networks look back upon."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Self

import numpy as np
import polars as pl

from mmf.bars import Series
from mmf.features.lags import split_lag
from mmf.pipeline.scan import scan_features
from mmf.rows import PHYSICS_TRIO
from warehouse import SeriesKey, Snapshot

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class RecentRows:
    """Consecutive stored rows of one series.

    Attributes
    ----------
    table : pl.DataFrame
        open_time, hurst_200, entropy_200, fdi_200, is_warm, and is_asked: false where only looked back upon.
    x : np.ndarray
        (n, p) float32 of the columns, lagged ones among them; NaN where undefined.
    """

    table: pl.DataFrame
    x: np.ndarray

    @property
    def asked_from(self) -> datetime:
        """open_time of the first row asked for, where there is one."""
        return self.table.filter("is_asked")["open_time"][0]

    def asked_since(self, first: datetime, /) -> Self:
        """Return the rows with those from a time on asked for."""
        return replace(self, table=self.table.with_columns(is_asked=pl.col("open_time") >= first))


def recent_rows(
    snapshot: Snapshot,
    series: Series,
    version: str,
    columns: tuple[str, ...],
    /,
    *,
    reach: int,
    last: int = 1,
    start: datetime | None = None,
    stop: datetime | None = None,
) -> RecentRows:
    """Read rows and as many before them as are looked back upon.

    Lags are cut out of one array here: a few rows of a thousand lazy columns take longer to plan than to read.

    Parameters
    ----------
    snapshot, series, version
        See `mmf.pipeline.scan.scan_features`.
    columns : tuple of str
        Such as `rsi_14`, `rsi_14_lag_3`, `rsi_14_ctx_240`.
    reach : int
        Rows before the first one asked for; fewer where there are not as many.
    last : int
        Newest rows, where neither `start` nor `stop` is given.
    start, stop : datetime, optional
        Half-open range of open_time.
    """
    sources = {name: split_lag(name) for name in columns}
    max_lag = max((lag for _, lag in sources.values()), default=0)
    read = tuple(dict.fromkeys([*(base for base, _ in sources.values()), *PHYSICS_TRIO, "is_warm"]))
    table, n_asked = _read(snapshot, series, version, read, n_before=reach + max_lag, last=last, start=start, stop=stop)
    n = min(table.height, n_asked + reach)
    bases = list(dict.fromkeys(base for base, _ in sources.values()))
    padded = np.full((n + max_lag, len(bases)), np.nan, np.float32)
    values = table.select(pl.col(bases).fill_null(np.nan)).tail(n + max_lag).to_numpy()
    padded[len(padded) - len(values) :] = values
    place = {base: j for j, base in enumerate(bases)}
    x = np.empty((n, len(columns)), np.float32)
    for lag in {lag for _, lag in sources.values()}:
        there = [j for j, name in enumerate(columns) if sources[name][1] == lag]
        from_base = [place[sources[columns[j]][0]] for j in there]
        x[:, there] = padded[max_lag - lag : max_lag - lag + n, from_base]
    asked = (pl.int_range(pl.len()) >= n - n_asked).alias("is_asked")
    return RecentRows(table.tail(n).select("open_time", *PHYSICS_TRIO, "is_warm", asked), x)


# ------------------------------------------------------------------------------------


def _read(
    snapshot: Snapshot,
    series: Series,
    version: str,
    columns: tuple[str, ...],
    *,
    n_before: int,
    last: int,
    start: datetime | None,
    stop: datetime | None,
) -> tuple[pl.DataFrame, int]:
    """Return rows with `n_before` or more before those asked for, as far as they are stored, and how many are asked."""
    files = snapshot.files("features", SeriesKey(*series.key), version=version)
    grid = series.grid
    first_stored = grid.open_time_ms(files[0].start) if files else 0
    is_range = start is not None or stop is not None
    begins = first_stored if start is None else _ms(start)
    if not is_range and files:  # a file's range may reach beyond the newest bar: its rows are what is there
        begins = grid.open_time_ms(files[-1].start + files[-1].n_rows - last)
    margin = n_before + 1
    while True:  # holes make a stretch of time hold fewer rows than slots: look further back
        from_ms = max(first_stored, begins - margin * grid.ms)
        table = scan_features(snapshot, series, version, columns=columns, start=_time(from_ms), stop=stop).collect()
        n_asked = table.filter(pl.col("open_time") >= _time(begins)).height if is_range else min(last, table.height)
        if table.height >= n_asked + n_before or from_ms == first_stored:
            return table, n_asked
        margin *= 4


def _ms(time: datetime) -> int:
    return (time - _EPOCH) // timedelta(milliseconds=1)


def _time(ms: int) -> datetime:
    return _EPOCH + timedelta(milliseconds=ms)
