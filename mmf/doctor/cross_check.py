"""Two accounts of the same market, held against each other: two sources, or two intervals of one source."""

from dataclasses import dataclass

import polars as pl

from mmf.bars import BAR_SCHEMA, VALUE_COLUMNS, Interval
from mmf.errors import CallError

DIFFERENCE_SCHEMA: dict[str, pl.DataType] = {
    "open_time": BAR_SCHEMA["open_time"],
    "column": pl.String(),
    "left": pl.Float64(),
    "right": pl.Float64(),
}


@dataclass(frozen=True)
class CrossCheck:
    """What `cross_check` found, on the grid of the coarser side.

    Attributes
    ----------
    interval : Interval
        That grid.
    n_compared : int
        Bars that both sides hold.
    n_partial : int
        Bars of the coarser side of which the finer one holds only a part; they are not compared.
    differences : pl.DataFrame
        open_time, column, left, right: one row for each number that differs.
    only_left, only_right : pl.Series
        open_time of bars that one side lacks altogether, within the time that both cover.
    """

    interval: Interval
    n_compared: int
    n_partial: int
    differences: pl.DataFrame
    only_left: pl.Series
    only_right: pl.Series


def resample(bars: pl.DataFrame, /, *, interval: Interval, to: Interval) -> pl.DataFrame:
    """Join bars to a coarser interval.

    Parameters
    ----------
    bars : pl.DataFrame
        `BAR_SCHEMA`, sorted by open_time.
    interval, to : Interval
        Theirs, and a multiple of it.

    Returns
    -------
    pl.DataFrame
        `BAR_SCHEMA` and n_bars (Int64), how many bars each was made of; complete where that is `to.ms // interval.ms`.
        Turnover is null where any part of it is.

    Raises
    ------
    CallError
        `to` is no multiple of `interval`.
    """
    if to.ms % interval.ms:
        raise CallError(f"bars of {interval.name} do not fit into bars of {to.name}. Choose a multiple.")
    turnover = pl.when(pl.col("turnover").null_count() == 0).then(pl.col("turnover").sum())
    joined = bars.group_by(to.bar_number_expr(), maintain_order=True).agg(
        pl.col("open").first(),
        pl.col("high").max(),
        pl.col("low").min(),
        pl.col("close").last(),
        pl.col("volume").sum(),
        turnover.alias("turnover"),
        pl.len().cast(pl.Int64).alias("n_bars"),
    )
    open_time = (pl.col("bar_number") * to.ms + to.anchor_ms).cast(BAR_SCHEMA["open_time"])
    return joined.select(open_time.alias("open_time"), *VALUE_COLUMNS, "n_bars")


def cross_check(
    left: pl.DataFrame,
    right: pl.DataFrame,
    /,
    *,
    intervals: tuple[Interval, Interval],
    tolerance: float = 1e-9,
) -> CrossCheck:
    """Compare two frames of bars number by number.

    Parameters
    ----------
    left, right : pl.DataFrame
        `BAR_SCHEMA`, sorted by open_time.
    intervals : (Interval, Interval)
        Of left and right; one a multiple of the other. The finer side is resampled first.
    tolerance : float
        Relative difference up to which volume and turnover count as equal, since sums of parts round differently;
        prices must be equal. A null turnover is not compared.
    """
    grid = max(intervals, key=lambda interval: interval.ms)
    sides = [_on_grid(side, own, grid) for side, own in zip((left, right), intervals, strict=True)]
    left, right = (side.select(*BAR_SCHEMA, "is_whole") for side in sides)
    left, right = _within(left, right), _within(right, left)
    both = left.join(right, on="open_time", suffix="_right", maintain_order="left")
    whole = both.filter("is_whole", "is_whole_right")
    return CrossCheck(
        interval=grid,
        n_compared=whole.height,
        n_partial=both.height - whole.height,
        differences=_differences(whole, tolerance),
        only_left=left.join(right, on="open_time", how="anti")["open_time"],
        only_right=right.join(left, on="open_time", how="anti")["open_time"],
    )


# ------------------------------------------------------------------------------------


def _on_grid(bars: pl.DataFrame, interval: Interval, grid: Interval) -> pl.DataFrame:
    if interval == grid:
        return bars.with_columns(pl.lit(value=True).alias("is_whole"))
    is_whole = pl.col("n_bars") == grid.ms // interval.ms
    return resample(bars, interval=interval, to=grid).with_columns(is_whole.alias("is_whole"))


def _within(bars: pl.DataFrame, other: pl.DataFrame) -> pl.DataFrame:
    """Leave out what lies before the first or after the last bar of the other side."""
    return bars.filter(pl.col("open_time").is_between(other["open_time"].min(), other["open_time"].max()))


def _differences(both: pl.DataFrame, tolerance: float) -> pl.DataFrame:
    pieces = [
        both.filter(_differs(name, tolerance if name in {"volume", "turnover"} else 0.0)).select(
            "open_time",
            pl.lit(name).alias("column"),
            pl.col(name).alias("left"),
            pl.col(f"{name}_right").alias("right"),
        )
        for name in VALUE_COLUMNS
    ]
    return pl.concat(pieces).cast(DIFFERENCE_SCHEMA).sort("open_time", maintain_order=True)  # type: ignore[arg-type]


def _differs(name: str, tolerance: float) -> pl.Expr:
    left, right = pl.col(name), pl.col(f"{name}_right")
    return (left - right).abs() > tolerance * pl.max_horizontal(left.abs(), right.abs())
