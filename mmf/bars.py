"""Bars (closed klines): their schema, intervals, grid, validation and merging."""

import re
from dataclasses import dataclass
from typing import Self

import polars as pl

from mmf.errors import CallError

MINUTE_MS = 60_000
DAY_MS = 86_400_000
WEEK_ANCHOR_MS = 4 * DAY_MS  # 1970-01-05 was the first Monday

VALUE_COLUMNS = ("open", "high", "low", "close", "volume", "turnover")
BAR_SCHEMA: dict[str, pl.DataType] = {
    "open_time": pl.Datetime("ms", "UTC"),
    **dict.fromkeys(VALUE_COLUMNS, pl.Float64()),
}
LEDGER_SCHEMA: dict[str, pl.DataType] = {
    "source": pl.String(),
    "fetched_at": pl.Datetime("ms", "UTC"),
    "revision": pl.Int32(),
}
STORED_SCHEMA = BAR_SCHEMA | LEDGER_SCHEMA

# A chunk is the unit of computing, a piece the unit in which an open chunk is stored; both count bar numbers.
CHUNK_BARS = 16_384
PIECE_BARS = 256

_MINUTES = {
    "1": 1,
    "3": 3,
    "5": 5,
    "15": 15,
    "30": 30,
    "60": 60,
    "120": 120,
    "240": 240,
    "360": 360,
    "720": 720,
}
_INTERVAL_MS = {name: n * MINUTE_MS for name, n in _MINUTES.items()} | {
    "D": DAY_MS,
    "W": 7 * DAY_MS,
}
_UNIT_MINUTES = {"m": 1, "h": 60, "d": 1_440, "w": 10_080}
_NAME = re.compile(r"[a-z][a-z0-9_]{0,31}")
_SYMBOL = re.compile(r"[A-Z0-9][A-Z0-9_\-]{0,39}")


@dataclass(frozen=True, slots=True)
class Interval:
    """A bar length as Bybit writes it, with its grid.

    Attributes
    ----------
    name : str
        One of 1 3 5 15 30 60 120 240 360 720 D W.

    Examples
    --------
    >>> Interval.parse("1h")
    Interval(name='60')
    >>> Interval("W").bar_number(1_704_067_200_000)  # Monday 2024-01-01
    2817
    """

    name: str

    def __post_init__(self) -> None:
        if self.name not in _INTERVAL_MS:
            raise CallError(_unknown_interval(self.name))

    @classmethod
    def parse(cls, text: str, /) -> Self:
        """Read an interval, aliases such as `60m`, `1h`, `4h`, `1d`, `1w` included."""
        text = text.strip()
        if text in _INTERVAL_MS:
            return cls(text)
        if match := re.fullmatch(r"(\d{1,5})([mhdwHDW])", text):
            ms = int(match[1]) * _UNIT_MINUTES[match[2].lower()] * MINUTE_MS
            for name, known_ms in _INTERVAL_MS.items():
                if ms == known_ms:
                    return cls(name)
        raise CallError(_unknown_interval(text))

    @property
    def ms(self) -> int:
        """Length of the bar in milliseconds."""
        return _INTERVAL_MS[self.name]

    @property
    def anchor_ms(self) -> int:
        """The open_time of bar number 0."""
        return WEEK_ANCHOR_MS if self.name == "W" else 0

    def bar_number(self, open_time_ms: int, /) -> int:
        """Count of intervals between the anchor and this open_time, rounded down."""
        return (open_time_ms - self.anchor_ms) // self.ms

    def open_time_ms(self, bar_number: int, /) -> int:
        """Return the open_time of a bar number; the inverse of `bar_number` on the grid."""
        return self.anchor_ms + bar_number * self.ms

    def bar_number_expr(self) -> pl.Expr:
        """Bar number of the column open_time as Int64."""
        return ((pl.col("open_time").dt.epoch("ms") - self.anchor_ms) // self.ms).alias("bar_number")


@dataclass(frozen=True, slots=True, order=True)
class Series:
    """One stream of bars: exchange, category, symbol, interval.

    Every part is validated here, once, before it reaches a path, a URL or SQL.

    Raises
    ------
    CallError
        A part holds characters that no exchange uses.

    Examples
    --------
    >>> str(Series.parse("bybit:linear:BTCUSDT:1h"))
    'bybit:linear:BTCUSDT:60'
    """

    exchange: str
    category: str
    symbol: str
    interval: str

    def __post_init__(self) -> None:
        for what, value in (("exchange", self.exchange), ("category", self.category)):
            if not _NAME.fullmatch(value):
                raise CallError(
                    f"{what} {value!r} is not a name: use lower-case letters, digits and _, such as 'bybit'."
                )
        if not _SYMBOL.fullmatch(self.symbol):
            raise CallError(
                f"symbol {self.symbol!r} is not a symbol: use A-Z, 0-9, _ and - (at most 40), such as 'BTCUSDT'."
            )
        Interval(self.interval)

    @classmethod
    def of(cls, exchange: str, category: str, symbol: str, interval: str) -> Self:
        """Build a series from parts as people write them (`1h` for 60)."""
        return cls(exchange, category, symbol, Interval.parse(interval).name)

    @classmethod
    def parse(cls, text: str, /) -> Self:
        """Read `exchange:category:symbol:interval`."""
        parts = text.split(":")
        if len(parts) != 4:
            raise CallError(
                f"series {text!r} is not exchange:category:symbol:interval, such as bybit:linear:BTCUSDT:60."
            )
        return cls.of(*parts)

    @property
    def key(self) -> tuple[str, str, str, str]:
        """The four parts, in order."""
        return (self.exchange, self.category, self.symbol, self.interval)

    @property
    def grid(self) -> Interval:
        """The interval with its arithmetic."""
        return Interval(self.interval)

    def __str__(self) -> str:
        return ":".join(self.key)


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


@dataclass(frozen=True)
class Merge:
    """What `merge_bars` found: the union, and what happened to each incoming bar.

    Attributes
    ----------
    bars : pl.DataFrame
        The union in `STORED_SCHEMA`, sorted by open_time.
    changed : pl.DataFrame
        The rows of `bars` that are new or revised.
    superseded : pl.DataFrame
        The stored rows that a revision replaced.
    n_added, n_revised, n_unchanged : int
        Counts of the incoming bars.
    """

    bars: pl.DataFrame
    changed: pl.DataFrame
    superseded: pl.DataFrame
    n_added: int
    n_revised: int
    n_unchanged: int


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


def merge_bars(stored: pl.DataFrame, incoming: pl.DataFrame, /) -> Merge:
    """Merge incoming bars into stored ones; other numbers for a closed bar are a revision.

    Parameters
    ----------
    stored, incoming : pl.DataFrame
        `STORED_SCHEMA`, unique by open_time. `incoming.revision` is ignored.

    Notes
    -----
    A null turnover never replaces a number: the source is silent about it, not in disagreement.
    """
    old = stored.select("open_time", "revision", *(pl.col(c).alias(f"_{c}") for c in VALUE_COLUMNS))
    joined = incoming.drop("revision").join(old, on="open_time", how="left", maintain_order="left")
    joined = joined.with_columns(pl.coalesce("turnover", "_turnover").alias("turnover"))
    is_new = pl.col("revision").is_null()
    differs = pl.any_horizontal(pl.col(c).ne_missing(pl.col(f"_{c}")) for c in VALUE_COLUMNS)
    added = joined.filter(is_new).with_columns(pl.lit(0, pl.Int32).alias("revision"))
    revised = joined.filter(~is_new & differs).with_columns(pl.col("revision") + 1)
    changed = pl.concat([added, revised]).select(*STORED_SCHEMA).sort("open_time")
    kept = stored.join(revised, on="open_time", how="anti")
    return Merge(
        bars=pl.concat([kept.select(*STORED_SCHEMA), changed]).sort("open_time"),
        changed=changed,
        superseded=stored.join(revised, on="open_time", how="semi").select(*STORED_SCHEMA),
        n_added=added.height,
        n_revised=revised.height,
        n_unchanged=incoming.height - changed.height,
    )


# ------------------------------------------------------------------------------------


def _unknown_interval(text: str) -> str:
    if text.upper() in {"M", "1M", "1MO"} and text != "1m":
        return "interval M is refused: calendar months have no fixed length. Use W or D."
    return f"interval {text!r} is unknown. Use one of {' '.join(_INTERVAL_MS)} (1h, 4h, 1d are accepted too)."


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
