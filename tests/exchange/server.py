"""A loopback exchange: a real HTTP server that serves given bars as Bybit v5 and Binance do, and misbehaves on demand.

    markets = [Market(Series.parse("bybit:linear:BTCUSDT:60"), bars)]
    with LoopbackExchange(markets, faults=Faults(too_many=2, dropped=0.05)) as exchange:
        ...  # a client against exchange.url
        exchange.faults.geo_block = 1
        assert exchange.busiest_window() <= 600

What is where

- `book`: `Market`, the truth about a series; its rows written once, so that a page of 1,000 rows is one slice
- `bybit_wire`, `binance_wire`, `binance_archives`: the paths of each exchange and the text that they answer
- `faults`, `refusals`, `rate_limit`: what goes wrong, the bodies of it, the sliding window that bans
- `http_server`: HTTP itself; `decimals`: floats as plain decimals
- `python -m tests.exchange --bars FILE`: the same in a process of its own, for benchmarks; `process` starts one

What is certain: the shapes of answers follow recorded ones. What is assumed, since no recording shows it: an interval
that a known symbol is not served in answers an empty list, a limit beyond the largest and a start after the end answer
10001, and an IP ban of Bybit has the JSON body in `refusals`.
"""

import time
from collections.abc import Iterable
from dataclasses import replace
from types import TracebackType
from typing import NamedTuple, Self
from urllib.parse import parse_qsl

import polars as pl

from mmf.bars import Series
from tests.exchange import binance_archives, binance_wire, bybit_wire
from tests.exchange.ask import Ask
from tests.exchange.book import Book, Market, Style
from tests.exchange.faults import BREAKAGES, REFUSALS, Faults, faults_of
from tests.exchange.http_server import Answer, HttpServer
from tests.exchange.rate_limit import Gate, WeightMeter, busiest_window
from tests.exchange.refusals import broken, refusal, venue_of

__all__ = ["LoopbackExchange", "Market", "Request"]

_AFTER_LAST_BAR_MS = 17_000


class Request(NamedTuple):
    """A request as it arrived. `status` is that of the answer, 0 where the connection was dropped instead."""

    time_s: float
    path: str
    query: dict[str, str]
    status: int


class LoopbackExchange:
    """Serve markets on 127.0.0.1 for as long as the context lasts.

    Parameters
    ----------
    markets : iterable of Market
        One for each series.
    faults : Faults, optional
        None at first; mutable as `exchange.faults`.
    now_ms : int, optional
        The exchange's clock, which stands still until `set_now`; by default just after the last bar closed. It has
        nothing to do with the clock of this machine, so every test is one of a skewed clock.
    latency_s : float
        From the arrival of a request to its answer; mutable.

    Attributes
    ----------
    url : str
        Base URL of Bybit (/v5), Binance (/fapi/v1, /api/v3) and Binance's archives (/data, their list at /) alike.
    requests : list of Request
        All requests so far, in order of arrival, on the monotonic clock.
    n_bans : int
        How often the client earned itself a ban.
    """

    def __init__(
        self,
        markets: Iterable[Market],
        *,
        faults: Faults | None = None,
        now_ms: int | None = None,
        latency_s: float = 0.0,
        port: int = 0,
    ) -> None:
        self.books = {market.series: Book(market, _style(market.series)) for market in markets}
        self.faults = faults or Faults()
        self.now_ms = _just_after(self.books.values()) if now_ms is None else now_ms
        self.latency_s = latency_s
        self.requests: list[Request] = []
        self._gate = Gate()
        self._meters = {"um": WeightMeter(), "spot": WeightMeter()}
        self._server = HttpServer(self._respond, lambda: self.latency_s, port=port)

    def __enter__(self) -> Self:
        self._server.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.__exit__(kind, error, trace)

    @property
    def url(self) -> str:
        return self._server.url

    @property
    def n_bans(self) -> int:
        return self._gate.n_bans

    def set_now(self, now_ms: int) -> None:
        """Move the exchange's clock: bars close, the next one forms."""
        self.now_ms = now_ms

    def revise(self, series: Series, bars: pl.DataFrame) -> None:
        """Give bars other numbers, or bring bars that were missing."""
        self.books[series] = self.books[series].revised(bars)

    def withhold(self, series: Series, start_ms: int, stop_ms: int) -> pl.DataFrame:
        """Take the bars of a half-open range out of the truth; `revise` with what is returned brings them back."""
        book = self.books[series]
        is_out = pl.col("open_time").dt.epoch("ms").is_between(start_ms, stop_ms, closed="left")
        self.books[series] = book.with_bars(book.market.bars.filter(~is_out))
        return book.market.bars.filter(is_out)

    def delist(self, series: Series, delisted_ms: int) -> None:
        """End the trading of a series, in the past or in the future."""
        self.books[series] = self.books[series].delisted(delisted_ms)

    def served(self, series: Series) -> pl.DataFrame:
        """The closed bars that a faultless client would hold now, in `BAR_SCHEMA`."""
        book = self.books[series]
        return book.market.bars.head(book.n_closed(self.now_ms))

    def busiest_window(self, window_s: float = 5.0) -> int:
        """The largest number of requests in any window of this length."""
        return busiest_window([request.time_s for request in self.requests], window_s=window_s)

    def _respond(self, target: str) -> Answer:
        arrived_s = time.monotonic()
        path, _, query = target.partition("?")
        asked = dict(parse_qsl(query, keep_blank_values=True))
        answer = self._answer(path, asked, arrived_s)
        self.requests.append(Request(arrived_s, path, asked, 0 if answer.is_dropped else answer.status))
        return answer

    def _answer(self, path: str, query: dict[str, str], arrived_s: float) -> Answer:
        faults = self.faults
        ask = Ask(path, query, self.now_ms, turn=len(self.requests))
        match venue_of(path):
            case "bybit" if not self._gate.admits(faults.limit, arrived_s):
                return self._refusal("ip_ban", ask)
            case "binance":
                return self._weighed(ask, arrived_s)
        return self._spoiled(ask, arrived_s)

    def _weighed(self, ask: Ask, arrived_s: float) -> Answer:
        used = self._meters[binance_wire.desk_of(ask).category].add(binance_wire.weight(ask), arrived_s)
        most = self.faults.weight_per_min
        is_over = most is not None and used > most
        answer = self._refusal("too_many", ask) if is_over else self._spoiled(ask, arrived_s)
        return replace(answer, headers=(*answer.headers, ("X-MBX-USED-WEIGHT-1M", str(used))))

    def _spoiled(self, ask: Ask, arrived_s: float) -> Answer:
        """The answer with the fault that is its turn."""
        faults = self.faults
        kind = faults.draw(ask.path, faults_of(ask.path))
        if kind == "ip_ban" and venue_of(ask.path) == "bybit" and faults.limit:
            self._gate.ban(faults.limit, arrived_s)
        if kind in REFUSALS:
            return self._refusal(kind, ask)
        sound = self._sound(replace(ask, spoil=faults.spoil(kind)), kind)
        return broken(kind, sound, faults.slow_s) if kind in BREAKAGES else sound

    def _refusal(self, kind: str, ask: Ask) -> Answer:
        ban_s = self.faults.limit.ban_s if self.faults.limit else 0.0
        return refusal(kind, ask, ban_s=ban_s, reset_ms=self.faults.reset_ms)

    def _sound(self, ask: Ask, kind: str | None) -> Answer:
        match venue_of(ask.path):
            case "bybit":
                return bybit_wire.respond(ask, self.books)
            case "binance":
                return binance_wire.respond(ask, self.books)
            case "archive":
                return binance_archives.respond(ask, self.books, self.faults.archives, kind)


# ------------------------------------------------------------------------------------


def _style(series: Series) -> Style:
    if series.exchange == "bybit":
        return bybit_wire.STYLE
    desks = {desk.category: desk for desk in (binance_wire.FUTURES, binance_wire.SPOT)}
    if series.exchange != "binance" or series.category not in desks:
        raise ValueError(f"series {series} is neither of bybit nor of binance um or spot")
    return desks[series.category].style


def _just_after(books: Iterable[Book]) -> int:
    closes = [int(book.open_time_ms[-1]) + book.market.series.grid.ms for book in books if len(book.open_time_ms)]
    return max(closes, default=0) + _AFTER_LAST_BAR_MS
