"""From ranges of bars to requests, and from answers to batches; pure."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from mmf.bars import BAR_SCHEMA, Interval, Series
from mmf.markets.source import Batch
from mmf.ranges import Ranges, cells, clip, count, held_ranges, instants, subtract

NO_ROWS = pl.DataFrame(schema=BAR_SCHEMA)
UNSETTLED_BARS = 16  # the newest closed bars: one that is missing there may only be published late


@dataclass(frozen=True, slots=True)
class Page:
    """Bars that one request can answer.

    Attributes
    ----------
    numbers : list of (int, int)
        Ranges of bar numbers that are wanted, at least one; what lies between two of them is not.
    """

    numbers: Ranges

    @property
    def start(self) -> int:
        """The first bar number."""
        return self.numbers[0][0]

    @property
    def stop(self) -> int:
        """The bar number after the last."""
        return self.numbers[-1][1]


@dataclass(frozen=True)
class Part:
    """What came back for some bars.

    Attributes
    ----------
    rows : pl.DataFrame
        `BAR_SCHEMA`, sorted by open_time, none but wanted ones.
    source : str
        What the ledger writes beside each bar.
    time_ms : int
        The exchange's own time of the answer.
    proven : list of (int, int)
        Ranges of bar numbers for which `rows` holds all that the exchange has.
    """

    rows: pl.DataFrame
    source: str
    time_ms: int
    proven: Ranges


def plan_pages(numbers: Iterable[tuple[int, int]], /, *, limit: int) -> Iterator[Page]:
    """Yield pages of at most `limit` bars from first to last; ranges close to each other share a page.

    Parameters
    ----------
    numbers : iterable of (int, int)
        Sorted, disjoint ranges of bar numbers, however long: pages are made as they are taken.

    Examples
    --------
    >>> [page.numbers for page in plan_pages([(0, 5), (8, 9), (30, 31)], limit=4)]
    [[(0, 4)], [(4, 5)], [(8, 9)], [(30, 31)]]
    >>> [page.numbers for page in plan_pages([(0, 5), (8, 9), (30, 31)], limit=10)]
    [[(0, 5), (8, 9)], [(30, 31)]]
    """
    taken: Ranges = []
    for start, stop in numbers:
        at = start
        while at < stop:
            end = taken[0][0] + limit if taken else at + limit
            if at < end:
                taken.append((at, min(stop, end)))
                at = min(stop, end)
            if at >= end:
                yield Page(taken)
                taken = []
    if taken:
        yield Page(taken)


def wanted_numbers(wanted: Sequence[tuple[int, int]], grid: Interval, /) -> Ranges:
    """Return the bar numbers whose open_time lies in half-open ranges of ms."""
    return cells(wanted, size=grid.ms, anchor=grid.anchor_ms)


def closed_stop(grid: Interval, time_ms: int, /) -> int:
    """Return the number of the bar that is forming at that time: all before it have closed."""
    return grid.bar_number(time_ms)


def in_time_order(rows: pl.DataFrame, /) -> pl.DataFrame:
    """Sort rows by open_time; rows newest first, as Bybit sends them, are only turned round."""
    steps = np.diff(_times_ms(rows))
    if (steps > 0).all():
        return rows
    return rows.reverse() if (steps < 0).all() else rows.sort("open_time", maintain_order=True)


def pick_rows(rows: pl.DataFrame, numbers: Ranges, grid: Interval, /) -> pl.DataFrame:
    """Return the rows that lie in ranges of bar numbers, rows off the grid included, in the order they have."""
    number = (_times_ms(rows) - grid.anchor_ms) // grid.ms
    is_wanted = np.zeros(rows.height, bool)
    for start, stop in numbers:
        is_wanted |= (number >= start) & (number < stop)
    return rows if is_wanted.all() else rows.filter(is_wanted)


def missing_numbers(rows: pl.DataFrame, numbers: Ranges, grid: Interval, /, *, time_ms: int) -> Ranges:
    """Return the bars of ranges that have closed by a time and have no row."""
    number, offset = np.divmod(_times_ms(rows) - grid.anchor_ms, grid.ms)
    return subtract(clip(numbers, 0, closed_stop(grid, time_ms)), held_ranges(number[offset == 0]))


def missing_of(page: Page, answer: Part, grid: Interval, /) -> Ranges:
    """Return the wanted bars of a page that had closed when it was answered and are not in the answer."""
    return missing_numbers(answer.rows, page.numbers, grid, time_ms=answer.time_ms)


def end_part(rows: pl.DataFrame, series: Series, ended: tuple[int, int], /, *, time_ms: int, limit: int) -> Part | None:
    """Return the rows from the start of a range on, if none lies behind its stop.

    As proof of nothing: one answer may lie. None where there are later bars, or where the page is full: what did not
    fit into it is not known.
    """
    before = pick_rows(rows, [ended], series.grid)
    is_all = before.height == rows.height < limit
    return Part(before, series.exchange, time_ms, []) if is_all else None


def is_nothing_due(numbers: Ranges, grid: Interval, /, *, time_ms: int) -> bool:
    """Whether no bar of the ranges has closed by a time."""
    return count(clip(numbers, 0, closed_stop(grid, time_ms))) == 0


def merge_answers(first: Part, second: Part, /) -> Part:
    """Return what either of two answers for the same bars has; where both have a bar, as the second tells it."""
    only_first = first.rows.join(second.rows, on="open_time", how="anti")
    rows = in_time_order(pl.concat([only_first, second.rows]))
    return Part(rows, second.source, min(first.time_ms, second.time_ms), second.proven)


def to_batch(series: Series, parts: Sequence[Part], /, *, fetched_at_ms: int) -> Batch:
    """Join parts of one source, at least one, into a batch.

    The earliest of their times counts for all: a bar that closed between two answers is left for the next ingest. Of
    the newest `UNSETTLED_BARS` before it none counts as covered.
    """
    time_ms = min(part.time_ms for part in parts)
    settled = closed_stop(series.grid, time_ms) - UNSETTLED_BARS
    proven = clip((one for part in parts for one in part.proven), 0, settled)
    return Batch(
        series=series,
        rows=pl.concat([part.rows for part in parts]),
        source=parts[0].source,
        fetched_at_ms=fetched_at_ms,
        closed_before_ms=time_ms,
        covered=tuple(instants(proven, size=series.grid.ms, anchor=series.grid.anchor_ms)),
    )


# ------------------------------------------------------------------------------------


def _times_ms(rows: pl.DataFrame) -> np.ndarray:
    # numpy, since an expression on a thousand rows costs polars 0.2 ms, and there are a hundred pages a second
    return rows["open_time"].to_physical().to_numpy()
