"""Validation of the rows of a source: good closed bars, bad rows, forming bars."""

from dataclasses import dataclass

import polars as pl

from mmf.bars import BAR_SCHEMA, Interval


@dataclass(frozen=True)
class Checked:
    """What `check_bars` found.

    Attributes
    ----------
    bars : pl.DataFrame
        Good closed bars in `BAR_SCHEMA`, sorted by open_time, unique.
    quarantined : pl.DataFrame
        Bad rows: `BAR_SCHEMA` columns, `row` (place in the source) and `reason`.
    n_forming : int
        Rows left out because their bar had not closed.
    n_repeated : int
        Exact repetitions of a row left out.
    """

    bars: pl.DataFrame
    quarantined: pl.DataFrame
    n_forming: int
    n_repeated: int


def check_bars(rows: pl.DataFrame, /, *, interval: Interval, closed_before_ms: int) -> Checked:
    """Split rows of a source into good closed bars, bad rows and forming bars.

    Parameters
    ----------
    rows : pl.DataFrame
        Columns of `BAR_SCHEMA` in any order. `row` (Int64, place in the source) and `reason`
        (String, set where the reader itself found the row unreadable) are optional.
    interval : Interval
        Grid on which every open_time must lie.
    closed_before_ms : int
        A bar counts as closed where open_time + interval <= this instant: the exchange's own time,
        or the time at which a file was written.

    Notes
    -----
    Turnover may be null, nothing else may. Of rows with one open_time and different numbers the
    last stands and the others are quarantined, since a source that contradicts itself is a fault
    to be looked at.
    """
    rows = _with_bookkeeping(rows)
    close_ms = pl.col("open_time").dt.epoch("ms") + interval.ms
    marked = rows.with_columns(
        pl.coalesce(pl.col("reason"), _first_fault(interval)).alias("reason"),
        (close_ms > closed_before_ms).fill_null(value=False).alias("_forming"),
    )
    forming = marked.filter(pl.col("_forming") & pl.col("reason").is_null())
    bad = marked.filter(pl.col("reason").is_not_null()).drop("_forming")
    good = marked.filter(pl.col("reason").is_null() & ~pl.col("_forming")).drop("_forming")
    distinct, bars = _without_repetitions(good)
    contradicted = distinct.join(bars, on="row", how="anti").with_columns(
        pl.lit("another row of this source has the same open_time and other numbers").alias("reason")
    )
    return Checked(
        bars=bars.select(*BAR_SCHEMA).sort("open_time"),
        quarantined=pl.concat([bad, contradicted]).sort("row"),
        n_forming=forming.height,
        n_repeated=good.height - distinct.height,
    )


# ------------------------------------------------------------------------------------


def _with_bookkeeping(rows: pl.DataFrame) -> pl.DataFrame:
    if "row" not in rows.columns:
        rows = rows.with_row_index("row", offset=1)
    if "reason" not in rows.columns:
        rows = rows.with_columns(pl.lit(None, pl.String).alias("reason"))
    return rows.select(
        *(pl.col(name).cast(dtype) for name, dtype in BAR_SCHEMA.items()),
        pl.col("row").cast(pl.Int64),
        "reason",
    )


def _first_fault(interval: Interval) -> pl.Expr:
    """Text of the first rule that a row breaks; null for a good row."""
    prices = ("open", "high", "low", "close")
    offset = (pl.col("open_time").dt.epoch("ms") - interval.anchor_ms) % interval.ms
    rules = [
        (pl.col("open_time").is_null(), "no open_time"),
        (offset != 0, f"open_time is not on the {interval.name} grid"),
        (pl.col("open_time").dt.epoch("ms") < interval.anchor_ms, "open_time is before 1970"),
        *((~_is_number(name), f"{name} is not a finite number") for name in (*prices, "volume")),
        *((pl.col(name) <= 0, f"{name} is not positive") for name in prices),
        (pl.col("volume") < 0, "volume is negative"),
        (
            pl.col("turnover").is_not_null() & ~_is_number("turnover"),
            "turnover is not a finite number",
        ),
        (pl.col("turnover") < 0, "turnover is negative"),
        (
            pl.col("high") < pl.max_horizontal("open", "close", "low"),
            "high is below open, close or low",
        ),
        (pl.col("low") > pl.min_horizontal("open", "close"), "low is above open or close"),
    ]
    return pl.coalesce(pl.when(broken).then(pl.lit(reason)) for broken, reason in rules)


def _without_repetitions(good: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the distinct rows, and of these the last one of each open_time."""
    if (
        good["open_time"].to_physical().diff().drop_nulls() > 0
    ).all():  # sources mostly answer so; uniqueness costs 1 us a row
        return good, good
    distinct = good.unique(list(BAR_SCHEMA), keep="last", maintain_order=True)
    return distinct, distinct.unique("open_time", keep="last", maintain_order=True)


def _is_number(name: str) -> pl.Expr:
    return pl.col(name).is_finite().fill_null(value=False)
