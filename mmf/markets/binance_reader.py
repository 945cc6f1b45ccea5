"""What there is to ask Binance: pages of klines, archives with their holes filled by pages, funding, listings."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Final

import polars as pl

from mmf.bars import Series
from mmf.markets import binance_rest
from mmf.markets.binance_archives import Archive, fetch_archive, plan_archives, read_archive
from mmf.markets.binance_rest import INTERVAL_NAMES
from mmf.markets.http import HttpClient
from mmf.markets.listings import FUNDING_SCHEMA
from mmf.markets.pages import (
    NO_ROWS,
    Page,
    Part,
    closed_stop,
    in_time_order,
    is_nothing_due,
    merge_answers,
    missing_numbers,
    pick_rows,
    plan_pages,
)
from mmf.markets.streams import in_order
from mmf.ranges import Ranges, clip, subtract

PREFIXES: Final = {"um": "/fapi/v1", "spot": "/api/v3"}

_PAGE_ROWS = 1_000
_PIECES_AHEAD = 32
_FUNDING_ROWS = 1_000
_EXCHANGE_INFO_COST = {"um": 1, "spot": 20}
_NEVER = 1 << 62  # as a bar number


async def ask_time_ms(client: HttpClient, category: str, /) -> int:
    """Return the exchange's own time."""
    read = binance_rest.reader(lambda body, _: int(body["serverTime"]), asked="its time")
    return await client.get(f"{PREFIXES[category]}/time", {}, read)


async def ask_instruments(client: HttpClient, category: str, /) -> pl.DataFrame:
    """Return every instrument of a category as `INSTRUMENT_SCHEMA`, sorted by symbol."""
    read = binance_rest.reader(lambda body, _: binance_rest.instruments(body), asked=f"instruments of {category}")
    return await client.get(f"{PREFIXES[category]}/exchangeInfo", {}, read, cost=_EXCHANGE_INFO_COST[category])


async def ask_funding(client: HttpClient, series: Series, start_ms: int, stop_ms: int, /) -> pl.DataFrame:
    """Return the rates of a half-open range of time as `FUNDING_SCHEMA`, oldest first."""
    read = binance_rest.reader(
        lambda body, _: binance_rest.funding(body, symbol=series.symbol), asked=f"funding of {series}"
    )
    frames = [pl.DataFrame(schema=FUNDING_SCHEMA)]
    while start_ms < stop_ms:
        query = {"symbol": series.symbol, "startTime": start_ms, "endTime": stop_ms - 1, "limit": _FUNDING_ROWS}
        frames.append(await client.get(f"{PREFIXES[series.category]}/fundingRate", query, read))
        if frames[-1].height < _FUNDING_ROWS:
            break
        start_ms = int(frames[-1]["funding_time"].to_physical().to_numpy().max()) + 1
    return pl.concat(frames).unique("funding_time").sort("funding_time")


class BinanceReader:
    """Reads one series through two clients.

    Parameters
    ----------
    rest, archives : HttpClient
        Open, for the REST interface and for the archive host.
    series : Series
        Of the exchange `binance`.
    """

    def __init__(self, rest: HttpClient, archives: HttpClient, series: Series) -> None:
        self._rest = rest
        self._archives = archives
        self._series = series
        self._grid = series.grid
        self._time_ms = 0
        self._ended_at = _NEVER  # from this bar number on no answer had a bar: nothing more is asked, nothing is proven
        self._asking_delivery = asyncio.Lock()
        self._delivered_at: int | None = None  # from this bar number on there is nothing, as exchangeInfo tells

    async def parts(self, numbers: Ranges) -> AsyncGenerator[Part, None]:
        """Yield what there is of ranges of bar numbers, in order.

        The first page is asked of REST, alone: its answer tells the exchange's time, and so which archives can exist;
        most updates end with it, and where an archive holds it, that is taken. Where it is empty, the first bar after
        it is asked for, so that nobody looks for archives of the years before the listing.
        """
        first = next(plan_pages(numbers, limit=_PAGE_ROWS), None)
        if first is None:
            return
        answer = await self._ask(first)
        self._time_ms, stop = answer.time_ms, closed_stop(self._grid, answer.time_ms)
        start = 0
        if answer.rows.is_empty() and not is_nothing_due(first.numbers, self._grid, time_ms=answer.time_ms):
            found = await self._next_bar(first.start)
            start = min(found, stop)
            yield self._nothing(clip(numbers, 0, start), before=found)
        pieces = self._plan(clip(numbers, start, stop))
        if not start and not (pieces and isinstance(pieces[0], Archive)):
            yield await self._settled(first, answer)
            pieces = self._plan(clip(numbers, first.stop, stop))
        async with aclosing(in_order(pieces, self._piece, n_ahead=_PIECES_AHEAD)) as answers:
            async for parts in answers:
                for part in parts:
                    yield part

    def _plan(self, numbers: Ranges) -> list[Archive | Page]:
        return list(plan_archives(numbers, self._grid, page_rows=_PAGE_ROWS))

    async def _piece(self, piece: Archive | Page) -> list[Part]:
        if piece.numbers[0][0] >= self._ended_at:
            return [self._nothing(piece.numbers, before=_NEVER)]
        if isinstance(piece, Page):
            return [await self._settled(piece, await self._ask(piece))]
        path = piece.path(self._series)
        content = await fetch_archive(self._archives, path)
        if content is not None:
            return await self._completed(piece, read_archive(content, path))
        if (found := await self._next_bar(piece.numbers[0][0])) >= piece.numbers[-1][1]:
            return [self._nothing(piece.numbers, before=found)]
        smaller = piece.days(self._grid) if piece.is_month else plan_pages(piece.numbers, limit=_PAGE_ROWS)
        answers = await asyncio.gather(*(self._piece(one) for one in smaller))
        return [part for parts in answers for part in parts]

    async def _completed(self, archive: Archive, table: pl.DataFrame) -> list[Part]:
        """Ask REST once for the bars that an archive lacks; what both lack does not exist."""
        rows = in_time_order(pick_rows(table.drop_nulls("open_time"), archive.numbers, self._grid))
        missing = missing_numbers(rows, archive.numbers, self._grid, time_ms=self._time_ms)
        part = Part(rows, f"{self._series.exchange}:archive", self._time_ms, subtract(archive.numbers, missing))
        pages = plan_pages(missing, limit=_PAGE_ROWS)
        return [part, *await asyncio.gather(*(self._ask(page) for page in pages))]

    async def _settled(self, page: Page, answer: Part) -> Part:
        """Ask again while bars are missing and the last answer brought some: what two answers lack does not exist."""
        missing = self._missing(page, answer)
        if missing and answer.rows.is_empty() and (found := await self._next_bar(page.start)) >= page.stop:
            return self._nothing(page.numbers, before=found)
        while missing:
            answer = merge_answers(answer, await self._ask(page))
            before, missing = missing, self._missing(page, answer)
            if missing == before:
                break
        return answer

    def _missing(self, page: Page, answer: Part) -> Ranges:
        return missing_numbers(answer.rows, page.numbers, self._grid, time_ms=answer.time_ms)

    async def _ask(self, page: Page) -> Part:
        start_ms, end_ms = self._grid.open_time_ms(page.start), self._grid.open_time_ms(page.stop - 1)
        query = {"startTime": start_ms, "endTime": end_ms, "limit": page.stop - page.start}
        rows, time_ms = await self._ask_klines(query)
        return Part(pick_rows(rows, page.numbers, self._grid), self._series.exchange, time_ms, page.numbers)

    async def _next_bar(self, number: int) -> int:
        """Number of the first bar from a number on, the end of time where two answers know none."""
        for _ in range(2):
            rows, _ = await self._ask_klines({"startTime": self._grid.open_time_ms(number), "limit": 1})
            if rows.height:
                return self._grid.bar_number(rows["open_time"].to_physical()[0])
        await self._ask_delivery()
        self._ended_at = min(self._ended_at, number)
        return _NEVER

    def _nothing(self, numbers: Ranges, *, before: int) -> Part:
        """No rows: proven by the bar found behind them; where none was, only what follows the told delivery.

        Empty answers may lie, and an end that they make up would hide the rest of a series for good.
        """
        proven = numbers if before < _NEVER else clip(numbers, self._delivered_at or _NEVER, _NEVER)
        return Part(NO_ROWS, self._series.exchange, self._time_ms, proven)

    async def _ask_delivery(self) -> None:
        async with self._asking_delivery:
            if self._delivered_at is not None:
                return
            self._delivered_at = _NEVER
            if self._series.category != "spot":  # whose exchangeInfo tells no date
                listed = await ask_instruments(self._rest, self._series.category)
                ended = listed.filter(pl.col("symbol") == self._series.symbol, pl.col("status") != "TRADING")
                for delivery_ms in ended["delivery_ms"].drop_nulls():
                    self._delivered_at = self._grid.bar_number(delivery_ms - 1) + 1

    async def _ask_klines(self, query: dict[str, int]) -> tuple[pl.DataFrame, int]:
        series = self._series
        path = f"{PREFIXES[series.category]}/klines"
        named = {"symbol": series.symbol, "interval": INTERVAL_NAMES[series.interval], **query}
        read = binance_rest.reader(
            lambda body, time_ms: (binance_rest.klines(body), time_ms), asked=f"klines of {series}"
        )
        return await self._rest.get(path, named, read, cost=_cost(series.category, query["limit"]))


# ------------------------------------------------------------------------------------


def _cost(category: str, limit: int) -> int:
    """What Binance counts for klines towards its weight of a minute."""
    if category == "spot":
        return 2
    return 1 if limit < 100 else 2 if limit < 500 else 5
