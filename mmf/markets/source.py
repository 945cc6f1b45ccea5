"""The one protocol that every market fulfils."""

from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import polars as pl

from mmf.bars import Series
from mmf.errors import MMFError
from mmf.ranges import clip, count

ALL_TIME = (0, 1 << 53)  # a range of open_time in ms that holds every bar


@dataclass(frozen=True)
class Batch:
    """Rows of one answer of a source, as they came, not yet validated.

    Attributes
    ----------
    series : Series
        The series that the rows belong to.
    rows : pl.DataFrame
        Columns of `mmf.bars.BAR_SCHEMA`, and optionally `row` and `reason` (see `mmf.bar_check.check_bars`).
    source : str
        What the ledger writes beside each bar, such as `file:klines.csv` or `bybit`.
    fetched_at_ms : int
        When the rows were read.
    closed_before_ms : int
        Bars that close after this instant are forming: the exchange's own time, or a file's modification time.
    covered : tuple of (start_ms, stop_ms), or None
        Half-open ranges of open_time for which the answer is complete: a slot in there without a row is absent at the
        source. Empty where the source proves nothing this time, None where it never tells (files).
    """

    series: Series
    rows: pl.DataFrame
    source: str
    fetched_at_ms: int
    closed_before_ms: int
    covered: tuple[tuple[int, int], ...] | None = None


@dataclass(frozen=True)
class Want:
    """What is wanted of one series.

    Attributes
    ----------
    series : Series
        The series.
    ranges : sequence of (start_ms, stop_ms)
        Half-open ranges of open_time.
    ended_ms : (start_ms, stop_ms), optional
        The newest stored bars, with which the series is known to have ended; the ranges reach from their first one
        beyond the last. The exchange is asked once for these bars and any after them, and where there is none after
        them, for nothing more from there on; what the ranges hold before these bars is fetched as ever.
    """

    series: Series
    ranges: Sequence[tuple[int, int]]
    ended_ms: tuple[int, int] | None = None

    def count_slots(self, *, before_ms: int) -> int:
        """Count the bars of the ranges that open from 1970 to an instant."""
        return count(clip(self.ranges, 0, before_ms)) // self.series.grid.ms


@dataclass(frozen=True)
class Fetched:
    """All that came back for one want.

    Attributes
    ----------
    series : Series
        The series of the want.
    batches : list of Batch
        Oldest first.
    error : MMFError, optional
        What ended it before it was whole.
    """

    series: Series
    batches: list[Batch]
    error: MMFError | None = None


class Source(Protocol):
    """A place to get bars from."""

    def batches(self, series: Series, wanted: Sequence[tuple[int, int]], /) -> Iterator[Batch]:
        """Yield what the source has of a series.

        Parameters
        ----------
        series : Series
            What to get.
        wanted : sequence of (start_ms, stop_ms)
            Half-open ranges of open_time in ms that the caller lacks. A source whose whole content costs nothing
            to read (a file) may answer more.
        """
        ...


class ExchangeSource(Source, Protocol):
    """A source behind a network, where every request takes its time and counts."""

    def batches(
        self, series: Series, wanted: Sequence[tuple[int, int]], /, *, ended_ms: tuple[int, int] | None = None
    ) -> Iterator[Batch]:
        """Yield what the exchange has of a series; `ended_ms` as in `Want`."""
        ...

    def fetch_all(self, wants: Sequence[Want], /) -> Generator[Fetched, None, None]:
        """Yield what the exchange has for each want, in order, asking for several at once; each is held whole.

        Once one has ended with an `mmf.markets.errors.OutOfReachError`, only those that were under way come after it.
        """
        ...
