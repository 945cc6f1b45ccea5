"""Bars from files on disk: CSV, Parquet, Feather and zips of CSV, as exchanges and other tools write them."""

import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from mmf.bars import BAR_SCHEMA, Interval, Series
from mmf.errors import CallError, DataError
from mmf.markets.file_columns import TimeUnit, to_rows
from mmf.markets.file_tables import list_files, read_tables
from mmf.markets.source import Batch

_FEW_STEPS = 5

_SYMBOL, _STEP = r"(?P<symbol>[A-Z0-9]{2,}(?:_[A-Z0-9]{2,})*)", r"(?P<interval>\d{1,5}[mhdw]?|D|W)"
_FILE_NAMES = tuple(
    re.compile(pattern)
    for pattern in (
        rf"(?P<exchange>[a-z][a-z0-9]*)_(?P<category>[a-z]+)_{_SYMBOL}_{_STEP}",
        rf"(?:[a-z]+-)*{_SYMBOL}-{_STEP}-\d{{4}}-\d{{2}}(?:-\d{{2}})?",
        rf"{_SYMBOL}[-_]{_STEP}(?:-futures|-spot)?",
    )
)


@dataclass(frozen=True)
class FileFormat:
    """What a file does not tell about itself; None leaves it to be recognised.

    Attributes
    ----------
    columns : mapping or None
        Column of the file -> open_time, open, high, low, close, volume, turnover or symbol. Columns of a file
        without header are called "1", "2", ..., except where there are 6, 7 or 12 of them, which then are read
        as OHLCV, as Bybit and as Binance order them.
    time_unit : {"s", "ms", "us", "ns"} or None
        Unit of numeric times.
    has_header : bool or None
        Whether the first line of a CSV names its columns.
    """

    columns: Mapping[str, str] | None = None
    time_unit: TimeUnit | None = None
    has_header: bool | None = None


class FileSource:
    """Files as a source of bars.

    Parameters
    ----------
    paths : sequence of Path
        Files, or directories that stand for the known files right in them.
    file_format : FileFormat
        What the files do not tell about themselves.
    drop_last : bool
        Leave out the newest bar of each table: for dumps of an exchange's answer whose last bar was forming
        and which were copied since, so that their modification time no longer tells.
    now_ms : callable
        The clock, in ms since 1970.

    Notes
    -----
    A bar counts as closed where it closed before its file was last modified, and before now: a modification time may
    lie in the future. For a member of a zip it is the modification time of the zip: the members' own times carry no
    time zone.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        *,
        file_format: FileFormat = FileFormat(),
        drop_last: bool = False,
        now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        self.paths = paths
        self.file_format = file_format
        self.drop_last = drop_last
        self.now_ms = now_ms

    def batches(self, series: Series, wanted: Sequence[tuple[int, int]], /) -> Iterator[Batch]:
        """Yield one batch for each file, or each member of a zip; `wanted` is not looked at.

        Raises
        ------
        CallError
            A path does not exist or is of no known kind, or the format names a column that is not there.
        DataError
            A file cannot be read, its columns or time unit are not clear, it has no row of the symbol, or its
            bars are of another interval.
        """
        del wanted  # a file is read whole in any case, and merging finds what is new
        for path in list_files(self.paths):
            for table in read_tables(path, has_header=self.file_format.has_header):
                rows = to_rows(
                    table.columns,
                    name=table.name,
                    columns=self.file_format.columns,
                    time_unit=self.file_format.time_unit,
                )
                if rows.is_empty():
                    raise DataError(f"{table.name} has no rows. Fetch it again, or leave it out.")
                rows = _of_symbol(rows, series.symbol, table.name)
                _check_interval(rows, series.grid, table.name)
                if self.drop_last:
                    rows = rows.filter(pl.col("open_time").ne_missing(pl.col("open_time").max()))
                now_ms = self.now_ms()
                yield Batch(
                    series=series,
                    rows=rows.select(*BAR_SCHEMA, "row", "reason"),
                    source=f"file:{table.name}",
                    fetched_at_ms=now_ms,
                    closed_before_ms=min(path.stat().st_mtime_ns // 1_000_000, now_ms),
                )


def guess_series(path: Path, /) -> dict[str, str]:
    """Return the parts of a series that a file name tells: exchange, category, symbol, interval, or fewer.

    Examples
    --------
    >>> guess_series(Path("BTCUSDT-1h-2024-10-28.zip"))
    {'symbol': 'BTCUSDT', 'interval': '60'}
    >>> guess_series(Path("my_klines.csv"))
    {}
    """
    for pattern in _FILE_NAMES:
        if match := pattern.fullmatch(path.name.partition(".")[0]):
            try:
                interval = Interval.parse(match["interval"]).name
            except CallError:
                return {}
            return match.groupdict() | {"symbol": _joined(match["symbol"]), "interval": interval}
    return {}


# ------------------------------------------------------------------------------------


def _joined(symbol: str) -> str:
    """BTC_USDT_USDT (base, quote, settled in) and BTC_USDT as exchanges write them: BTCUSDT."""
    return "".join(symbol.split("_")[:2])


def _of_symbol(rows: pl.DataFrame, symbol: str, table: str) -> pl.DataFrame:
    """Rows of the symbol asked; a row that does not tell its symbol is kept and marked."""
    if rows["symbol"].is_null().all():
        return rows
    # BTC/USDT:USDT names what it is settled in after the colon
    plain = pl.col("symbol").str.to_uppercase().str.replace(":.*", "").str.replace_all("[^A-Z0-9]", "")
    is_asked = plain == symbol.replace("_", "").replace("-", "")
    if not rows.select(is_asked.any()).item():
        names = rows["symbol"].drop_nulls().unique(maintain_order=True)
        listed = ", ".join(name[:40] for name in names.head(10))
        raise DataError(f"{table} has no row of {symbol}; its symbols are {listed}. Ask for one of them.")
    unknown = pl.when(pl.col("symbol").is_null()).then(pl.lit("no symbol"))
    return rows.filter(is_asked | pl.col("symbol").is_null()).with_columns(
        pl.coalesce("reason", unknown).alias("reason")
    )


def _check_interval(rows: pl.DataFrame, grid: Interval, table: str) -> None:
    """Raise where bars plainly lie at another distance than the interval asked.

    Neither the median nor the commonest step may be the interval: a market where most minutes have no trade has
    a long median, and a file of few bars may be mostly holes.
    """
    times = rows.filter(pl.col("reason").is_null())["open_time"].drop_nulls().unique().sort()
    steps = np.diff(times.dt.epoch("ms").to_numpy())
    if len(steps) == 0:
        return
    values, counts = np.unique(steps, return_counts=True)
    commonest = int(values[counts.argmax()])
    is_few_with_holes = len(steps) < _FEW_STEPS and not (steps % grid.ms).any()
    if grid.ms in (commonest, np.median(steps)) or is_few_with_holes:
        return
    raise DataError(
        f"{table} does not hold bars of interval {grid.name}: they lie {_span(commonest)} apart. "
        "Ask for that interval, or give another file."
    )


def _span(step_ms: int) -> str:
    minutes, rest = divmod(step_ms, 60_000)
    text = f"{step_ms / 60_000:.6g} minutes"
    try:
        return text if rest else f"{text} (interval {Interval.parse(f'{minutes}m').name})"
    except CallError:
        return text
