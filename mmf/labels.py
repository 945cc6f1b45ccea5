"""What is predicted: whether a series rises enough within the horizon, told by time and never by row."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import polars as pl

from mmf.bars import Interval
from mmf.errors import CallError, DataError


@dataclass(frozen=True, kw_only=True)
class LabelConfig:
    """What counts as a rise.

    Attributes
    ----------
    kind : {"hurdle", "triple_barrier"}
        `hurdle`: the return over the horizon exceeds `hurdle`. `triple_barrier`: the take-profit price is touched
        within the horizon, and before the stop-loss price.
    horizon : int
        Intervals, counted from the close of the row's bar.
    hurdle : float
        A return, 0.005 for half a per cent.
    barrier : {"percent", "atr"}
        Whether barriers stand at a share of the close or at multiples of the column `atr_14`.
    take_profit, stop_loss : float
        Distances of the barriers as shares of the close.
    take_profit_atr, stop_loss_atr : float
        The same as multiples of `atr_14`.
    """

    kind: Literal["hurdle", "triple_barrier"] = "hurdle"
    horizon: int = 36
    hurdle: float = 0.005
    barrier: Literal["percent", "atr"] = "percent"
    take_profit: float = 0.02
    stop_loss: float = 0.01
    take_profit_atr: float = 2.5
    stop_loss_atr: float = 1.0

    def __post_init__(self) -> None:
        if self.kind not in {"hurdle", "triple_barrier"}:
            raise CallError(f"label kind {self.kind!r} is unknown. Use hurdle or triple_barrier.")
        if self.barrier not in {"percent", "atr"}:
            raise CallError(f"label barrier {self.barrier!r} is unknown. Use percent or atr.")
        if self.horizon < 1:
            raise CallError(f"label horizon {self.horizon} looks at no future bar. Use 1 interval or more.")
        for name in ("take_profit", "stop_loss", "take_profit_atr", "stop_loss_atr"):
            if getattr(self, name) <= 0:
                raise CallError(f"label {name} is {getattr(self, name)}. Use a distance above 0.")


def make_labels(bars: pl.DataFrame, /, *, interval: Interval, config: LabelConfig) -> pl.DataFrame:
    """Label each bar with what the price does within the horizon after its close.

    Parameters
    ----------
    bars : pl.DataFrame
        Columns open_time, high, low and close of one series, sorted and unique by open_time; `atr_14` (price units)
        where the barriers are multiples of it.
    interval : Interval
        Length of the bars.
    config : LabelConfig
        What counts as a rise.

    Returns
    -------
    pl.DataFrame
        One row for each bar, in order: open_time; label (Float64: 1, 0 or null); forward_return (Float64, from this
        close to the close at open_time + horizon intervals, null where that bar is absent); label_end (the close
        time of that bar, by which the label is known whatever happens).

    Raises
    ------
    DataError
        The bars are not in order, or `atr_14` is needed and absent.

    Notes
    -----
    A hurdle label is null where the bar at the end of the horizon is absent. A triple-barrier label walks the bars
    that are stored within the horizon (while an exchange is down no barrier can be touched), stop first where one
    bar touches both, 0 where neither is touched; it is null where the last stored bar lies before the end of the
    horizon, even if a barrier was touched already: else the last rows would hold the quick outcomes only. Where
    `atr_14` is null so is the label.

    References
    ----------
    M. Lopez de Prado, Advances in Financial Machine Learning, 2018, chapter 3 (triple barrier).
    """
    _check_order(bars)
    horizon = pl.duration(milliseconds=config.horizon * interval.ms)
    ends = bars.select(pl.col("open_time").alias("end"), pl.col("close").alias("close_at_end"))
    joined = bars.with_columns(end=(pl.col("open_time") + horizon).cast(bars.schema["open_time"])).join(
        ends, on="end", how="left", maintain_order="left"
    )
    forward_return = (pl.col("close_at_end") / pl.col("close") - 1).alias("forward_return")
    match config.kind:
        case "hurdle":
            label = (forward_return > config.hurdle).cast(pl.Float64)
        case "triple_barrier":
            label = pl.lit(_triple_barrier(bars, interval, config))
    return joined.select(
        "open_time",
        label.alias("label"),
        forward_return,
        (pl.col("end") + pl.duration(milliseconds=interval.ms)).cast(bars.schema["open_time"]).alias("label_end"),
    )


# ------------------------------------------------------------------------------------


def _check_order(bars: pl.DataFrame) -> None:
    steps = bars["open_time"].diff().drop_nulls().dt.total_milliseconds()
    if (steps <= 0).any():
        place = int((steps <= 0).arg_max() or 0) + 1
        raise DataError(
            f"bars to label go back in time at row {place} ({bars['open_time'][place]}). "
            "Sort one series by open_time, each once."
        )


def _triple_barrier(bars: pl.DataFrame, interval: Interval, config: LabelConfig) -> pl.Series:
    """Walk all rows forward together, one interval at a time, on a grid whose holes touch nothing."""
    if bars.is_empty():
        return pl.Series([], dtype=pl.Float64)
    number = bars.select(interval.bar_number_expr()).to_series().to_numpy()
    place = number - number[0]
    n_slots = place[-1] + 1
    high, low = (_on_grid(bars[name], place, n_slots + config.horizon) for name in ("high", "low"))
    upper, lower = (barrier.to_numpy() for barrier in _barriers(bars, config))
    label = np.zeros(len(bars))
    is_open = np.ones(len(bars), bool)
    for k in range(1, config.horizon + 1):
        is_stopped = low[place + k] <= lower
        is_taken = high[place + k] >= upper
        label[is_open & is_taken & ~is_stopped] = 1.0
        is_open &= ~(is_stopped | is_taken)
    is_unknown = (place + config.horizon >= n_slots) | np.isnan(upper)
    return pl.Series(np.where(is_unknown, np.nan, label)).fill_nan(None)


def _on_grid(values: pl.Series, place: np.ndarray, n_slots: int) -> np.ndarray:
    grid = np.full(n_slots, np.nan)
    grid[place] = values.to_numpy()
    return grid


def _barriers(bars: pl.DataFrame, config: LabelConfig) -> tuple[pl.Series, pl.Series]:
    close = bars["close"]
    if config.barrier == "percent":
        return close * (1 + config.take_profit), close * (1 - config.stop_loss)
    if "atr_14" not in bars.columns:
        raise DataError(
            f"barriers in multiples of the average true range need a column atr_14; these bars have "
            f"{', '.join(bars.columns)}. Join it from the feature set `core`, or use barrier='percent'."
        )
    atr = bars["atr_14"].cast(pl.Float64)
    return close + config.take_profit_atr * atr, close - config.stop_loss_atr * atr
