"""Stored bars that deserve a look: they are valid klines, and still something is odd."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
import polars as pl

from mmf.bars import BAR_SCHEMA

Kind = Literal["turnover outside range", "zero volume", "flat run", "jump", "off scale"]

ANOMALY_SCHEMA: dict[str, pl.DataType] = {
    "open_time": BAR_SCHEMA["open_time"],
    "n_bars": pl.Int64(),
    "kind": pl.String(),
    "detail": pl.String(),
}


def anomalies(
    bars: pl.DataFrame,
    /,
    *,
    is_inverse: bool = False,
    neighbour: pl.DataFrame | None = None,
    shortest_flat_run: int = 3,
    jump_sigmas: float = 15.0,
    scale: float = 3.0,
) -> pl.DataFrame:
    """List odd bars.

    Parameters
    ----------
    bars : pl.DataFrame
        `BAR_SCHEMA`, sorted by open_time. A null turnover is not judged.
    is_inverse : bool
        Whether volume is in the quote currency and turnover in the coin, as of Bybit's category `inverse`;
        elsewhere it is the other way round.
    neighbour : pl.DataFrame, optional
        open_time and close of the same symbol elsewhere, or of a symbol that moves with it.
    shortest_flat_run : int
        Bars in a row with one and the same price from which they count as a flat run.
    jump_sigmas : float
        A jump is a log return further than this from the neighbour's, in robust standard deviations
        (1.4826 x median absolute deviation) of that difference. 15 marks 5 of 26,303 hours of BTCUSDT on two
        exchanges, and 17 of 28,247 hours of ETHUSDT against BTCUSDT.
    scale : float
        A price is off scale beyond this factor from the median close of five bars, the bar in the middle.

    Returns
    -------
    pl.DataFrame
        `ANOMALY_SCHEMA`, by open_time: the first bar, how many bars in a row, kind, detail.
    """
    found = [
        _turnover_outside_range(bars, is_inverse=is_inverse),
        _runs(bars, pl.col("volume") == 0, "zero volume", shortest=1),
        _runs(bars, _is_flat() & (pl.col("volume") > 0), "flat run", shortest=shortest_flat_run),
        _off_scale(bars, scale),
    ]
    if neighbour is not None:
        found.append(_jumps(bars, neighbour, jump_sigmas))
    return pl.concat(found).sort("open_time", "kind")


# ------------------------------------------------------------------------------------

_PRICES = ("open", "high", "low", "close")
_ROUNDING = 1e-6  # relative, of turnover
_LAST_DIGIT = {False: 1e-4, True: 1e-8}  # absolute: sources write USD with four decimals or more, coins with eight
_LEAST_SIGMA = 1e-6  # of a log return; two feeds of one price differ by rounding alone


def _turnover_outside_range(bars: pl.DataFrame, *, is_inverse: bool) -> pl.DataFrame:
    """The average price that turnover and volume imply lies outside the bar."""
    volume, turnover, low, high = (pl.col(name) for name in ("volume", "turnover", "low", "high"))
    least, most = (volume / high, volume / low) if is_inverse else (volume * low, volume * high)
    price = volume / turnover if is_inverse else turnover / volume
    slack = _LAST_DIGIT[is_inverse]
    outside = (turnover < least * (1 - _ROUNDING) - slack) | (turnover > most * (1 + _ROUNDING) + slack)
    detail = pl.format("average price {} outside {} to {}", price.round_sig_figs(9), low, high)
    return _rows(bars.filter(outside), "turnover outside range", detail)


def _off_scale(bars: pl.DataFrame, scale: float) -> pl.DataFrame:
    median = pl.col("close").rolling_median(5, min_samples=3, center=True).alias("median")
    marked = bars.with_columns(median)
    beyond = pl.any_horizontal(
        (pl.col(name) > scale * pl.col("median")) | (pl.col(name) * scale < pl.col("median")) for name in _PRICES
    )
    detail = pl.format("{} to {}, where closes around are near {}", "low", "high", "median")
    return _rows(marked.filter(beyond), "off scale", detail)


def _jumps(bars: pl.DataFrame, neighbour: pl.DataFrame, sigmas: float) -> pl.DataFrame:
    """Returns over the same two instants that differ too much."""
    both = bars.join(neighbour.select("open_time", pl.col("close").alias("other")), on="open_time")
    moves = both.sort("open_time").with_columns(
        pl.col("close").log().diff().alias("move"), pl.col("other").log().diff().alias("other_move")
    )
    moves = moves.drop_nulls("move").with_columns((pl.col("move") - pl.col("other_move")).alias("apart"))
    centred = (pl.col("apart") - pl.col("apart").median()).abs()
    moves = moves.with_columns(centred.alias("apart"))
    sigma = max(1.4826 * float(np.median(moves["apart"].to_numpy())), _LEAST_SIGMA) if moves.height else 1.0
    detail = pl.format(
        "moved {} %, its neighbour {} %: {} sigmas apart",
        (100 * pl.col("move")).round(3),
        (100 * pl.col("other_move")).round(3),
        (pl.col("apart") / sigma).round(1),
    )
    return _rows(moves.filter(pl.col("apart") > sigmas * sigma), "jump", detail)


def _is_flat() -> pl.Expr:
    return (pl.col("high") == pl.col("low")) & (pl.col("open") == pl.col("close"))


def _runs(bars: pl.DataFrame, condition: pl.Expr, kind: Kind, *, shortest: int) -> pl.DataFrame:
    """Bars in a row that fulfil a condition at one and the same close."""
    marked = bars.select("open_time", "close", condition.alias("is_odd"))
    marked = marked.with_columns(pl.struct("is_odd", "close").rle_id().alias("run")).filter("is_odd")
    runs = marked.group_by("run", maintain_order=True).agg(
        pl.col("open_time").first(), pl.len().cast(pl.Int64).alias("n_bars"), pl.col("close").first()
    )
    detail = pl.format("at {}", "close")
    return _rows(runs.filter(pl.col("n_bars") >= shortest), kind, detail, n_bars=pl.col("n_bars"))


def _rows(bars: pl.DataFrame, kind: Kind, detail: pl.Expr, *, n_bars: pl.Expr | None = None) -> pl.DataFrame:
    columns: Sequence[pl.Expr] = (
        pl.col("open_time"),
        pl.lit(1, pl.Int64).alias("n_bars") if n_bars is None else n_bars,
        pl.lit(kind).alias("kind"),
        detail.alias("detail"),
    )
    # pl.format of polars 2.1 panics on columns of several chunks
    return bars.rechunk().select(columns).cast(ANOMALY_SCHEMA)  # type: ignore[arg-type]
