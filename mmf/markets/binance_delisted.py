"""Series of Binance whose symbol REST no longer knows: the archives alone tell what there was."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Final

import polars as pl

from mmf.bars import DAY_MS, Series
from mmf.markets.binance_archives import Archive, fetch_archive, read_archive
from mmf.markets.binance_listing import list_archives
from mmf.markets.http import HttpClient
from mmf.markets.pages import NO_ROWS, Page, Part, closed_stop, in_time_order, missing_numbers, pick_rows
from mmf.markets.streams import in_order
from mmf.ranges import Ranges, clip, intersect, subtract, union

PUBLISHED_MS: Final = 45 * DAY_MS  # days appear the next day, months early in the next one; what is older is all there

_PIECES_AHEAD = 32


class DelistedReader:
    """Reads one series from archives alone.

    What the list of archives and their content lack does not exist at Binance any more, and counts as proven, except
    for the newest 45 days, whose archives may yet appear. A day that is not whole in the archive of its month is looked
    for in the archive of that day.

    Parameters
    ----------
    archives, listing : HttpClient
        Open, for the archive host and for the list of what lies there.
    series : Series
        Of the exchange `binance`.
    time_ms : int
        The exchange's own time.
    """

    def __init__(self, archives: HttpClient, listing: HttpClient, series: Series, *, time_ms: int) -> None:
        self._archives = archives
        self._listing = listing
        self._series = series
        self._grid = series.grid
        self._time_ms = time_ms
        self._published = self._grid.bar_number(time_ms - PUBLISHED_MS)
        self._days: list[Archive] = []

    async def parts(self, numbers: Ranges) -> AsyncGenerator[Part, None]:
        """Yield what there is of ranges of bar numbers, in order; nothing at all where no archive is listed."""
        numbers = clip(numbers, 0, closed_stop(self._grid, self._time_ms))
        if not numbers:
            return
        listed = await list_archives(self._listing, self._series, since=self._date(numbers[0][0]))
        if not listed:
            return
        async with aclosing(in_order(self._plan(numbers, listed), self._piece, n_ahead=_PIECES_AHEAD)) as parts:
            async for part in parts:
                yield part

    def _plan(self, numbers: Ranges, listed: list[Archive]) -> list[Archive | Page]:
        """Months, days that no month holds, and the stretches without any, which are pages that nobody asks for."""
        months = [archive for archive in listed if archive.is_month]
        self._days = [archive for archive in listed if not archive.is_month]
        held = union(*(month.numbers for month in months))
        days = [day for day in self._days if subtract(day.numbers, held)]
        wanted = [replace(one, numbers=intersect(one.numbers, numbers)) for one in (*months, *days)]
        pieces: list[Archive | Page] = [one for one in wanted if one.numbers]
        rest = subtract(numbers, union(*(one.numbers for one in wanted)))
        return sorted([*pieces, *(Page([one]) for one in rest)], key=lambda piece: piece.numbers[0])

    async def _piece(self, piece: Archive | Page) -> Part:
        if isinstance(piece, Page):
            return self._part(NO_ROWS, clip(piece.numbers, 0, self._published))
        rows = await self._rows(piece, piece.numbers)
        missing = piece.numbers if rows is None else self._missing(rows, piece.numbers)
        if not piece.is_month or not missing:
            return self._part(NO_ROWS if rows is None else rows, [] if rows is None else piece.numbers)
        days = [day for day in self._days if intersect(day.numbers, missing)]
        found = await asyncio.gather(*(self._rows(day, intersect(day.numbers, missing)) for day in days))
        lost = union(*(day.numbers for day, table in zip(days, found, strict=True) if table is None))
        whole = in_time_order(pl.concat([table for table in (rows, *found) if table is not None] or [NO_ROWS]))
        left = self._missing(whole, piece.numbers) if rows is None else lost
        return self._part(whole, subtract(piece.numbers, left))

    async def _rows(self, archive: Archive, numbers: Ranges) -> pl.DataFrame | None:
        """Rows of an archive at bar numbers; None where it is listed and yet not there."""
        path = archive.path(self._series)
        content = await fetch_archive(self._archives, path)
        if content is None:
            return None
        table = read_archive(content, path).drop_nulls("open_time")
        return in_time_order(pick_rows(table, numbers, self._grid))

    def _missing(self, rows: pl.DataFrame, numbers: Ranges) -> Ranges:
        return missing_numbers(rows, numbers, self._grid, time_ms=self._time_ms)

    def _part(self, rows: pl.DataFrame, proven: Ranges) -> Part:
        return Part(rows, f"{self._series.exchange}:archive", self._time_ms, proven)

    def _date(self, number: int) -> date:
        return datetime.fromtimestamp(self._grid.open_time_ms(number) / 1_000, UTC).date()
