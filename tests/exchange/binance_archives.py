"""Binance's public archives: one zip a day or month below /data, each with a .CHECKSUM beside it; their list at /."""

import re
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from io import BytesIO
from typing import Literal

import polars as pl

from mmf.bars import Series
from tests.exchange.ask import Ask
from tests.exchange.binance_wire import INTERVALS, columns
from tests.exchange.book import Book
from tests.exchange.http_server import Answer

_PATH = re.compile(
    r"/data/(?P<market>futures/um|spot)/(?P<span>daily|monthly)/klines/(?P<symbol>[A-Z0-9]+)/(?P<interval>\w+)/"
    r"(?P<stem>(?P=symbol)-(?P=interval)-(?P<date>\d{4}-\d\d(?:-\d\d)?))\.zip(?P<checksum>\.CHECKSUM)?"
)
LIST_PATH = "/"
_MOST_KEYS = 1_000
_AMOUNTS = ("volume", "quote_volume", "taker_buy_volume", "taker_buy_quote_volume")
_MICROSECONDS_FROM = datetime(2025, 1, 1, tzinfo=UTC)  # spot archives of earlier days count milliseconds


@dataclass(frozen=True)
class ArchiveStyle:
    """How archives are written where it varies; None is Binance's own habit.

    Attributes
    ----------
    header : bool, optional
        A line of column names: futures have it, spot has not.
    unit : "ms" or "us", optional
        Of the timestamps: microseconds in spot archives of 2025 and later, milliseconds elsewhere.
    lag_ms : int
        How long after its last bar a file appears.
    """

    header: bool | None = None
    unit: Literal["ms", "us"] | None = None
    lag_ms: int = 0


def respond(ask: Ask, books: Mapping[Series, Book], style: ArchiveStyle, fault: str | None) -> Answer:
    """Answer a path below /data/: the file, its checksum, or 404 where there is none (yet); or the list of them."""
    if ask.path == LIST_PATH:
        return _list(ask, books, style)
    match = _PATH.fullmatch(ask.path)
    content = match and _content(match, ask.now_ms, books, style)
    if not match or content is None or fault == "no_archive":
        return Answer(_NO_SUCH_KEY, 404, "application/xml")
    if match["checksum"]:
        summed = content if fault != "bad_checksum" else content[::-1]
        line = f"{sha256(summed).hexdigest()}  {match['stem']}.zip\n"
        return Answer(line.encode("ascii"), content_type="binary/octet-stream")
    return Answer(content, content_type="application/zip")


# ------------------------------------------------------------------------------------

_NO_SUCH_KEY = (
    b'<?xml version="1.0" encoding="UTF-8"?>\n'
    b"<Error><Code>NoSuchKey</Code><Message>The specified key does not exist.</Message></Error>"
)


def _list(ask: Ask, books: Mapping[Series, Book], style: ArchiveStyle) -> Answer:
    """What S3 answers to ListObjects: names in alphabetical order behind a marker, at most a thousand of them."""
    after = ask.query.get("marker", "")
    keys = [key for key in _keys(ask.query["prefix"], ask.now_ms, books, style) if key > after]
    entries = "".join(f"<Contents><Key>{key}</Key></Contents>" for key in keys[:_MOST_KEYS])
    is_truncated = str(len(keys) > _MOST_KEYS).lower()
    body = (
        '<?xml version="1.0" encoding="UTF-8"?>\n<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
        f"<Name>data.binance.vision</Name><IsTruncated>{is_truncated}</IsTruncated>{entries}</ListBucketResult>"
    )
    return Answer(body.encode("ascii"), content_type="application/xml")


def _keys(prefix: str, now_ms: int, books: Mapping[Series, Book], style: ArchiveStyle) -> list[str]:
    """Names of the files of one folder, such as data/spot/daily/klines/BTCUSDT/1h/BTCUSDT-1h-, sorted."""
    match = _PATH.match(f"/{prefix}2024-01{'-01' if '/daily/' in prefix else ''}.zip")
    book = _book(match, books) if match else None
    if match is None or book is None:
        return []
    form = "%Y-%m-%d" if match["span"] == "daily" else "%Y-%m"
    dates = book.market.bars["open_time"].dt.strftime(form).unique().sort()
    ended = [(date, days[1]) for date in dates if (days := _days(date, match["span"]))]
    closed_ms = _closed_ms(book, now_ms)
    with_bars = [date for date, stop in ended if stop.timestamp() * 1_000 + style.lag_ms <= now_ms]
    first_out = datetime.fromtimestamp(closed_ms / 1_000, UTC).strftime(form)
    return [f"{prefix}{date}.zip{end}" for date in with_bars if date <= first_out for end in ("", ".CHECKSUM")]


def _closed_ms(book: Book, now_ms: int) -> int:
    """Time of the newest bar that is served."""
    n_closed = book.n_closed(now_ms)
    return int(book.open_time_ms[n_closed - 1]) if n_closed else -1


def _book(match: re.Match[str], books: Mapping[Series, Book]) -> Book | None:
    category = "spot" if match["market"] == "spot" else "um"
    interval = INTERVALS.get(match["interval"])
    return books.get(Series("binance", category, match["symbol"], interval)) if interval else None


def _content(match: re.Match[str], now_ms: int, books: Mapping[Series, Book], style: ArchiveStyle) -> bytes | None:
    days = _days(match["date"], match["span"])
    book = _book(match, books)
    if days is None or book is None or now_ms < days[1].timestamp() * 1_000 + style.lag_ms:
        return None
    bars = book.market.bars.head(book.n_closed(now_ms))
    bars = bars.filter(pl.col("open_time").is_between(*days, closed="left"))
    if not bars.height:
        return None
    is_spot = match["market"] == "spot"
    unit = style.unit or ("us" if is_spot and days[0] >= _MICROSECONDS_FROM else "ms")
    table = columns(bars, book.market.series.grid.ms, is_spot=is_spot, unit_us=unit == "us")
    if not is_spot:  # futures write an hour without trades as 0, not as 0.000
        table = table.with_columns(pl.col(_AMOUNTS).str.replace(r"^0\.0+$", "0"))
    has_header = not is_spot if style.header is None else style.header
    return _zipped(f"{match['stem']}.csv", table.write_csv(include_header=has_header, quote_style="never"))


def _days(date: str, span: str) -> tuple[datetime, datetime] | None:
    """First and next midnight of a day "2024-10-28" or a month "2024-10"; None for a date of the other span."""
    try:
        first = datetime.strptime(date, "%Y-%m-%d" if span == "daily" else "%Y-%m").replace(tzinfo=UTC)
    except ValueError:
        return None
    if span == "daily":
        return first, first + timedelta(days=1)
    return first, (first + timedelta(days=31)).replace(day=1)


def _zipped(name: str, text: str) -> bytes:
    """The same bytes each time, so that the checksum of the next request holds."""
    file = BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(zipfile.ZipInfo(name, (2024, 1, 1, 0, 0, 0)), text, zipfile.ZIP_DEFLATED)
    return file.getvalue()
