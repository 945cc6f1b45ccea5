"""Bars (closed klines): their schema, intervals, grid and series."""

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


# ------------------------------------------------------------------------------------


def _unknown_interval(text: str) -> str:
    if text.upper() in {"M", "1M", "1MO"} and text != "1m":
        return "interval M is refused: calendar months have no fixed length. Use W or D."
    return f"interval {text!r} is unknown. Use one of {' '.join(_INTERVAL_MS)} (1h, 4h, 1d are accepted too)."
