"""Binance market data by REST, USDT-M futures (/fapi/v1) and spot (/api/v3), as the exchange writes it."""

from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import formatdate

import polars as pl

from mmf.bars import Series
from tests.exchange.ask import Ask, page_text
from tests.exchange.book import Book, Market, Style, coins, markets_of
from tests.exchange.bybit_wire import FOREVER_MS, compact, funding_between
from tests.exchange.decimals import plain
from tests.exchange.http_server import Answer

INTERVALS = {
    "1m": "1",
    "3m": "3",
    "5m": "5",
    "15m": "15",
    "30m": "30",
    "1h": "60",
    "2h": "120",
    "4h": "240",
    "6h": "360",
    "12h": "720",
    "1d": "D",
    "1w": "W",
}
NEVER_DELIVERED_MS = 4_133_404_800_000


@dataclass(frozen=True)
class Desk:
    """What differs between the two markets."""

    category: str
    most_rows: int
    style: Style


class RefusedError(Exception):
    """Answered as HTTP 400 with a negative code."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


def respond(ask: Ask, books: Mapping[Series, Book]) -> Answer:
    """Answer a path below /fapi/v1/ or /api/v3/."""
    desk = desk_of(ask)
    routes = {"klines": _klines, "exchangeInfo": _exchange_info, "time": _time}
    if desk is FUTURES:
        routes["fundingRate"] = _funding
    name = ask.path.removeprefix("/fapi/v1/").removeprefix("/api/v3/")
    if name not in routes:
        return dated(ask, b"<html><body><h2>404 Not found</h2></body></html>", 404, "text/html")
    try:
        return dated(ask, routes[name](ask, books, desk))
    except RefusedError as error:
        return dated(ask, compact({"code": error.code, "msg": str(error)}), 400)


def desk_of(ask: Ask) -> Desk:
    return FUTURES if ask.path.startswith("/fapi/") else SPOT


def weight(ask: Ask) -> int:
    """What a request costs of the minute's allowance."""
    if ask.path == "/fapi/v1/klines":
        text = ask.query.get("limit", "")
        limit = int(text) if text.isdecimal() else 500
        return 1 if limit < 100 else 2 if limit < 500 else 5 if limit <= 1_000 else 10
    return {"/api/v3/klines": 2, "/api/v3/exchangeInfo": 20}.get(ask.path, 1)


def dated(ask: Ask, body: bytes, status: int = 200, content_type: str = "application/json;charset=UTF-8") -> Answer:
    """An answer whose Date header is the one place where the exchange tells its time, in whole seconds."""
    return Answer(body, status, content_type, (("Date", formatdate(ask.now_ms // 1_000, usegmt=True)),))


def columns(bars: pl.DataFrame, interval_ms: int, *, is_spot: bool, unit_us: bool = False) -> pl.DataFrame:
    """The 12 columns of a kline as text. Trades and taker volumes are made up from the volume."""
    price, volume, turnover = (8, 8, 8) if is_spot else (2, 3, 5)
    per_ms = 1_000 if unit_us else 1
    open_time = bars["open_time"].dt.epoch("ms") * per_ms
    n_trades = (bars["volume"] > 0).cast(pl.Int64) + (bars["volume"] * 7.0).floor().cast(pl.Int64)
    named = {
        "open_time": open_time.cast(pl.String),
        **{name: plain(bars[name], decimals=price) for name in ("open", "high", "low", "close")},
        "volume": plain(bars["volume"], decimals=volume),
        "close_time": (open_time + interval_ms * per_ms - 1).cast(pl.String),
        "quote_volume": plain(bars["turnover"], decimals=turnover),
        "count": n_trades.cast(pl.String),
        "taker_buy_volume": plain(bars["volume"] * 0.5, decimals=volume),
        "taker_buy_quote_volume": plain(bars["turnover"] * 0.5, decimals=turnover),
        "ignore": pl.repeat("0", bars.height, dtype=pl.String, eager=True),
    }
    return pl.DataFrame(named)


def _write_rows(bars: pl.DataFrame, interval_ms: int, *, is_spot: bool) -> pl.Series:
    """One `[1499040000000,"0.01634790",...,308,"1756.87402397","28.46694368","0"]` a bar."""
    numbers = {"open_time", "close_time", "count"}
    fields = columns(bars, interval_ms, is_spot=is_spot)
    quoted = [pl.col(name) if name in numbers else '"' + pl.col(name) + '"' for name in fields.columns]
    return fields.select("[" + pl.concat_str(quoted, separator=",") + "]").to_series()


FUTURES = Desk("um", 1_500, Style(lambda bars, ms: _write_rows(bars, ms, is_spot=False), is_newest_first=False))
SPOT = Desk("spot", 1_000, Style(lambda bars, ms: _write_rows(bars, ms, is_spot=True), is_newest_first=False))

# ------------------------------------------------------------------------------------


def _klines(ask: Ask, books: Mapping[Series, Book], desk: Desk) -> bytes:
    """Oldest first. A start gives the oldest rows from there, otherwise the newest ones up to the end."""
    symbol = _known_symbol(ask, books, desk)
    interval = INTERVALS.get(ask.query.get("interval", ""))
    if interval is None:
        raise RefusedError(-1120, "Invalid interval.")
    book = books.get(Series("binance", desk.category, symbol, interval))
    if book is None:
        return b"[]"
    keep = "oldest" if "startTime" in ask.query else "newest"
    start_ms, end_ms = _number(ask, "startTime", 0), _number(ask, "endTime", FOREVER_MS)
    limit = _limit(ask, 500, desk.most_rows)
    window = book.window(start_ms, end_ms, limit, keep=keep, now_ms=ask.now_ms, turn=ask.turn)
    return b"[%b]" % page_text(book, window, ask)


def _funding(ask: Ask, books: Mapping[Series, Book], desk: Desk) -> bytes:
    symbol = _known_symbol(ask, books, desk)
    start_ms, end_ms = _number(ask, "startTime", 0), min(_number(ask, "endTime", ask.now_ms), ask.now_ms)
    rows = funding_between(markets_of(books, "binance", desk.category)[symbol], start_ms, end_ms)
    limit = _limit(ask, 100, 1_000)
    rows = rows.head(limit) if "startTime" in ask.query else rows.tail(limit)
    times, rates = rows["funding_time"].dt.epoch("ms").to_list(), plain(rows["rate"], decimals=8).to_list()
    entries = [
        {"symbol": symbol, "fundingTime": time, "fundingRate": rate, "markPrice": "34287.54619963"}
        for time, rate in zip(times, rates, strict=True)
    ]
    return compact(entries)


def _exchange_info(ask: Ask, books: Mapping[Series, Book], desk: Desk) -> bytes:
    entry = _futures_entry if desk is FUTURES else _spot_entry
    symbols = [entry(symbol, market, ask.now_ms) for symbol, market in _listed(books, desk).items()]
    weight = {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": 2_400}
    head = {"timezone": "UTC", "serverTime": ask.now_ms}
    return compact({**head, "rateLimits": [weight], "exchangeFilters": [], "symbols": symbols})


def _time(ask: Ask, books: Mapping[Series, Book], desk: Desk) -> bytes:
    return compact({"serverTime": ask.now_ms})


def _futures_entry(symbol: str, market: Market, now_ms: int) -> dict[str, object]:
    base, quote = coins(symbol)
    return {
        "symbol": symbol,
        "pair": symbol,
        "contractType": "PERPETUAL",
        "deliveryDate": market.delisted_ms or NEVER_DELIVERED_MS,
        "onboardDate": market.listed_ms,
        "status": "TRADING" if market.is_trading(now_ms) else "SETTLING",
        "baseAsset": base,
        "quoteAsset": quote,
        "marginAsset": quote,
        "pricePrecision": 2,
        "quantityPrecision": 3,
        "underlyingType": "COIN",
        "filters": [],
    }


def _spot_entry(symbol: str, market: Market, now_ms: int) -> dict[str, object]:
    """Spot tells no date of listing."""
    base, quote = coins(symbol)
    return {
        "symbol": symbol,
        "status": "TRADING" if market.is_trading(now_ms) else "BREAK",
        "baseAsset": base,
        "baseAssetPrecision": 8,
        "quoteAsset": quote,
        "quotePrecision": 8,
        "filters": [],
    }


def _listed(books: Mapping[Series, Book], desk: Desk) -> dict[str, Market]:
    markets = markets_of(books, "binance", desk.category)
    return {symbol: market for symbol, market in markets.items() if not market.is_forgotten}


def _known_symbol(ask: Ask, books: Mapping[Series, Book], desk: Desk) -> str:
    symbol = ask.query.get("symbol", "")
    if symbol not in _listed(books, desk):
        raise RefusedError(-1121, "Invalid symbol.")
    return symbol


def _number(ask: Ask, name: str, default: int) -> int:
    text = ask.query.get(name)
    if text is None:
        return default
    if not text.isdecimal():
        raise RefusedError(-1100, f"Illegal characters found in parameter '{name}'; legal range is '^[0-9]{{1,20}}$'.")
    return int(text)


def _limit(ask: Ask, default: int, most: int) -> int:
    limit = _number(ask, "limit", default)
    if not 1 <= limit <= most:
        raise RefusedError(-1130, "Data sent for parameter 'limit' is not valid.")
    return limit
