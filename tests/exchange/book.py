"""What the exchange has to sell: markets, and their bars as rows of text ready to be cut into pages."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import polars as pl

from mmf.bars import BAR_SCHEMA, Series


@dataclass(frozen=True)
class Market:
    """The truth about one series.

    Attributes
    ----------
    bars : pl.DataFrame
        `BAR_SCHEMA`, no nulls; may hold holes and bars of the future, which appear as the clock passes them.
    launch_ms : int, optional
        What the listing says; the first bar by default. It bounds no answer: some real bars precede it.
    delisted_ms : int, optional
        Bars that open from here on are not served, and nothing forms any more.
    funding : pl.DataFrame, optional
        `funding_time` (Datetime ms UTC) and `rate` (Float64).
    forming : bool
        Whether the newest row is the bar that has not closed yet.
    is_forgotten : bool
        Whether Binance's REST interface knows the symbol no longer, as of contracts delisted long ago.
    """

    series: Series
    bars: pl.DataFrame
    launch_ms: int | None = None
    delisted_ms: int | None = None
    funding: pl.DataFrame | None = None
    forming: bool = True
    is_forgotten: bool = False

    def __post_init__(self) -> None:
        bars = self.bars.select(pl.col(name).cast(kind) for name, kind in BAR_SCHEMA.items()).sort("open_time")
        if bars.null_count().sum_horizontal().sum():
            raise ValueError(f"bars of {self.series} hold nulls; an exchange always sends a number, turnover too")
        if bars["open_time"].is_duplicated().any():
            raise ValueError(f"bars of {self.series} hold an open_time twice")
        object.__setattr__(self, "bars", bars)

    @property
    def listed_ms(self) -> int:
        if self.launch_ms is not None:
            return self.launch_ms
        return _open_times(self.bars)[0].item() if self.bars.height else 0

    def is_trading(self, now_ms: int) -> bool:
        return self.delisted_ms is None or now_ms < self.delisted_ms


@dataclass(frozen=True)
class Style:
    """How an exchange writes a bar: `write` turns bars into one string a row, without the comma between rows."""

    write: Callable[[pl.DataFrame, int], pl.Series]
    is_newest_first: bool


@dataclass(frozen=True)
class Window:
    """The bars `lo` to `hi - 1` of a book, and the forming bar as text where it belongs to the page."""

    lo: int
    hi: int
    forming: bytes | None


class Book:
    """A market with its rows written once and laid end to end, so that a page of 1,000 rows is one slice."""

    def __init__(self, market: Market, style: Style) -> None:
        self.market, self.style = market, style
        self.open_time_ms = _open_times(market.bars)
        rows = style.write(market.bars, market.series.grid.ms)
        ordered = rows.reverse() if style.is_newest_first else rows
        self._text = ordered.str.join(",").item().encode("ascii") + b","
        self._offsets = np.concatenate([[0], np.cumsum(ordered.str.len_bytes().cast(pl.Int64).to_numpy() + 1)])

    def revised(self, bars: pl.DataFrame) -> "Book":
        """The same book after bars were added or given other numbers."""
        rest = self.market.bars.join(bars, on="open_time", how="anti")
        return self.with_bars(pl.concat([rest, bars.select(rest.columns).cast(rest.schema)]))

    def with_bars(self, bars: pl.DataFrame) -> "Book":
        return Book(replace(self.market, bars=bars), self.style)

    def delisted(self, delisted_ms: int) -> "Book":
        return Book(replace(self.market, delisted_ms=delisted_ms), self.style)

    def n_closed(self, now_ms: int) -> int:
        """How many bars have closed by now and are served."""
        last_ms = now_ms - self.market.series.grid.ms
        if self.market.delisted_ms is not None:
            last_ms = min(last_ms, self.market.delisted_ms - 1)
        return int(np.searchsorted(self.open_time_ms, last_ms, side="right"))

    def window(
        self, start_ms: int, end_ms: int, limit: int, *, keep: Literal["newest", "oldest"], now_ms: int, turn: int
    ) -> Window:
        """At most `limit` bars whose open_time lies in start to end, both inclusive; `turn` moves the forming bar."""
        lo = int(np.searchsorted(self.open_time_ms, start_ms))
        hi = max(lo, min(int(np.searchsorted(self.open_time_ms, end_ms, side="right")), self.n_closed(now_ms)))
        forming = self._forming(start_ms, end_ms, now_ms, turn)
        if keep == "newest":
            return Window(max(lo, hi - limit + (forming is not None)), hi, forming)
        if hi - lo >= limit:
            return Window(lo, lo + limit, None)
        return Window(lo, hi, forming)

    def text(self, window: Window, /) -> bytes:
        """The rows of a window with commas between them."""
        pieces = [self._slice(window.lo, window.hi), window.forming or b""]
        ordered = reversed(pieces) if self.style.is_newest_first else pieces
        return b",".join(piece for piece in ordered if piece)

    def rows(self, window: Window, /) -> list[bytes]:
        """The rows of a window one by one, in the order of the wire."""
        rows = [self._slice(i, i + 1) for i in range(window.lo, window.hi)]
        rows += [window.forming] if window.forming else []
        return rows[::-1] if self.style.is_newest_first else rows

    def _slice(self, lo: int, hi: int) -> bytes:
        if hi <= lo:
            return b""
        if self.style.is_newest_first:
            lo, hi = len(self.open_time_ms) - hi, len(self.open_time_ms) - lo
        return self._text[self._offsets[lo] : self._offsets[hi] - 1]

    def _forming(self, start_ms: int, end_ms: int, now_ms: int, turn: int) -> bytes | None:
        grid = self.market.series.grid
        slot_ms = grid.open_time_ms(grid.bar_number(now_ms))
        if not (start_ms <= slot_ms <= end_ms and self.market.forming and self.market.is_trading(now_ms)):
            return None
        bar = _bar_so_far(self.market.bars, self.open_time_ms, slot_ms, turn)
        return None if bar is None else self.style.write(bar, grid.ms).item().encode("ascii")


def markets_of(books: Mapping[Series, Book], exchange: str, category: str, /) -> dict[str, Market]:
    """The first market of each symbol, in the order of symbols: it tells what holds for every interval."""
    found: dict[str, Market] = {}
    for series, book in books.items():
        if (series.exchange, series.category) == (exchange, category):
            found.setdefault(series.symbol, book.market)
    return dict(sorted(found.items()))


def coins(symbol: str, /) -> tuple[str, str]:
    """Base and quote of a symbol."""
    quote = next((quote for quote in ("USDT", "USDC", "FDUSD", "USD", "BTC") if symbol.endswith(quote)), "")
    return symbol.removesuffix(quote), quote


# ------------------------------------------------------------------------------------


def _open_times(bars: pl.DataFrame) -> np.ndarray:
    return bars["open_time"].dt.epoch("ms").to_numpy()


def _bar_so_far(bars: pl.DataFrame, open_time_ms: np.ndarray, slot_ms: int, turn: int) -> pl.DataFrame | None:
    """The bar of a slot after a part of it, a longer one each turn; None where the slot is a hole in the truth.

    Behind the last bar it starts from the last close and wanders upwards: a bar that the truth does not know.
    """
    place = int(np.searchsorted(open_time_ms, slot_ms))
    part = (turn + 1) / (turn + 2)
    if place < len(open_time_ms) and open_time_ms[place] == slot_ms:
        final = bars.row(place, named=True)
    elif place == len(open_time_ms) > 0:
        last = bars.row(-1, named=True)["close"]
        final = {"open": last, "close": last * 1.01, "volume": 10.0, "turnover": 10.0 * last}
    else:
        return None
    close = round(final["open"] + part * (final["close"] - final["open"]), 8)
    high, low = max(final["open"], close), min(final["open"], close)
    values = (slot_ms, final["open"], high, low, close, round(part * final["volume"], 8))
    row = (*values, round(part * final["turnover"], 8))
    return pl.DataFrame([row], orient="row", schema=BAR_SCHEMA)
