"""Binance, USDT-M futures and spot, as a source of bars, funding rates and instruments."""

import time
from collections.abc import AsyncGenerator, Callable, Generator, Iterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import NamedTuple

import polars as pl

from mmf.bars import Series
from mmf.errors import CallError
from mmf.markets.binance_ask import PREFIXES, ask_funding, ask_instruments, ask_time_ms
from mmf.markets.binance_reader import BinanceReader
from mmf.markets.feeds import Feed, ask
from mmf.markets.http import HttpClient, HttpOptions, check_base_url
from mmf.markets.pacing import Pacer, shared_pacer
from mmf.markets.source import Batch, Fetched, Want

BASE_URLS = {"um": "https://fapi.binance.com", "spot": "https://api.binance.com"}
ARCHIVE_URL = "https://data.binance.vision"
LISTING_URL = "https://s3-ap-northeast-1.amazonaws.com/data.binance.vision"  # the bucket behind the archive host
WEIGHT_PER_MIN = 2_300  # published: 2,400 for futures and 6,000 for spot; the rest is for a browser at the same address
FUNDING_REQUESTS, FUNDING_WINDOW_S = 450, 300.0  # published: 500

_ARCHIVES_PER_WINDOW, _ARCHIVE_WINDOW_S = 500, 10.0  # nothing is published; this fetches years of months in seconds


class BinanceSource:
    """Klines from archives and REST, funding rates and instruments of Binance; no key is needed.

    Parameters
    ----------
    base_url : str, optional
        Another address of the REST interface, for both categories.
    archive_url : str
        Host of the archives; another one than Binance's must list them itself, as S3 does.
    now_ms : callable
        The local clock, which only stamps `fetched_at`; what has closed is told by the HTTP Date header.
    options : HttpOptions
        Bounds and patience of the requests.
    pacer : Pacer, optional
        For REST and archives alike; by default one for each host, shared by all sources of this process, with a
        weight of 2,300 a minute for REST.

    Notes
    -----
    volume is in coins, turnover is Binance's quote volume. Bars from archives have the source `binance:archive` in
    the ledger, those from REST `binance`.
    """

    def __init__(
        self,
        base_url: str | None = None,
        *,
        archive_url: str = ARCHIVE_URL,
        now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
        options: HttpOptions | None = None,
        pacer: Pacer | None = None,
    ) -> None:
        self.base_url = None if base_url is None else check_base_url(base_url)
        self.archive_url = check_base_url(archive_url)
        self.listing_url = LISTING_URL if self.archive_url == ARCHIVE_URL else self.archive_url
        self.now_ms = now_ms
        self.options = options or HttpOptions()
        self.pacer = pacer

    def batches(
        self, series: Series, wanted: Sequence[tuple[int, int]], /, *, ended_ms: tuple[int, int] | None = None
    ) -> Iterator[Batch]:
        """Yield the wanted bars, oldest first; see `mmf.markets.source.ExchangeSource`.

        Whole past months and days that would take REST more than one request come from archives, their sha256
        verified; everything else, what has no archive yet and what an archive lacks comes from REST. A slot without a
        bar counts as covered once two answers, or an archive and REST, agree on it; what lies behind the last bar only
        where exchangeInfo tells that the symbol is not traded any more, the newest slots never. A symbol that neither
        klines nor exchangeInfo know comes from archives alone; see `mmf.markets.binance_delisted`.

        Raises
        ------
        CallError
            The series is not of Binance, or of a category that is not supported.
        RefusedError
            Binance does not know the symbol, and no archive does.
        BannedError, BlockedError, ExchangeError
            Binance stopped answering, or an archive is damaged; everything before that was yielded.
        """
        _check(series)
        yield from self._feed(series.category).batches(Want(series, wanted, ended_ms))

    def fetch_all(self, wants: Sequence[Want], /) -> Generator[Fetched, None, None]:
        """Yield the bars of each want, in order, 16 series at once; see `mmf.markets.source.ExchangeSource`.

        Raises
        ------
        CallError
            The series are not all of one category of Binance.
        """
        for want in wants:
            _check(want.series)
        categories = {want.series.category for want in wants}
        if len(categories) > 1:
            raise CallError("um and spot are different hosts. Fetch the series of one category at a time.")
        for category in categories:
            yield from self._feed(category).fetch_all(wants)

    def time_ms(self, category: str = "um", /) -> int:
        """Return the exchange's own time."""
        _check_category(category)
        return ask(partial(self._client, category), lambda client: ask_time_ms(client, category))

    def instruments(self, category: str, /) -> pl.DataFrame:
        """Return the instruments of a category; what was delisted long ago is not among them.

        Returns
        -------
        pl.DataFrame
            `mmf.markets.listings.INSTRUMENT_SCHEMA`, sorted by symbol. funding_interval_min is null, and for spot the
            times are null: exchangeInfo does not tell.
        """
        _check_category(category)
        return ask(partial(self._client, category), lambda client: ask_instruments(client, category))

    def funding(self, series: Series, start_ms: int, stop_ms: int, /) -> pl.DataFrame:
        """Return the funding rates of a contract in a half-open range of time, oldest first.

        Returns
        -------
        pl.DataFrame
            funding_time (Datetime ms UTC, some ms after the full hour) and rate (Float64, a share).
        """
        _check(series)
        if series.category == "spot":
            raise CallError(f"{series}: spot has no funding. Ask for a contract of the category um.")
        pacer = shared_pacer(f"{self._url(series.category)} funding", FUNDING_REQUESTS, FUNDING_WINDOW_S)
        client = partial(self._client, series.category, pacer)
        return ask(client, lambda client: ask_funding(client, series, start_ms, stop_ms))

    def _url(self, category: str) -> str:
        return self.base_url or BASE_URLS[category]

    def _client(self, category: str, pacer: Pacer | None = None) -> HttpClient:
        url = self._url(category)
        pacer = pacer or self.pacer or shared_pacer(url + PREFIXES[category], WEIGHT_PER_MIN, 60.0)
        return HttpClient(url, pacer=pacer, options=self.options)

    def _archive_client(self, url: str) -> HttpClient:
        pacer = self.pacer or shared_pacer(f"{url} archives", _ARCHIVES_PER_WINDOW, _ARCHIVE_WINDOW_S)
        return HttpClient(url, pacer=pacer, options=self.options)

    @asynccontextmanager
    async def _clients(self, category: str) -> AsyncGenerator["_Clients", None]:
        async with (
            self._client(category) as rest,
            self._archive_client(self.archive_url) as archives,
            self._archive_client(self.listing_url) as listing,
        ):
            yield _Clients(rest, archives, listing)

    def _feed(self, category: str) -> "Feed[_Clients]":
        return Feed(
            partial(self._clients, category), lambda clients, series: BinanceReader(*clients, series), self.now_ms
        )


# ------------------------------------------------------------------------------------


class _Clients(NamedTuple):
    rest: HttpClient
    archives: HttpClient
    listing: HttpClient


def _check(series: Series) -> None:
    if series.exchange != "binance":
        raise CallError(f"{series} is not a series of Binance. Its exchange must be 'binance'.")
    _check_category(series.category)


def _check_category(category: str) -> None:
    if category == "cm":
        raise CallError("category cm (coin-margined futures) is not supported. Use um or spot, or mmf ingest files.")
    if category not in PREFIXES:
        raise CallError(f"category {category!r} is not of Binance. Use one of {' '.join(PREFIXES)}.")
