"""Learning rows from a pinned table state: features, their lags and labels."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import polars as pl

from mmf.bars import DAY_MS, Interval, Series
from mmf.errors import DataError
from mmf.features.build import compute_chunk
from mmf.features.context import context_columns, context_name
from mmf.features.lags import LAGS, lag_columns, lag_name, lagged
from mmf.features.registry import FeatureSet
from mmf.labels import LabelConfig, make_labels
from mmf.pipeline.scan import scan_features
from mmf.pipeline.state import in_interval, stored_version
from mmf.pipeline.tables import stored_bars
from mmf.rows import PHYSICS_TRIO, Rows, stacked
from warehouse import SeriesKey, Snapshot
from warehouse.records import time_of

FIRST_DEFINED = 400  # two windows of 200; with the largest lag more, 413, the first row that most columns have
MIN_ROWS = 2_000


@dataclass(frozen=True)
class Dataset:
    """Rows of one series, or of several, with what surrounds them.

    Attributes
    ----------
    series : Series
        Whose rows; the first of several.
    rows : Rows
        Base columns, their lags, then the base columns in each context; labels null where the horizon is not over.
    bars : pl.DataFrame
        open_time, open, high, low, close and forward_return of the same rows, in their order.
    n_cold : int
        Rows among them that do not have every column's memory behind them.
    n_missing_bars : int
        Holes between the first and the last of each series.
    first_read_ms : int
        open_time of the earliest row that their lags read.
    """

    series: Series
    rows: Rows
    bars: pl.DataFrame
    n_cold: int
    n_missing_bars: int
    first_read_ms: int

    def before(self, stop_ms: int, /) -> Self:
        """Return the rows that open before an instant; their labels may be known later."""
        is_before = self.rows.open_time_ms < stop_ms
        return replace(self, rows=self.rows.take(is_before), bars=self.bars.filter(pl.Series(is_before)))

    @property
    def named_bars(self) -> pl.DataFrame:
        """The bars behind a column symbol."""
        if len(self.rows.symbols) == 1:
            return self.bars.select(pl.lit(self.rows.symbols[0]).alias("symbol"), pl.all())
        return self.bars.select(self.rows.symbol_names, pl.all())

    def bars_of(self, code: int, /) -> pl.DataFrame:
        """Return the bars of one symbol."""
        if len(self.rows.symbols) == 1:  # some may have been taken out
            return self.bars
        return self.bars.filter(pl.Series(self.rows.symbol == code))


def join_datasets(datasets: Sequence[Dataset], /) -> Dataset:
    """Return the rows of several series, ascending by symbol, by time and, within, by symbol."""
    if len(datasets) == 1:
        return datasets[0]
    symbols = tuple(one.series.symbol for one in datasets)
    joined = stacked([one.rows.among(symbols) for one in datasets])
    names = pl.Enum(symbols)
    bars = pl.concat([one.named_bars.with_columns(pl.col("symbol").cast(names)) for one in datasets])
    return Dataset(
        series=datasets[0].series,
        rows=joined,
        bars=bars.sort("open_time", "symbol").drop("symbol"),
        n_cold=sum(one.n_cold for one in datasets),
        n_missing_bars=sum(one.n_missing_bars for one in datasets),
        first_read_ms=min(one.first_read_ms for one in datasets),
    )


def load_dataset(
    snapshot: Snapshot,
    series: Series,
    /,
    *,
    version: str,
    base_columns: tuple[str, ...],
    label: LabelConfig,
    lags: tuple[int, ...] = LAGS,
    context: tuple[str, ...] = (),
    days: int | None = None,
    until_ms: int | None = None,
) -> Dataset:
    """Read the learning rows of a series.

    Parameters
    ----------
    snapshot : Snapshot
        The state to read.
    series : Series
        The series to read.
    version : str
        Feature version, such as `core@v1`.
    base_columns : tuple of str
        Columns of that version to read.
    label : LabelConfig
        What is predicted.
    lags : tuple of int
        Lags of each base column, in bars.
    context : tuple of str
        Longer intervals whose base columns stand beside those of the row. They have no lags here: a longer bar spans
        several rows, so most lags of its columns would repeat them.
    days : int, optional
        Length of the range, counted back from the newest bar. All by default.
    until_ms : int, optional
        The open_time that days are counted back from, in place of the newest bar's.

    Raises
    ------
    DataError
        The physics trio is not among the columns, the version holds no rows of the series, or fewer than 2,000 rows
        are left.
    """
    _require_trio(base_columns, series)
    times = stored_times(snapshot, series, version)
    contexts = [Interval.parse(name) for name in context]
    earliest = max([FIRST_DEFINED + max(lags), *(_first_seeing(snapshot, series, version, times, c) for c in contexts)])
    first = _first_row(times, earliest, days, int(times[-1]) if until_ms is None else until_ms)
    if len(times) - first < MIN_ROWS:
        raise DataError(
            f"{series} leaves {max(0, len(times) - first)} rows after the first {earliest}, and training needs "
            f"{MIN_ROWS}. Bring in more bars (mmf ingest) or ask for more --days."
        )
    columns = (*lag_columns(base_columns, lags), *context_columns(base_columns, contexts))
    warm = ("is_warm", lag_name("is_warm", max(lags)), *(context_name("is_warm", context) for context in contexts))
    scan = scan_features(snapshot, series, version, columns=(*columns, *warm), start=time_of(int(times[first])))
    table = _labelled(stored_bars(snapshot, series), scan.collect(), series, label)
    return _dataset(table, series, columns, warm, first_read_ms=int(times[first - max(lags)]))


def compute_dataset(
    bars: pl.DataFrame,
    features: FeatureSet,
    series: Series,
    /,
    *,
    since_ms: int,
    label: LabelConfig,
    lags: tuple[int, ...] = LAGS,
) -> Dataset:
    """Compute the learning rows of bars that no warehouse holds.

    Parameters
    ----------
    bars : pl.DataFrame
        open_time, open, high, low, close, volume, turnover, in order; the features are seeded at the first of them.
    features : FeatureSet
        Base columns.
    series : Series
        What the bars stand for.
    since_ms : int
        open_time of the first row; those before are read by windows and lags only.
    label, lags
        See `load_dataset`.
    """
    _require_trio(features.columns, series)
    columns, warm = lag_columns(features.columns, lags), ("is_warm", lag_name("is_warm", max(lags)))
    base = compute_chunk(features, bars, interval=series.grid, n_own=bars.height)
    table = lagged(base, (*features.columns, "is_warm"), lags=lags).select("open_time", *columns, *warm)
    rows = table.filter(pl.col("open_time").to_physical() >= since_ms).collect(engine="in-memory")
    first = int(np.searchsorted(bars["open_time"].to_physical().to_numpy(), since_ms))
    first_read_ms = int(bars["open_time"].to_physical()[max(0, first - max(lags))])
    return _dataset(_labelled(bars, rows, series, label), series, columns, warm, first_read_ms=first_read_ms)


def stored_times(snapshot: Snapshot, series: Series, version: str, /) -> np.ndarray:
    """Return (n,) open_time in ms of the stored feature rows."""
    scan = snapshot.scan("features", SeriesKey(*series.key), version=stored_version(snapshot, [series], version))
    return scan.select(pl.col("open_time").to_physical()).collect().to_series().to_numpy()


# ------------------------------------------------------------------------------------


def _dataset(
    table: pl.DataFrame, series: Series, columns: tuple[str, ...], warm: tuple[str, ...], *, first_read_ms: int
) -> Dataset:
    is_warm = table.select(pl.all_horizontal(pl.col(warm).fill_null(value=False))).to_series()
    return Dataset(
        series=series,
        rows=Rows(
            open_time_ms=table["open_time"].to_physical().to_numpy(),
            x=table.select(pl.col(columns).fill_null(np.nan)).to_numpy(order="c"),
            columns=columns,
            label=table["label"].cast(pl.Float64).fill_null(np.nan).to_numpy(),
            label_end_ms=table["label_end"].to_physical().to_numpy(),
            symbols=(series.symbol,),
        ),
        bars=table.select("open_time", "open", "high", "low", "close", "forward_return"),
        n_cold=int((~is_warm).sum()),
        n_missing_bars=_n_missing(table, series),
        first_read_ms=first_read_ms,
    )


def _require_trio(base_columns: tuple[str, ...], series: Series) -> None:
    if absent := [name for name in PHYSICS_TRIO if name not in base_columns]:
        raise DataError(
            f"the gate reads {', '.join(PHYSICS_TRIO)}, and this feature set lacks {', '.join(absent)}. "
            f"Use the set core, or add the family chaos to the set in mmf.toml: mmf features build {series} --set NAME"
        )


def _first_seeing(snapshot: Snapshot, series: Series, version: str, times_ms: np.ndarray, context: Interval) -> int:
    """Place of the first row that sees a longer bar with enough bars behind it for most columns."""
    longer_ms = stored_times(snapshot, in_interval(series, context), version)
    if len(longer_ms) <= FIRST_DEFINED:
        return len(times_ms)
    return int(np.searchsorted(times_ms, longer_ms[FIRST_DEFINED] + context.ms - series.grid.ms))


def _first_row(times_ms: np.ndarray, earliest: int, days: int | None, until_ms: int) -> int:
    """Place of the first row that is read: late enough for most columns, and within the days asked for."""
    if days is None:
        return earliest
    return max(earliest, int(np.searchsorted(times_ms, until_ms - days * DAY_MS, side="right")))


def _labelled(bars: pl.DataFrame, features: pl.DataFrame, series: Series, label: LabelConfig) -> pl.DataFrame:
    labels = make_labels(bars, interval=series.grid, config=label)
    prices = bars.select("open_time", "open", "high", "low", "close")
    told = labels.join(prices, on="open_time", how="left", maintain_order="left")
    if taken := sorted(set(features.columns) & set(told.columns) - {"open_time"}):
        # else the feature would stand where the purge looks for the label's end
        raise DataError(f"a feature is called {taken[0]!r}, as a column of the labels is. Rename it, and build again.")
    return features.join(told, on="open_time", how="left", maintain_order="left")


def _n_missing(table: pl.DataFrame, series: Series) -> int:
    numbers = table.select(series.grid.bar_number_expr()).to_series()
    return int(numbers[-1] - numbers[0] + 1 - table.height)
