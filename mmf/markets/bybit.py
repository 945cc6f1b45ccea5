"""Bybit v5 as a source of bars, funding rates and instruments."""

import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Iterator, Sequence
from contextlib import aclosing
from typing import TypeVar

import polars as pl

from mmf.bars import Series
from mmf.errors import CallError
from mmf.markets.bybit_reader import BybitReader, ask_instruments, ask_time_ms
from mmf.markets.http import HttpClient, HttpOptions, check_base_url
from mmf.markets.pacing import Pacer, shared_pacer
from mmf.markets.pages import to_batch, wanted_numbers
from mmf.markets.source import Batch, Fetched, Want
from mmf.markets.streams import collected, in_groups, in_order, iterate, run

T = TypeVar("T")

BYBIT_URL = "https://api.bybit.com"
CATEGORIES = ("linear", "inverse", "spot")
REQUESTS_PER_WINDOW, WINDOW_S = 600, 5.0  # published for every IP address

_BATCH_PAGES = 32
_SERIES_AHEAD = 16


class BybitSource:
    """Klines, funding rates and instruments of Bybit v5; no key is needed.

    Parameters
    ----------
    base_url : str
        Another address of the exchange, for regions that the first does not serve.
    now_ms : callable
        The local clock, which only stamps `fetched_at`; what has closed is told by the exchange's own time.
    options : HttpOptions, optional
        Bounds and patience of the requests.
    pacer : Pacer, optional
        By default one for all sources of this process with the same host, at 600 requests in 5 seconds.

    Notes
    -----
    volume is in coins and turnover in the quote currency, except for inverse contracts: there volume counts contracts
    of one US dollar and turnover is in coins, as Bybit sends them.
    """

    def __init__(
        self,
        base_url: str = BYBIT_URL,
        *,
        now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
        options: HttpOptions | None = None,
        pacer: Pacer | None = None,
    ) -> None:
        self.base_url = check_base_url(base_url)
        self.now_ms = now_ms
        self.options = options or HttpOptions()
        self.pacer = pacer or shared_pacer(self.base_url, REQUESTS_PER_WINDOW, WINDOW_S)

    def batches(
        self, series: Series, wanted: Sequence[tuple[int, int]], /, *, ended_ms: int | None = None
    ) -> Iterator[Batch]:
        """Yield the wanted bars, oldest first, 32 requests a batch; see `mmf.markets.source.ExchangeSource`.

        The requests run in a thread, up to 256 pages ahead of the consumer. A slot without a bar counts as covered
        once two answers agree on it, or where it lies outside the life of the instrument.

        Raises
        ------
        CallError
            The series is not of Bybit.
        RefusedError
            Bybit does not know the symbol.
        BannedError, BlockedError, ExchangeError
            Bybit stopped answering; everything before that was yielded.
        """
        _check(series)
        yield from iterate(self._batches(Want(series, wanted, ended_ms)))

    def fetch_all(self, wants: Sequence[Want], /) -> Generator[Fetched, None, None]:
        """Yield the bars of each want, in order, 16 series at once; see `mmf.markets.source.ExchangeSource`."""
        for want in wants:
            _check(want.series)
        yield from iterate(self._fetched(wants))

    def time_ms(self) -> int:
        """Return the exchange's own time."""
        return self._run(ask_time_ms)

    def instruments(self, category: str, /) -> pl.DataFrame:
        """Return all instruments of a category, those that are no longer traded included.

        Returns
        -------
        pl.DataFrame
            `mmf.markets.listings.INSTRUMENT_SCHEMA`, sorted by symbol. launch_ms and delivery_ms are null where Bybit
            does not tell (spot).
        """
        _check_category(category)
        return self._run(lambda client: ask_instruments(client, category))

    def funding(self, series: Series, start_ms: int, stop_ms: int, /) -> pl.DataFrame:
        """Return the funding rates of an instrument in a half-open range of time, oldest first.

        Returns
        -------
        pl.DataFrame
            funding_time (Datetime ms UTC) and rate (Float64, a share: 0.0001 is one basis point).
        """
        _check(series)
        if series.category == "spot":
            raise CallError(f"{series}: spot has no funding. Ask for a linear or inverse contract.")
        return self._run(lambda client: BybitReader(client, series).funding(start_ms, stop_ms))

    def _run(self, work: Callable[[HttpClient], Awaitable[T]]) -> T:
        async def with_client() -> T:
            async with self._client() as client:
                return await work(client)

        return run(with_client())

    def _client(self) -> HttpClient:
        return HttpClient(self.base_url, pacer=self.pacer, options=self.options)

    async def _batches(self, want: Want) -> AsyncGenerator[Batch, None]:
        async with self._client() as client, aclosing(self._batches_of(want, client)) as batches:
            async for batch in batches:
                yield batch

    async def _fetched(self, wants: Sequence[Want]) -> AsyncGenerator[Fetched, None]:
        async with self._client() as client:

            async def whole(want: Want) -> Fetched:
                return Fetched(*await collected(self._batches_of(want, client)))

            async with aclosing(in_order(wants, whole, n_ahead=_SERIES_AHEAD)) as answers:
                async for fetched in answers:
                    yield fetched

    async def _batches_of(self, want: Want, client: HttpClient) -> AsyncGenerator[Batch, None]:
        series, grid = want.series, want.series.grid
        ended = None if want.ended_ms is None else grid.bar_number(want.ended_ms)
        parts = BybitReader(client, series).parts(wanted_numbers(want.ranges, grid), ended=ended)
        async with aclosing(in_groups(parts, has_room=lambda group, _: len(group) < _BATCH_PAGES)) as groups:
            async for group in groups:
                yield to_batch(series, group, fetched_at_ms=self.now_ms())


# ------------------------------------------------------------------------------------


def _check(series: Series) -> None:
    if series.exchange != "bybit":
        raise CallError(f"{series} is not a series of Bybit. Its exchange must be 'bybit'.")
    _check_category(series.category)


def _check_category(category: str) -> None:
    if category not in CATEGORIES:
        raise CallError(f"category {category!r} is not of Bybit. Use one of {' '.join(CATEGORIES)}.")
