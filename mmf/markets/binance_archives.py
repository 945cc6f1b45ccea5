"""Binance's public archives: which files hold wanted bars, fetched, verified and read."""

import hashlib
import io
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Self

import httpx2
import polars as pl

from mmf.bars import BAR_SCHEMA, DAY_MS, Interval, Series
from mmf.markets.binance_rest import INSTEAD, INTERVAL_NAMES
from mmf.markets.errors import ExchangeError
from mmf.markets.http import HttpClient, check_status
from mmf.markets.pages import Page, plan_pages
from mmf.ranges import Ranges, cells, instants, subtract

_FOLDERS = {"um": "futures/um", "spot": "spot"}
_DATES = {True: "%Y-%m", False: "%Y-%m-%d"}
_PLACES = dict(zip(BAR_SCHEMA, (*range(6), 7), strict=True))
_IS_MICROSECONDS = 10**14  # beyond it: in ms that would be the year 5138, in us it is 1973
_MAX_BYTES = 1 << 30


@dataclass(frozen=True, slots=True)
class Archive:
    """One zip file.

    Attributes
    ----------
    first_day : date
        The first day in it.
    is_month : bool
        Whether it holds the whole month, else only that day.
    numbers : list of (int, int)
        The bar numbers in it, one range.
    """

    first_day: date
    is_month: bool
    numbers: Ranges

    @classmethod
    def of(cls, first_day: date, grid: Interval, /, *, is_month: bool) -> Self:
        """Return the archive of a day, or of the month that begins with it."""
        stop_day = _next_month(first_day) if is_month else first_day + timedelta(days=1)
        bounds = [(_day_number(first_day) * DAY_MS, _day_number(stop_day) * DAY_MS)]
        return cls(first_day, is_month, cells(bounds, size=grid.ms, anchor=grid.anchor_ms))

    def path(self, series: Series, /) -> str:
        """Return its path on the archive host."""
        return f"{stem(series, is_month=self.is_month)}{self.first_day:{_DATES[self.is_month]}}.zip"

    def days(self, grid: Interval, /) -> "list[Archive]":
        """Return the archives of its days."""
        n_days = (_next_month(self.first_day) - self.first_day).days if self.is_month else 1
        return [Archive.of(self.first_day + timedelta(days=i), grid, is_month=False) for i in range(n_days)]


def stem(series: Series, /, *, is_month: bool) -> str:
    """Return what the paths of all archives of a series begin with; a date follows, such as 2024-10-28 or 2024-10."""
    interval, span = INTERVAL_NAMES[series.interval], "monthly" if is_month else "daily"
    folder = f"/data/{_FOLDERS[series.category]}/{span}/klines/{series.symbol}/{interval}"
    return f"{folder}/{series.symbol}-{interval}-"


def plan_archives(numbers: Ranges, grid: Interval, /, *, page_rows: int) -> Iterator[Archive | Page]:
    """Yield what to fetch for ranges of closed bars, in order.

    Months first, then days, each only where it lies within the ranges whole and where a run of them takes more than
    one request of the REST interface; pages for the rest. Bars of a day and longer come by REST alone: a page holds
    years of them.
    """
    months: list[Archive] = []
    days: list[Archive] = []
    if grid.ms < DAY_MS:
        for run in _long_runs(cells(_in_ms(numbers, grid), size=DAY_MS, how="within"), grid, page_rows):
            months += _months(run, grid)
        whole_days = cells(_in_ms(subtract(numbers, _numbers(months)), grid), size=DAY_MS, how="within")
        for start, stop in _long_runs(whole_days, grid, page_rows):
            days += [Archive.of(_date(day), grid, is_month=False) for day in range(start, stop)]
    rest = subtract(numbers, _numbers([*months, *days]))
    yield from sorted([*months, *days, *plan_pages(rest, limit=page_rows)], key=lambda piece: piece.numbers[0])


async def fetch_archive(client: HttpClient, path: str, /) -> bytes | None:
    """Return the verified bytes of an archive, None where it does not exist.

    Raises
    ------
    ExchangeError
        Twice its sha256 was not that of its .CHECKSUM.
    """
    for _ in range(2):
        line = await client.get(f"{path}.CHECKSUM", {}, _optional)
        content = await client.get(path, {}, _optional) if line is not None else None
        if line is None or content is None:
            return None
        if line.split()[:1] == [hashlib.sha256(content).hexdigest().encode()]:
            return content
    raise ExchangeError(
        f"{client.base_url}{path} does not have the sha256 that its .CHECKSUM says, twice in a row. Nothing of it was "
        "stored; run the command again later."
    )


def read_archive(content: bytes, path: str, /) -> pl.DataFrame:
    """Read the one CSV of a zip: with or without header, times in ms or us.

    Returns
    -------
    pl.DataFrame
        `BAR_SCHEMA` in the order of the file; turnover is the quote volume; a cell that is no number is null.

    Raises
    ------
    ExchangeError
        It is no zip of one CSV with the columns of a kline.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            [member] = archive.infolist()
            with archive.open(member) as file:
                text = file.read(_MAX_BYTES)  # more would be a zip bomb, and then the last line breaks off
        table = pl.read_csv(text, has_header=not text[:1].isdigit(), infer_schema=False)
        cells_of = {name: table.to_series(place) for name, place in _PLACES.items()}
    except (ValueError, IndexError, zipfile.BadZipFile, pl.exceptions.PolarsError) as error:
        raise ExchangeError(
            f"{path} has the right sha256 and yet is no zip of one CSV of klines: {error}. Nothing of it was stored; "
            "report it to Binance, or fetch another range."
        ) from error
    times = cells_of.pop("open_time").cast(pl.Int64, strict=False)
    times_ms = (times // 1_000).zip_with(times >= _IS_MICROSECONDS, times)
    values = {name: column.cast(pl.Float64, strict=False) for name, column in cells_of.items()}
    return pl.DataFrame({"open_time": times_ms.cast(BAR_SCHEMA["open_time"]), **values})


# ------------------------------------------------------------------------------------


def _in_ms(numbers: Ranges, grid: Interval) -> Ranges:
    return instants(numbers, size=grid.ms, anchor=grid.anchor_ms)


def _long_runs(days: Ranges, grid: Interval, page_rows: int) -> Iterable[tuple[int, int]]:
    return [(start, stop) for start, stop in days if (stop - start) * (DAY_MS // grid.ms) > page_rows]


def _numbers(archives: list[Archive]) -> Ranges:
    return [one for archive in archives for one in archive.numbers]


def _months(run: tuple[int, int], grid: Interval) -> Iterator[Archive]:
    """Whole months within a half-open range of days since 1970."""
    first = _date(run[0])
    month = first if first.day == 1 else _next_month(first)
    while (following := _next_month(month)) <= _date(run[1]):
        yield Archive.of(month, grid, is_month=True)
        month = following


def _next_month(day: date) -> date:
    return (day.replace(day=1) + timedelta(days=31)).replace(day=1)


def _date(day: int) -> date:
    return datetime.fromtimestamp(day * 86_400, UTC).date()


def _day_number(day: date) -> int:
    return (day - date(1970, 1, 1)).days


def _optional(response: httpx2.Response) -> bytes | None:
    check_status(response, instead=INSTEAD, answers=(200, 404))
    return response.content if response.status_code == 200 else None
