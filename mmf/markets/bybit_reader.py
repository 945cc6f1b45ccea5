"""What there is to ask Bybit: pages of klines, the life of an instrument, funding, listings."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import polars as pl

from mmf.bars import DAY_MS, Interval, Series
from mmf.markets import bybit_rest
from mmf.markets.bybit_rest import Envelope
from mmf.markets.feeds import settled
from mmf.markets.http import HttpClient
from mmf.markets.listings import FUNDING_SCHEMA, whole_funding
from mmf.markets.pages import (
    NO_ROWS,
    Page,
    Part,
    closed_stop,
    end_part,
    is_nothing_due,
    missing_of,
    pick_rows,
    plan_pages,
)
from mmf.markets.streams import in_order
from mmf.ranges import Ranges, clip, subtract

T = TypeVar("T")

_PAGE_ROWS = 1_000
_PAGES_AHEAD = 256
_FUNDING_ROWS = 200
_FUNDING_WINDOW_MS = _FUNDING_ROWS * DAY_MS // 3  # one answer, where funding is every eight hours
_BEFORE_LAUNCH_MS = 10 * DAY_MS  # the first bar of BTCUSDT lies five days before its launchTime
_EARLIEST_MS = 1_514_764_800_000  # 2018-01-01: Bybit opened in that year
_LATEST_MS = 4_102_444_800_000  # 2100-01-01
_STATUSES: Final[dict[str, tuple[str | None, ...]]] = {"spot": (None,)}  # spot lists all at once
_ALL_STATUSES = (None, "PreLaunch", "Delivering", "Closed")


async def ask_time_ms(client: HttpClient, /) -> int:
    """Return the exchange's own time."""
    return await _get(client, "time", {}, lambda envelope: envelope.time_ms, asked="its time")


async def ask_instruments(client: HttpClient, category: str, /) -> pl.DataFrame:
    """Return every instrument of a category as `INSTRUMENT_SCHEMA`, sorted by symbol."""
    entries: list[dict[str, Any]] = []
    for status in _STATUSES.get(category, _ALL_STATUSES):
        entries += (await _listed(client, category, status=status))[0]
    return bybit_rest.instruments(entries)


class BybitReader:
    """Reads one series through one client.

    Parameters
    ----------
    client : HttpClient
        Open.
    series : Series
        Of the exchange `bybit`.
    """

    def __init__(self, client: HttpClient, series: Series) -> None:
        self._client = client
        self._series = series
        self._grid = series.grid
        self._asking_life = asyncio.Lock()
        self._life: _Life | None = None

    async def parts(self, numbers: Ranges, *, ended: tuple[int, int] | None = None) -> AsyncGenerator[Part, None]:
        """Yield what there is of ranges of bar numbers, in order.

        The first page is asked alone: its answer tells the exchange's time, and so where to stop; most updates end
        with it. Empty, it makes one ask for the instrument's life, so that nobody pages through years before it.

        Parameters
        ----------
        numbers : list of (int, int)
            Ranges of bar numbers.
        ended : (int, int), optional
            Bar numbers of the newest stored bars, with which the series is known to have ended: one answer for them
            and for any after them is enough if it agrees.
        """
        if ended is not None and (end := await self._end_again(ended)) is not None:
            yield end
            numbers = clip(numbers, 0, ended[0])
        first = next(plan_pages(numbers, limit=_PAGE_ROWS), None)
        if first is None:
            return
        answer = await self._ask(first)
        if answer.rows.is_empty() and not is_nothing_due(first.numbers, self._grid, time_ms=answer.time_ms):
            life = await self._ask_life()
            numbers = clip(numbers, 0, closed_stop(self._grid, life.time_ms))
            alive = clip(numbers, life.start, life.stop)
            yield self._outside(subtract(numbers, alive), life)
        else:
            yield await self._settled(first, answer)
            alive = clip(numbers, first.stop, closed_stop(self._grid, answer.time_ms))
        pages = plan_pages(alive, limit=_PAGE_ROWS)
        async with aclosing(in_order(pages, self._page, n_ahead=_PAGES_AHEAD)) as parts:
            async for part in parts:
                yield part

    async def funding(self, start_ms: int, stop_ms: int) -> pl.DataFrame:
        """Return the rates of a half-open range of time as `FUNDING_SCHEMA`, oldest first.

        What seems to be missing is asked for again: one answer that lacks it proves nothing.
        """
        life = await self._ask_life()
        first_ms = max(start_ms, self._grid.open_time_ms(life.start))
        starts = range(first_ms, min(stop_ms, life.time_ms), _FUNDING_WINDOW_MS)
        windows = [(at, min(at + _FUNDING_WINDOW_MS, stop_ms, life.time_ms)) for at in starts]
        frames = [pl.DataFrame(schema=FUNDING_SCHEMA)]
        async with aclosing(in_order(windows, self._funding_window, n_ahead=_PAGES_AHEAD)) as answers:
            frames += [frame async for frame in answers]
        is_asked = pl.col("funding_time").dt.epoch("ms").is_between(start_ms, stop_ms, closed="left")
        return pl.concat(frames).filter(is_asked).unique("funding_time").sort("funding_time")

    async def _funding_window(self, window: tuple[int, int]) -> pl.DataFrame:
        return await whole_funding(self._funding_back, *window)

    async def _funding_back(self, start_ms: int, stop_ms: int) -> pl.DataFrame:
        """Rates of a half-open range, from its end back, since Bybit answers the newest."""
        frames = [pl.DataFrame(schema=FUNDING_SCHEMA)]
        while start_ms < stop_ms:
            frame = await self._ask_funding(start_ms, stop_ms)
            frames.append(frame)
            if frame.height < _FUNDING_ROWS:
                break
            stop_ms = int(frame["funding_time"].dt.epoch("ms").to_numpy().min())
        return pl.concat(frames)

    async def _ask_funding(self, start_ms: int, stop_ms: int) -> pl.DataFrame:
        series = self._series
        query = {"category": series.category, "symbol": series.symbol, "startTime": start_ms, "endTime": stop_ms - 1}
        return await _get(
            self._client,
            "funding/history",
            query | {"limit": _FUNDING_ROWS},
            lambda envelope: bybit_rest.funding(envelope, symbol=series.symbol),
            asked=f"funding of {series}",
        )

    async def _page(self, page: Page) -> Part:
        if self._life and not clip(page.numbers, self._life.start, self._life.stop):
            return self._outside(page.numbers, self._life)
        return await self._settled(page, await self._ask(page))

    async def _settled(self, page: Page, answer: Part) -> Part:
        if answer.rows.is_empty() and missing_of(page, answer, self._grid):
            life = await self._ask_life()
            if not clip(page.numbers, life.start, life.stop):
                return self._outside(page.numbers, life)
        return await settled(page, answer, self._ask, self._grid)

    def _outside(self, numbers: Ranges, life: "_Life") -> Part:
        return Part(NO_ROWS, self._series.exchange, life.time_ms, numbers)

    async def _ask(self, page: Page) -> Part:
        start_ms, end_ms = self._grid.open_time_ms(page.start), self._grid.open_time_ms(page.stop - 1)
        rows, time_ms = await self._ask_klines(self._grid, start_ms, end_ms)
        return Part(pick_rows(rows, page.numbers, self._grid), self._series.exchange, time_ms, page.numbers)

    async def _ask_klines(self, grid: Interval, start_ms: int, end_ms: int) -> tuple[pl.DataFrame, int]:
        """Rows whose open_time lies between two times, both inclusive, and the exchange's time."""
        series = self._series
        query = {"category": series.category, "symbol": series.symbol, "interval": grid.name}
        return await _get(
            self._client,
            "kline",
            query | {"start": start_ms, "end": end_ms, "limit": _PAGE_ROWS},
            lambda envelope: (bybit_rest.klines(envelope, symbol=series.symbol), envelope.time_ms),
            asked=f"klines of {series}",
        )

    async def _end_again(self, ended: tuple[int, int]) -> Part | None:
        """The newest stored bars again; None where the series may go on behind them."""
        rows, time_ms = await self._ask_klines(self._grid, self._grid.open_time_ms(ended[0]), _LATEST_MS)
        return end_part(rows, self._series, ended, time_ms=time_ms, limit=_PAGE_ROWS)

    async def _ask_life(self) -> "_Life":
        async with self._asking_life:
            if self._life is None:
                self._life = await self._find_life()
            return self._life

    async def _find_life(self) -> "_Life":
        """Life as listed; where no launch is listed (spot), from the first to the last week that two answers have."""
        for status in (None, "Closed"):
            entries, time_ms = await _listed(
                self._client, self._series.category, symbol=self._series.symbol, status=status
            )
            for listed in bybit_rest.instruments(entries).iter_rows(named=True):
                if listed["launch_ms"] is not None:
                    stop_ms = (listed["delivery_ms"] or _LATEST_MS) + DAY_MS
                    return self._life_of(listed["launch_ms"] - _BEFORE_LAUNCH_MS, stop_ms, time_ms)
        answers = [await self._ask_klines(Interval("W"), _EARLIEST_MS, _LATEST_MS) for _ in range(2)]
        weeks_ms = [ms for rows, _ in answers for ms in rows["open_time"].to_physical()]
        is_told = all(rows.height for rows, _ in answers)
        first_ms = min(weeks_ms) if is_told else _EARLIEST_MS
        stop_ms = max(weeks_ms) + 2 * Interval("W").ms if is_told else _LATEST_MS
        return self._life_of(first_ms, stop_ms, answers[0][1])

    def _life_of(self, start_ms: int, stop_ms: int, time_ms: int) -> "_Life":
        return _Life(self._grid.bar_number(start_ms), self._grid.bar_number(stop_ms) + 1, time_ms)


# ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Life:
    """Bar numbers outside which an instrument has no bars, as the exchange told at a time."""

    start: int
    stop: int
    time_ms: int


async def _listed(
    client: HttpClient, category: str, *, symbol: str | None = None, status: str | None
) -> tuple[list[dict[str, Any]], int]:
    """Entries of instruments-info from all of its pages, and the exchange's time."""
    query: dict[str, str | int] = {"category": category}
    query |= {name: text for name, text in (("symbol", symbol), ("status", status)) if text}
    if category != "spot":
        query["limit"] = _PAGE_ROWS
    entries: list[dict[str, Any]] = []
    while True:
        page, cursor, time_ms = await _get(client, "instruments-info", query, _listing, asked=f"instruments {query}")
        entries += page
        if not cursor:
            return entries, time_ms
        query["cursor"] = cursor


def _listing(envelope: Envelope) -> tuple[list[dict[str, Any]], str, int]:
    return list(envelope.result["list"]), str(envelope.result.get("nextPageCursor") or ""), envelope.time_ms


async def _get(
    client: HttpClient, name: str, query: dict[str, str | int], read: Callable[[Envelope], T], *, asked: str
) -> T:
    return await client.get(f"/v5/market/{name}", query, bybit_rest.reader(read, asked=asked))
