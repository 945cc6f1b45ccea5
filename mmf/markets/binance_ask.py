"""What there is to ask Binance's REST interface: klines of a series, instruments, funding rates, the time."""

import asyncio
from typing import Any, Final

import polars as pl

from mmf.bars import Series
from mmf.markets import binance_rest
from mmf.markets.binance_rest import INTERVAL_NAMES
from mmf.markets.errors import ExchangeError, UnknownSymbolError
from mmf.markets.http import HttpClient
from mmf.markets.listings import FUNDING_SCHEMA, whole_funding
from mmf.markets.pages import UNSETTLED_BARS, Page, Part, closed_stop, end_part, pick_rows

PREFIXES: Final = {"um": "/fapi/v1", "spot": "/api/v3"}
NEVER = 1 << 62  # as a bar number

_FUNDING_ROWS = 1_000
_MOST_ROWS = 1_000
_EXCHANGE_INFO_COST = {"um": 1, "spot": 20}
_N_CONTRADICTIONS = 4


async def ask_time_ms(client: HttpClient, category: str, /) -> int:
    """Return the exchange's own time."""
    read = binance_rest.reader(lambda body, _: int(body["serverTime"]), asked="its time")
    return await client.get(f"{PREFIXES[category]}/time", {}, read)


async def ask_instruments(client: HttpClient, category: str, /) -> pl.DataFrame:
    """Return every instrument of a category as `INSTRUMENT_SCHEMA`, sorted by symbol."""
    read = binance_rest.reader(lambda body, _: binance_rest.instruments(body), asked=f"instruments of {category}")
    return await client.get(f"{PREFIXES[category]}/exchangeInfo", {}, read, cost=_EXCHANGE_INFO_COST[category])


async def ask_instrument(client: HttpClient, series: Series, /) -> dict[str, Any] | None:
    """Return the row of `INSTRUMENT_SCHEMA` for the symbol of a series; None where exchangeInfo does not list it.

    The whole list is asked for: that a symbol is not in it says more than a refusal of its name.
    """
    listed = await ask_instruments(client, series.category)
    return next(listed.filter(pl.col("symbol") == series.symbol).iter_rows(named=True), None)


async def ask_funding(client: HttpClient, series: Series, start_ms: int, stop_ms: int, /) -> pl.DataFrame:
    """Return the rates of a half-open range of time as `FUNDING_SCHEMA`, oldest first.

    What seems to be missing is asked for again: one answer that lacks it proves nothing.
    """
    read = binance_rest.reader(
        lambda body, _: binance_rest.funding(body, symbol=series.symbol), asked=f"funding of {series}"
    )

    async def onwards(start_ms: int, stop_ms: int) -> pl.DataFrame:
        frames = [pl.DataFrame(schema=FUNDING_SCHEMA)]
        while start_ms < stop_ms:
            query = {"symbol": series.symbol, "startTime": start_ms, "endTime": stop_ms - 1, "limit": _FUNDING_ROWS}
            frames.append(await client.get(f"{PREFIXES[series.category]}/fundingRate", query, read))
            if frames[-1].height < _FUNDING_ROWS:
                break
            start_ms = int(frames[-1]["funding_time"].to_physical().to_numpy().max()) + 1
        return pl.concat(frames)

    return await whole_funding(onwards, start_ms, stop_ms)


class Klines:
    """Asks for the klines of one series, and what they tell of its beginning and end.

    Parameters
    ----------
    rest : HttpClient
        Open, for the REST interface.
    series : Series
        Of the exchange `binance`.
    """

    def __init__(self, rest: HttpClient, series: Series) -> None:
        self._rest = rest
        self._series = series
        self._grid = series.grid
        self._asking = asyncio.Lock()
        self._newest: int | None = None  # number of the newest bar, once asked
        self._over_from: int | None = None  # from this bar number on there is proof of nothing, once asked

    async def page(self, page: Page, /) -> Part:
        """Return the wanted bars of a page."""
        start_ms, end_ms = self._grid.open_time_ms(page.start), self._grid.open_time_ms(page.stop - 1)
        query = {"startTime": start_ms, "endTime": end_ms, "limit": page.stop - page.start}
        rows, time_ms = await self._ask_klines(query)
        return Part(pick_rows(rows, page.numbers, self._grid), self._series.exchange, time_ms, page.numbers)

    async def end_again(self, ended: tuple[int, int], /) -> list[Part] | None:
        """Return the newest stored bars again, as proof of nothing; None where the series may go on behind them.

        A symbol that is not known any more has none.
        """
        limit = min(ended[1] - ended[0] + 1, _MOST_ROWS)
        query = {"startTime": self._grid.open_time_ms(ended[0]), "limit": limit}
        try:
            rows, time_ms = await self._ask_klines(query)
        except UnknownSymbolError:
            return []
        part = end_part(rows, self._series, ended, time_ms=time_ms, limit=limit)
        return None if part is None else [part]

    async def next_from(self, number: int, /) -> int:
        """Return the number of the first bar from a number on, `NEVER` where there is none.

        Empty answers may lie: one that contradicts the newest bar is asked again.
        """
        for _ in range(_N_CONTRADICTIONS):
            rows, _ = await self._ask_klines({"startTime": self._grid.open_time_ms(number), "limit": 1})
            if rows.height:
                return self._grid.bar_number(rows["open_time"].to_physical()[0])
            if number > await self._ask_newest():
                return NEVER
        raise ExchangeError(
            f"Binance has newer bars of {self._series} and yet answers {_N_CONTRADICTIONS} times that it has none from "
            f"{self._grid.open_time_ms(number)} ms on. What was fetched before is kept; run the command again later."
        )

    async def end(self, time_ms: int, /) -> int:
        """Return the number of the bar after the last one, `NEVER` where bars still come or nothing is known."""
        newest = await self._ask_newest()
        is_over = 0 <= newest < closed_stop(self._grid, time_ms) - UNSETTLED_BARS
        return newest + 1 if is_over else NEVER

    async def over_from(self) -> int:
        """Return from which bar number on it is proven that nothing comes, `NEVER` where it is not.

        That takes two: exchangeInfo, that the symbol is not traded, and klines, which bar is the last one. Where klines
        tell none at all, the date of delivery serves.
        """
        newest = await self._ask_newest()
        async with self._asking:
            if self._over_from is None:
                told = await ask_instrument(self._rest, self._series)
                if told is not None and told["status"] == "TRADING":
                    self._over_from = NEVER
                elif newest >= 0:
                    self._over_from = newest + 1
                else:
                    delivery_ms = None if told is None else told["delivery_ms"]
                    self._over_from = NEVER if delivery_ms is None else self._grid.bar_number(delivery_ms - 1) + 1
            return self._over_from

    async def _ask_newest(self) -> int:
        """Number of the newest bar; -1 where two answers know none."""
        async with self._asking:
            for _ in range(2):
                if self._newest is None or self._newest < 0:
                    rows, _ = await self._ask_klines({"limit": 1})
                    times_ms = rows["open_time"].to_physical()
                    self._newest = max((self._grid.bar_number(ms) for ms in times_ms), default=-1)
            return -1 if self._newest is None else self._newest

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
