"""Reads a series of Binance: from archives, whose holes are filled by pages, and from pages."""

import asyncio
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing

import polars as pl

from mmf.bars import DAY_MS, Series
from mmf.markets.binance_archives import Archive, fetch_archive, plan_archives, read_archive
from mmf.markets.binance_ask import NEVER, Klines, ask_instrument, ask_time_ms
from mmf.markets.binance_delisted import DelistedReader
from mmf.markets.errors import UnknownSymbolError
from mmf.markets.feeds import settled
from mmf.markets.http import HttpClient
from mmf.markets.pages import (
    NO_ROWS,
    Page,
    Part,
    closed_stop,
    in_time_order,
    is_nothing_due,
    missing_numbers,
    missing_of,
    pick_rows,
    plan_pages,
)
from mmf.markets.streams import in_order
from mmf.ranges import Ranges, clip, subtract, union

_PAGE_ROWS = 1_000
_PIECES_AHEAD = 32
_DAYS_AT_ONCE = 31


class BinanceReader:
    """Reads one series.

    Parameters
    ----------
    rest, archives, listing : HttpClient
        Open, for the REST interface, for the archive host and for the list of what lies there.
    series : Series
        Of the exchange `binance`.
    """

    def __init__(self, rest: HttpClient, archives: HttpClient, listing: HttpClient, series: Series) -> None:
        self._rest = rest
        self._archives = archives
        self._listing = listing
        self._series = series
        self._grid = series.grid
        self._klines = Klines(rest, series)
        self._time_ms = 0

    async def parts(self, numbers: Ranges, *, ended: tuple[int, int] | None = None) -> AsyncGenerator[Part, None]:
        """Yield what there is of ranges of bar numbers, in order.

        The first page is asked of REST, alone: its answer tells the exchange's time, and so which archives can exist;
        most updates end with it, and where an archive holds it, that is taken. Where it is empty, the first bar after
        it is asked for, so that nobody looks for archives of the years before the listing; where more is to come, the
        newest bar, so that nobody looks for those after the end.

        Parameters
        ----------
        numbers : list of (int, int)
            Ranges of bar numbers.
        ended : (int, int), optional
            Bar numbers of the newest stored bars, with which the series is known to have ended: one answer for them
            and for any after them is enough if it agrees.
        """
        if ended is not None and (end := await self._klines.end_again(ended)) is not None:
            for part in end:
                yield part
            numbers = clip(numbers, 0, ended[0])
        first = next(plan_pages(numbers, limit=_PAGE_ROWS), None)
        if first is None:
            return
        try:
            answer = await self._klines.page(first)
        except UnknownSymbolError as error:
            parts = self._delisted(numbers, error)
        else:
            parts = self._listed(numbers, first, answer)
        async with aclosing(parts):
            async for part in parts:
                yield part

    async def _listed(self, numbers: Ranges, first: Page, answer: Part) -> AsyncGenerator[Part, None]:
        self._time_ms = answer.time_ms
        numbers = clip(numbers, 0, closed_stop(self._grid, answer.time_ms))
        if answer.rows.is_empty() and not is_nothing_due(first.numbers, self._grid, time_ms=answer.time_ms):
            found = await self._klines.next_from(first.start)
            yield await self._nothing(clip(numbers, 0, found), before=found)
            numbers = clip(numbers, found, NEVER)
        elif not isinstance(next(self._plan(numbers), None), list):
            yield await self._settled(first, answer)
            numbers = clip(numbers, first.stop, NEVER)
        if not numbers:
            return
        end = await self._klines.end(self._time_ms)
        pieces = self._plan(clip(numbers, 0, end))
        async with aclosing(in_order(pieces, self._piece, n_ahead=_PIECES_AHEAD)) as answers:
            async for parts in answers:
                for part in parts:
                    yield part
        if dead := clip(numbers, end, NEVER):
            yield await self._nothing(dead, before=NEVER)

    async def _delisted(self, numbers: Ranges, error: UnknownSymbolError) -> AsyncGenerator[Part, None]:
        """Read from archives alone what neither klines nor exchangeInfo know; refuse what no archive knows either."""
        if await ask_instrument(self._rest, self._series) is not None:
            raise error
        time_ms = await ask_time_ms(self._rest, self._series.category)
        reader = DelistedReader(self._archives, self._listing, self._series, time_ms=time_ms)
        is_known = False
        async with aclosing(reader.parts(numbers)) as parts:
            async for part in parts:
                is_known = True
                yield part
        if not is_known:
            raise error

    def _plan(self, numbers: Ranges) -> Iterator[list[Archive] | Page]:
        """Months, runs of days, and pages; in order."""
        days: list[Archive] = []
        for piece in plan_archives(numbers, self._grid, page_rows=_PAGE_ROWS):
            is_day = isinstance(piece, Archive) and not piece.is_month
            if days and (not is_day or len(days) >= _DAYS_AT_ONCE):
                yield days
                days = []
            if isinstance(piece, Page):
                yield piece
            elif piece.is_month:
                yield [piece]
            else:
                days.append(piece)
        if days:
            yield days

    async def _piece(self, piece: list[Archive] | Page) -> list[Part]:
        if isinstance(piece, Page):
            return [await self._settled(piece, await self._klines.page(piece))]
        return await self._archived(piece)

    async def _archived(self, archives: list[Archive]) -> list[Part]:
        """Rows of neighbouring archives; what they lack is asked of REST in full pages."""
        tables = await asyncio.gather(*(self._rows(archive) for archive in archives))
        read = [archive for archive, table in zip(archives, tables, strict=True) if table is not None]
        numbers, in_files = (union(*(archive.numbers for archive in some)) for some in (archives, read))
        if not read and (found := await self._klines.next_from(numbers[0][0])) >= numbers[-1][1]:
            return [await self._nothing(numbers, before=found)]
        if not read and archives[0].is_month and self._grid.ms * _PAGE_ROWS < DAY_MS:
            return await self._archived(archives[0].days(self._grid))
        rows = pl.concat([NO_ROWS, *(table for table in tables if table is not None)])
        missing = missing_numbers(rows, numbers, self._grid, time_ms=self._time_ms)
        part = Part(rows, f"{self._series.exchange}:archive", self._time_ms, subtract(in_files, missing))
        pages = plan_pages(missing, limit=_PAGE_ROWS)
        return [*([part] if read else []), *await asyncio.gather(*(self._filled(page, in_files) for page in pages))]

    async def _rows(self, archive: Archive) -> pl.DataFrame | None:
        path = archive.path(self._series)
        content = await fetch_archive(self._archives, path)
        if content is None:
            return None
        table = read_archive(content, path).drop_nulls("open_time")
        return in_time_order(pick_rows(table, archive.numbers, self._grid))

    async def _filled(self, page: Page, in_files: Ranges) -> Part:
        """Ask for what archives lack; what REST lacks too does not exist, and what no archive holds is settled."""
        answer = await self._klines.page(page)
        return await self._settled(page, answer) if subtract(missing_of(page, answer, self._grid), in_files) else answer

    async def _settled(self, page: Page, answer: Part) -> Part:
        if answer.rows.is_empty() and missing_of(page, answer, self._grid):
            found = await self._klines.next_from(page.start)
            if found >= page.stop:
                return await self._nothing(page.numbers, before=found)
        return await settled(page, answer, self._klines.page, self._grid)

    async def _nothing(self, numbers: Ranges, *, before: int) -> Part:
        """No rows: proven by the bar found behind them, or by a contract that has ended.

        Empty answers alone prove nothing: they may lie, and an end that they make up would hide the rest of a series.
        """
        proven = numbers if before < NEVER else clip(numbers, await self._klines.over_from(), NEVER)
        return Part(NO_ROWS, self._series.exchange, self._time_ms, proven)
