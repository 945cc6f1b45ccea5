"""A saved run put to use: what its model says of bars that have come since, or of any range."""

import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Self

import numpy as np
import polars as pl

from mmf import model_store
from mmf.bars import Interval, Series
from mmf.errors import CallError, DataError
from mmf.pipeline.refine import FOLDER
from mmf.pipeline.scan import scan_features
from mmf.rows import PHYSICS_TRIO, Rows
from mmf.tensor_flex import TensorFlex
from mmf.tensor_flex import load as load_refinery
from mmf.trader import MoneyMachineTrader
from warehouse import SeriesKey, Snapshot


@dataclass(frozen=True)
class LoadedRun:
    """A finished run, read from its folder once.

    Attributes
    ----------
    card : dict
        Its card.
    trader : MoneyMachineTrader
        As it was fitted.
    flex : TensorFlex or None
        The refinery in front of it.
    threshold : float
        Probability above which a bar is long.
    """

    card: dict[str, Any]
    trader: MoneyMachineTrader
    flex: TensorFlex | None
    threshold: float

    @classmethod
    def load(cls, folder: Path, /) -> Self:
        """Read a run's folder.

        Raises
        ------
        DataError
            The card is absent or not readable, or a file of the model is damaged, foreign or of another run.
        """
        try:
            card = json.loads((folder / "card.json").read_text(encoding="utf-8"))
            has_refinery = card["tensor_flex"] is not None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DataError(
                f"{folder} holds no run whose card is readable ({error!r}). See the runs: mmf runs list"
            ) from error
        model = model_store.load(folder / "model")
        if model.extra.get("run_id") != card["run_id"]:
            raise DataError(f"the model in {folder} belongs to another run than its card says. Train again.")
        flex = load_refinery(folder / FOLDER).flex if has_refinery else None
        return cls(card, model.trader, flex, float(model.extra["threshold"]))

    @property
    def series(self) -> Series:
        """What it was trained on."""
        return Series.parse(self.card["series"])

    @property
    def version(self) -> str:
        """Feature version that it reads, such as `core@v1`."""
        return self.card["table_state"].partition("@S")[0]

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns of the feature table that it reads."""
        return self.trader.columns_ if self.flex is None else self.flex.columns_

    @property
    def reach(self) -> int:
        """Earlier bars that a prediction reads."""
        return max(expert.context_bars for expert in self.trader.experts_.values())

    def predict(self, rows: Rows, /) -> pl.DataFrame:
        """Say what the model says of consecutive rows of the feature table; see `MoneyMachineTrader.predict`."""
        refined = (
            rows.select(self.columns) if self.flex is None else self.flex.transform_rows(rows, mode="full_latents")
        )
        return self.trader.predict(refined)


def predict(
    snapshot: Snapshot,
    run: LoadedRun,
    /,
    *,
    last: int = 1,
    start: datetime | None = None,
    stop: datetime | None = None,
) -> pl.DataFrame:
    """Predict stored bars of the series that a run was trained on.

    Parameters
    ----------
    snapshot : Snapshot
        Whose feature table is read; it is the caller's part to have it up to date.
    run : LoadedRun
        The model.
    last : int
        Newest bars to predict, where neither `start` nor `stop` is given.
    start, stop : datetime, optional
        Half-open range of open_time.

    Returns
    -------
    pl.DataFrame
        One row a bar: open_time, symbol, close, probability, is_long, is_warm (whether all features have their memory
        behind them), is_padded (whether a network read zeros in place of bars before the first stored one), hurst_200,
        entropy_200, fdi_200, then probability and weight of each expert and model.

    Raises
    ------
    CallError
        `last` is not a count, or the range is empty.
    DataError
        The snapshot holds no such version of the series, or no bar of the range.

    Notes
    -----
    Only the bars asked for are read, and before them as many as the networks look back upon: a prediction takes as long
    after ten years as after one.
    """
    if last < 1 or (start is not None and stop is not None and start >= stop):
        raise CallError(f"last {last}, {start} to {stop}: ask for one bar at least.")
    key = SeriesKey(*run.series.key)
    table = _read(snapshot, run, last=last, start=start, stop=stop)
    asked = table.filter(pl.col("is_asked"))
    if asked.is_empty():
        raise DataError(f"{run.series} has no bar from {start} to {stop} in S{snapshot.id}. See: mmf data status")
    opinions = run.predict(_rows(table, run.columns)).filter(table["is_asked"])
    first, newest = asked["open_time"][0], asked["open_time"][-1]
    grid = run.series.grid
    numbers = {"start": grid.bar_number(_ms(first)), "stop": grid.bar_number(_ms(newest)) + 1}
    close = snapshot.scan("bars", key, **numbers).select("open_time", "close").collect()
    told = opinions.with_columns(
        pl.lit(run.series.symbol).alias("symbol"),
        (pl.col("probability") > run.threshold).alias("is_long"),
        asked["is_warm"],
        *(asked[name] for name in PHYSICS_TRIO),
    ).join(close, on="open_time", how="left", maintain_order="left")
    leading = ("open_time", "symbol", "close", "probability", "is_long", "is_warm", "is_padded", *PHYSICS_TRIO)
    return told.select(*leading, pl.exclude(*leading))


# ------------------------------------------------------------------------------------


def _read(
    snapshot: Snapshot, run: LoadedRun, *, last: int, start: datetime | None, stop: datetime | None
) -> pl.DataFrame:
    """The rows asked for and those before them that the networks read, as far as they are stored."""
    files = snapshot.files("features", SeriesKey(*run.series.key), version=run.version)
    grid = run.series.grid
    first_stored = grid.open_time_ms(files[0].start) if files else 0
    is_range = start is not None or stop is not None
    begins = first_stored if start is None else _ms(start)
    if not is_range and files:
        begins = grid.open_time_ms(files[-1].stop) - last * grid.ms
    margin = run.reach + 1
    while True:  # holes make a stretch of time hold fewer rows than slots: look further back
        from_ms = max(first_stored, begins - margin * grid.ms)
        table = _scan(snapshot, run, from_ms, stop, grid)
        n_asked = table.filter(pl.col("open_time") >= _time(begins)).height if is_range else min(last, table.height)
        if table.height >= n_asked + run.reach or from_ms == first_stored:
            break
        margin *= 4
    place = pl.int_range(pl.len()) >= table.height - n_asked
    return table.with_columns(is_asked=place).tail(n_asked + run.reach)


def _scan(snapshot: Snapshot, run: LoadedRun, from_ms: int, stop: datetime | None, grid: Interval) -> pl.DataFrame:
    columns = dict.fromkeys([*run.columns, *PHYSICS_TRIO, "is_warm"])
    bounds = {"start": _time(from_ms - grid.ms), "stop": stop}
    table = scan_features(snapshot, run.series, run.version, columns=list(columns), **bounds).collect()
    return table.filter(pl.col("open_time") >= _time(from_ms))


def _rows(table: pl.DataFrame, columns: tuple[str, ...]) -> Rows:
    nothing = np.full(table.height, np.nan), np.zeros(table.height, np.int64)
    x = table.select(pl.col(columns).fill_null(np.nan)).to_numpy(order="c")
    return Rows(table["open_time"].to_physical().to_numpy(), x, columns, *nothing)


def _ms(time: datetime) -> int:
    return int(time.timestamp() * 1000)


def _time(ms: int) -> datetime:
    return _EPOCH + timedelta(milliseconds=ms)


_EPOCH = datetime.fromisoformat("1970-01-01T00:00:00+00:00")
