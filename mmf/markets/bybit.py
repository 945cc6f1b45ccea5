"""Bybit v5 as a source of bars, funding rates and instruments."""

import time
from collections.abc import Callable, Generator, Iterator, Sequence

import polars as pl

from mmf.bars import Series
from mmf.errors import CallError
from mmf.markets.bybit_reader import BybitReader, ask_instruments, ask_time_ms
from mmf.markets.feeds import Feed, ask
from mmf.markets.http import HttpClient, HttpOptions, check_base_url
from mmf.markets.pacing import Pacer, shared_pacer
from mmf.markets.source import Batch, Fetched, Want

BYBIT_URL = "https://api.bybit.com"
CATEGORIES = ("linear", "inverse", "spot")
REQUESTS_PER_WINDOW, WINDOW_S = 600, 5.0  # published for every IP address


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
        self, series: Series, wanted: Sequence[tuple[int, int]], /, *, ended_ms: tuple[int, int] | None = None
    ) -> Iterator[Batch]:
        """Yield the wanted bars, oldest first, 32 answers a batch; see `mmf.markets.source.ExchangeSource`.

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
        yield from self._feed().batches(Want(series, wanted, ended_ms))

    def fetch_all(self, wants: Sequence[Want], /) -> Generator[Fetched, None, None]:
        """Yield the bars of each want, in order, 16 series at once; see `mmf.markets.source.ExchangeSource`."""
        for want in wants:
            _check(want.series)
        yield from self._feed().fetch_all(wants)

    def time_ms(self) -> int:
        """Return the exchange's own time."""
        return ask(self._client, ask_time_ms)

    def instruments(self, category: str, /) -> pl.DataFrame:
        """Return all instruments of a category, those that are no longer traded included.

        Returns
        -------
        pl.DataFrame
            `mmf.markets.listings.INSTRUMENT_SCHEMA`, sorted by symbol. launch_ms and delivery_ms are null where Bybit
            does not tell (spot).
        """
        _check_category(category)
        return ask(self._client, lambda client: ask_instruments(client, category))

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
        return ask(self._client, lambda client: BybitReader(client, series).funding(start_ms, stop_ms))

    def _client(self) -> HttpClient:
        return HttpClient(self.base_url, pacer=self.pacer, options=self.options)

    def _feed(self) -> Feed[HttpClient]:
        return Feed(self._client, BybitReader, self.now_ms)


# ------------------------------------------------------------------------------------


def _check(series: Series) -> None:
    if series.exchange != "bybit":
        raise CallError(f"{series} is not a series of Bybit. Its exchange must be 'bybit'.")
    _check_category(series.category)


def _check_category(category: str) -> None:
    if category not in CATEGORIES:
        raise CallError(f"category {category!r} is not of Bybit. Use one of {' '.join(CATEGORIES)}.")
