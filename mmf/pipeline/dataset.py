"""Learning rows from a pinned table state: features, their lags and labels."""

from dataclasses import dataclass

import numpy as np
import polars as pl

from mmf.bars import DAY_MS, Series
from mmf.errors import DataError
from mmf.features.lags import LAGS, lag_columns, lagged
from mmf.labels import LabelConfig, make_labels
from mmf.pipeline.tables import stored_bars
from mmf.rows import PHYSICS_TRIO, Rows
from warehouse import SeriesKey, Snapshot

FIRST_ROW = 413  # two windows of 200 and the largest lag: before it most columns are null
MIN_ROWS = 2_000


@dataclass(frozen=True)
class Dataset:
    """Rows of one series with what surrounds them.

    Attributes
    ----------
    rows : Rows
        Base columns and lags, labels null where the horizon is not over.
    bars : pl.DataFrame
        open_time, close and forward_return of the same rows.
    n_cold : int
        Rows among them that do not have every column's memory behind them.
    n_missing_bars : int
        Holes between the first and the last of them.
    """

    series: Series
    rows: Rows
    bars: pl.DataFrame
    n_cold: int
    n_missing_bars: int


def load_dataset(
    snapshot: Snapshot,
    series: Series,
    /,
    *,
    version: str,
    base_columns: tuple[str, ...],
    label: LabelConfig,
    lags: tuple[int, ...] = LAGS,
    days: int | None = None,
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
    days : int, optional
        Length of the range, counted back from the newest bar. All by default.

    Raises
    ------
    DataError
        The physics trio is not among the columns, the version holds no rows of the series, or fewer than 2,000 rows
        are left.
    """
    _require_trio(base_columns, series)
    features = _features(snapshot, series, version, base_columns, lags)
    table = _labelled(stored_bars(snapshot, series), features, series, label)
    table = table.slice(_first_row(table, days))
    if table.height < MIN_ROWS:
        raise DataError(
            f"{series} leaves {table.height} rows after the first {FIRST_ROW}, and training needs {MIN_ROWS}. "
            "Bring in more bars (mmf ingest) or ask for more --days."
        )
    columns = lag_columns(base_columns, lags)
    is_warm = table["is_warm"] & table["is_warm_at_lag"].fill_null(value=False)
    return Dataset(
        series=series,
        rows=Rows(
            open_time_ms=table["open_time"].to_physical().to_numpy(),
            x=table.select(pl.col(columns).fill_null(np.nan)).to_numpy(order="c"),
            columns=columns,
            label=table["label"].cast(pl.Float64).fill_null(np.nan).to_numpy(),
            label_end_ms=table["label_end"].to_physical().to_numpy(),
        ),
        bars=table.select("open_time", "close", "forward_return"),
        n_cold=int((~is_warm).sum()),
        n_missing_bars=_n_missing(table, series),
    )


# ------------------------------------------------------------------------------------


def _require_trio(base_columns: tuple[str, ...], series: Series) -> None:
    if absent := [name for name in PHYSICS_TRIO if name not in base_columns]:
        raise DataError(
            f"the gate reads {', '.join(PHYSICS_TRIO)}, and this feature set lacks {', '.join(absent)}. "
            f"Add them with: mmf features build {series} --set core"
        )


def _features(
    snapshot: Snapshot, series: Series, version: str, base_columns: tuple[str, ...], lags: tuple[int, ...]
) -> pl.DataFrame:
    key = SeriesKey(*series.key)
    if not snapshot.files("features", key, version=version):
        raise DataError(
            f"S{snapshot.id} holds no {version} of {series}. Build it with: mmf features build {series} "
            f"--set {version.partition('@')[0]}"
        )
    scan = snapshot.scan("features", key, version=version).with_columns(
        is_warm_at_lag=pl.col("is_warm").shift(max(lags))
    )
    wanted = ("open_time", *lag_columns(base_columns, lags), "is_warm", "is_warm_at_lag")
    return lagged(scan, base_columns, lags=lags).select(wanted).collect()


def _labelled(bars: pl.DataFrame, features: pl.DataFrame, series: Series, label: LabelConfig) -> pl.DataFrame:
    labels = make_labels(bars, interval=series.grid, config=label)
    close = bars.select("open_time", "close")
    table = features.join(labels, on="open_time", how="left", maintain_order="left")
    return table.join(close, on="open_time", how="left", maintain_order="left")


def _first_row(table: pl.DataFrame, days: int | None) -> int:
    if days is None or table.is_empty():
        return FIRST_ROW
    newest_ms = table["open_time"].to_physical()[-1]
    within = int((table["open_time"].to_physical() <= newest_ms - days * DAY_MS).sum())
    return max(FIRST_ROW, within)


def _n_missing(table: pl.DataFrame, series: Series) -> int:
    numbers = table.select(series.grid.bar_number_expr()).to_series()
    return int(numbers[-1] - numbers[0] + 1 - table.height)
