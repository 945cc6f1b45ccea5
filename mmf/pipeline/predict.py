"""A saved run put to use: what its model says of bars that have come since, or of any range."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Self

import numpy as np
import polars as pl

from mmf import model_store
from mmf.bars import Series
from mmf.cards import series_of
from mmf.errors import CallError, DataError
from mmf.pipeline.recent import RecentRows, recent_rows
from mmf.pipeline.refine import FOLDER
from mmf.rows import PHYSICS_TRIO, Rows, stacked, symbol_columns
from mmf.tensor_flex import TensorFlex
from mmf.tensor_flex import load as load_refinery
from mmf.trader import MoneyMachineTrader
from warehouse import SeriesKey, Snapshot, Warehouse


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
    version : str
        Feature version that it reads, such as `core@v1`, as the warehouse calls it in which it was trained.
    """

    card: dict[str, Any]
    trader: MoneyMachineTrader
    flex: TensorFlex | None
    threshold: float
    version: str

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
            said = {name: card[name] for name in ("run_id", "definition_hash")}
            version = card["table_state"].partition("@S")[0]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DataError(
                f"{folder} holds no run whose card is readable ({error!r}). See the runs: mmf runs list"
            ) from error
        model = model_store.load(folder / "model")
        if {name: model.extra.get(name) for name in said} != said:
            raise DataError(f"the model in {folder} belongs to another run than its card says. Train again.")
        stored = load_refinery(folder / FOLDER) if has_refinery else None
        if stored and (
            stored.identity.table_state != card["table_state"]
            or (*stored.flex.names("full_latents"), *symbol_columns(model.trader.symbols_))
            != model.trader.views_.get("latents")
        ):
            raise DataError(f"the refinery in {folder} belongs to another run than its card says. Train again.")
        return cls(card, model.trader, stored and stored.flex, float(model.extra["threshold"]), version)

    def named_by(self, warehouse: Warehouse, /) -> Self:
        """Return the run with its feature version as a warehouse calls it: numbers are per warehouse, hashes are not.

        Raises
        ------
        DataError
            The warehouse holds nothing of these definitions.
        """
        set_name, wanted = self.version.partition("@")[0], self.card["definition_hash"]
        names = [known.name for known in warehouse.versions(set_name) if known.definition_hash == wanted]
        if not names:
            raise DataError(
                f"run {self.card['run_id']} reads features of definitions {wanted[:12]}, and this warehouse has none. "
                f"Run: mmf features build {' '.join(series_of(self.card))} --set {set_name}"
            )
        return replace(self, version=names[-1])

    @property
    def all_series(self) -> tuple[Series, ...]:
        """What it was trained on, ascending by symbol."""
        return tuple(map(Series.parse, series_of(self.card)))

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns of the feature table that it reads."""
        if self.flex is not None:
            return self.flex.columns_
        told_apart = set(symbol_columns(self.trader.symbols_))
        return tuple(name for name in self.trader.columns_ if name not in told_apart)

    @property
    def reach(self) -> int:
        """Earlier bars that a prediction reads."""
        return max(expert.context_bars for expert in self.trader.experts_.values())

    def predict(self, rows: Rows, asked: np.ndarray, /) -> pl.DataFrame:
        """Say what the model says of those rows that are asked for, (n,) bool; see `MoneyMachineTrader.predict`.

        The rows are consecutive ones of each symbol's feature table; the others are only looked back upon.
        """
        refined = (
            rows.select(self.columns) if self.flex is None else self.flex.transform_rows(rows, mode="full_latents")
        )
        return self.trader.predict(refined.take(asked), history=refined)


def predict(
    snapshot: Snapshot,
    run: LoadedRun,
    /,
    *,
    last: int = 1,
    start: datetime | None = None,
    stop: datetime | None = None,
) -> pl.DataFrame:
    """Predict stored bars of all series that a run was trained on.

    Parameters
    ----------
    snapshot : Snapshot
        Whose feature table is read; it is the caller's part to have it up to date.
    run : LoadedRun
        The model.
    last : int
        Newest bars of each series to predict, where neither `start` nor `stop` is given.
    start, stop : datetime, optional
        Half-open range of open_time.

    Returns
    -------
    pl.DataFrame
        One row a bar, by time and symbol: open_time, symbol, close, probability, is_long, is_warm (whether all features
        have their memory behind them), is_padded (whether a network read zeros in place of bars before the first stored
        one), hurst_200, entropy_200, fdi_200, then probability and weight of each expert and model.

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
    recent = _newest(snapshot, run, last) if start is None and stop is None else _between(snapshot, run, start, stop)
    rows, table = _together(recent, run)
    asked = table.filter("is_asked")
    if asked.is_empty():
        names = " ".join(map(str, run.all_series))
        raise DataError(f"{names} has no bar from {start} to {stop} in S{snapshot.id}. See: mmf data status")
    opinions = run.predict(rows, table["is_asked"].to_numpy())
    close = pl.concat([_closes(snapshot, one, asked) for one in run.all_series])
    told = opinions.with_columns(
        asked["symbol"],
        (pl.col("probability") > run.threshold).alias("is_long"),
        asked["is_warm"],
        *(asked[name] for name in PHYSICS_TRIO),
    ).join(close, on=("open_time", "symbol"), how="left", maintain_order="left")
    leading = ("open_time", "symbol", "close", "probability", "is_long", "is_warm", "is_padded", *PHYSICS_TRIO)
    return told.select(*leading, pl.exclude(*leading))


# ------------------------------------------------------------------------------------


def _between(snapshot: Snapshot, run: LoadedRun, start: datetime | None, stop: datetime | None) -> list[RecentRows]:
    settings = {"reach": run.reach, "start": start, "stop": stop}
    return [recent_rows(snapshot, one, run.version, run.columns, **settings) for one in run.all_series]


def _newest(snapshot: Snapshot, run: LoadedRun, last: int) -> list[RecentRows]:
    """Newest rows of each series; where one is behind, those of the others reach back as far: it listens to them."""
    settings = {"reach": run.reach, "last": last}
    newest = [recent_rows(snapshot, one, run.version, run.columns, **settings) for one in run.all_series]
    asked = [one.asked_from for one in newest]
    if len(set(asked)) == 1:
        return newest
    wide = _between(snapshot, run, min(asked), None)
    return [one.asked_since(first) for one, first in zip(wide, asked, strict=True)]


def _together(recent: Sequence[RecentRows], run: LoadedRun) -> tuple[Rows, pl.DataFrame]:
    """Rows and table of all series, by time and symbol."""
    symbols = tuple(one.symbol for one in run.all_series)
    rows = stacked([_rows(one, run.columns, name).among(symbols) for one, name in zip(recent, symbols, strict=True)])
    named = [one.table.with_columns(symbol=pl.lit(name)) for one, name in zip(recent, symbols, strict=True)]
    return rows, named[0] if len(named) == 1 else pl.concat(named).sort("open_time", "symbol")


def _rows(recent: RecentRows, columns: tuple[str, ...], symbol: str) -> Rows:
    nothing = np.full(len(recent.x), np.nan), np.zeros(len(recent.x), np.int64)
    times = recent.table["open_time"].to_physical().to_numpy()
    return Rows(times, recent.x, columns, *nothing, symbols=(symbol,))


def _closes(snapshot: Snapshot, series: Series, asked: pl.DataFrame) -> pl.DataFrame:
    """open_time, symbol and close of the bars asked about."""
    first, newest = (int(asked["open_time"].to_physical()[place]) for place in (0, -1))
    numbers = {"start": series.grid.bar_number(first), "stop": series.grid.bar_number(newest) + 1}
    bars = snapshot.scan("bars", SeriesKey(*series.key), **numbers).select("open_time", "close").collect()
    return bars.select("open_time", pl.lit(series.symbol).alias("symbol"), "close")
