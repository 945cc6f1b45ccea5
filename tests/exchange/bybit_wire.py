"""Bybit v5 market data: klines, instruments, funding history, time, as the exchange writes them."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from json import dumps

import polars as pl

from mmf.bars import VALUE_COLUMNS, Interval, Series
from mmf.errors import CallError
from tests.exchange.ask import Ask, page_text
from tests.exchange.book import Book, Market, Style, coins, markets_of
from tests.exchange.decimals import plain
from tests.exchange.http_server import Answer

MAX_ROWS = 1_000
MAX_FUNDING_ROWS = 200
CATEGORIES = ("linear", "inverse", "spot")
FOREVER_MS = 1 << 53


class BadParameterError(Exception):
    """Answered as retCode 10001, HTTP 200."""


def respond(ask: Ask, books: Mapping[Series, Book]) -> Answer:
    """Answer a path below /v5/market/."""
    routes = {
        "/v5/market/kline": _klines,
        "/v5/market/instruments-info": _instruments,
        "/v5/market/funding/history": _funding,
        "/v5/market/time": _time,
    }
    if ask.path not in routes:
        return Answer(b"404 page not found", 404, "text/plain")
    try:
        return envelope(routes[ask.path](ask, books), ask.now_ms)
    except BadParameterError as error:
        return envelope(b"{}", ask.now_ms, code=10001, message=str(error))


def envelope(result: bytes, now_ms: int, *, code: int = 0, message: str = "OK") -> Answer:
    """The five members around every answer."""
    head = b'{"retCode":%d,"retMsg":%b,"result":' % (code, compact(message))
    return Answer(head + result + b',"retExtInfo":{},"time":%d}' % now_ms)


def compact(value: object) -> bytes:
    return dumps(value, separators=(",", ":")).encode("ascii")


def write_rows(bars: pl.DataFrame, interval_ms: int) -> pl.Series:
    """One `["1687589640000","30709.9",...]` a bar."""
    columns = [bars["open_time"].dt.epoch("ms").cast(pl.String), *(plain(bars[name]) for name in VALUE_COLUMNS)]
    joined = pl.DataFrame([column.alias(str(i)) for i, column in enumerate(columns)])
    return joined.select('["' + pl.concat_str(pl.all(), separator='","') + '"]').to_series()


STYLE = Style(write_rows, is_newest_first=True)

# ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Listed:
    """A symbol of a category: its market of the first interval served, which knows the rest."""

    market: Market
    now_ms: int

    def entry(self) -> dict[str, object]:
        series = self.market.series
        base, quote = coins(series.symbol)
        status = "Trading" if self.market.is_trading(self.now_ms) else "Closed"
        if series.category == "spot":  # spot tells neither when it was listed nor when it ended
            return {"symbol": series.symbol, "baseCoin": base, "quoteCoin": quote, "innovation": "0", "status": status}
        return {
            "symbol": series.symbol,
            "contractType": "LinearPerpetual" if series.category == "linear" else "InversePerpetual",
            "status": status,
            "baseCoin": base,
            "quoteCoin": quote,
            "launchTime": str(self.market.listed_ms),
            "deliveryTime": str(self.market.delisted_ms or 0),
            "deliveryFeeRate": "",
            "priceScale": "2",
            "leverageFilter": {"minLeverage": "1", "maxLeverage": "100.00", "leverageStep": "0.01"},
            "priceFilter": {"minPrice": "0.10", "maxPrice": "199999.80", "tickSize": "0.10"},
            "lotSizeFilter": {
                "maxOrderQty": "100.000",
                "minOrderQty": "0.001",
                "qtyStep": "0.001",
                "postOnlyMaxOrderQty": "1000.000",
            },
            "unifiedMarginTrade": True,
            "fundingInterval": _funding_minutes(self.market.funding),
            "settleCoin": quote if series.category == "linear" else base,
            "copyTrading": "normalOnly",
        }


def _klines(ask: Ask, books: Mapping[Series, Book]) -> bytes:
    """Newest first. A start alone gives the oldest rows from there, any end the newest up to it."""
    category, symbol = _category(ask), ask.query.get("symbol", "")
    try:
        grid = Interval(ask.query.get("interval", ""))
    except CallError:
        raise BadParameterError("Invalid period!") from None
    if not any(series.key[:3] == ("bybit", category, symbol) for series in books):
        raise BadParameterError("Not supported symbols")
    book = books.get(Series("bybit", category, symbol, grid.name))
    start_ms, end_ms = _number(ask, "start", 0), _number(ask, "end", FOREVER_MS)
    if start_ms > end_ms:
        raise BadParameterError("params error: start is after end")
    text = b""
    if book:
        # A start between two bars returns the bar that it falls into.
        first_ms = grid.open_time_ms(grid.bar_number(start_ms))
        keep = "oldest" if "start" in ask.query and "end" not in ask.query else "newest"
        limit = _limit(ask, 200, MAX_ROWS)
        window = book.window(first_ms, end_ms, limit, keep=keep, now_ms=ask.now_ms, turn=ask.turn)
        text = page_text(book, window, ask)
    return b'{"symbol":%b,"category":%b,"list":[%b]}' % (compact(symbol), compact(category), text)


def _instruments(ask: Ask, books: Mapping[Series, Book]) -> bytes:
    """Without a status only what trades is listed; the cursor is the symbol that comes next."""
    category, symbol = _category(ask), ask.query.get("symbol")
    listed = markets_of(books, "bybit", category)
    if symbol and symbol not in listed:
        raise BadParameterError("Not supported symbols")
    entries = [_Listed(market, ask.now_ms).entry() for name, market in listed.items() if symbol in {None, name}]
    status = ask.query.get("status", "Trading")
    entries = [entry for entry in entries if entry["status"] == status]
    if category == "spot":
        return compact({"category": category, "list": entries})
    entries = [entry for entry in entries if str(entry["symbol"]) >= ask.query.get("cursor", "")]
    limit = _limit(ask, 500, 1_000)
    cursor = entries[limit]["symbol"] if len(entries) > limit else ""
    return compact({"category": category, "list": entries[:limit], "nextPageCursor": cursor})


def _funding(ask: Ask, books: Mapping[Series, Book]) -> bytes:
    category, symbol = _category(ask), ask.query.get("symbol", "")
    market = markets_of(books, "bybit", category).get(symbol)
    if market is None or category == "spot":
        raise BadParameterError("Not supported symbols")
    if "startTime" in ask.query and "endTime" not in ask.query:
        raise BadParameterError("params error: startTime needs endTime")
    start_ms, end_ms = _number(ask, "startTime", 0), _number(ask, "endTime", ask.now_ms)
    rows = funding_between(market, start_ms, min(end_ms, ask.now_ms)).tail(_limit(ask, 200, MAX_FUNDING_ROWS))
    times, rates = rows["funding_time"].dt.epoch("ms").to_list(), plain(rows["rate"], decimals=8).to_list()
    entries = [
        {"symbol": symbol, "fundingRate": rate, "fundingRateTimestamp": str(time)}
        for time, rate in zip(reversed(times), reversed(rates), strict=True)
    ]
    return compact({"category": category, "list": entries})


def _time(ask: Ask, books: Mapping[Series, Book]) -> bytes:
    return compact({"timeSecond": str(ask.now_ms // 1_000), "timeNano": str(ask.now_ms * 1_000_000)})


def funding_between(market: Market, start_ms: int, end_ms: int) -> pl.DataFrame:
    """Funding of a market from start to end, both inclusive, oldest first."""
    if market.funding is None:
        return pl.DataFrame(schema={"funding_time": pl.Datetime("ms", "UTC"), "rate": pl.Float64})
    return market.funding.sort("funding_time").filter(
        pl.col("funding_time").dt.epoch("ms").is_between(start_ms, end_ms)
    )


def _category(ask: Ask) -> str:
    category = ask.query.get("category", "linear")
    if category not in CATEGORIES:
        raise BadParameterError("params error: category invalid")
    return category


def _number(ask: Ask, name: str, default: int) -> int:
    text = ask.query.get(name)
    if text is None:
        return default
    if not text.isdecimal():
        raise BadParameterError(f"params error: {name} invalid")
    return int(text)


def _limit(ask: Ask, default: int, most: int) -> int:
    limit = _number(ask, "limit", default)
    if not 1 <= limit <= most:
        raise BadParameterError("params error: limit invalid")
    return limit


def _funding_minutes(funding: pl.DataFrame | None) -> int:
    """Minutes between the two latest fundings; eight hours where there are none."""
    times = [] if funding is None else funding["funding_time"].dt.epoch("ms").sort().tail(2).to_list()
    return next(((b - a) // 60_000 for a, b in pairwise(times)), 480)
