"""Bars of an exchange kept up to date: what is wanted, less what is held or known to be absent, is fetched."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial

import numpy as np

from mmf.bars import Series
from mmf.errors import DataError
from mmf.markets.errors import ExchangeError, OutOfReachError
from mmf.markets.source import ALL_TIME, Batch, ExchangeSource, Fetched, Want
from mmf.pipeline.ingest import IngestReport, ingest
from mmf.ranges import Ranges, cells, clip, held_ranges, instants, missing_slots, subtract, union
from warehouse import DataFile, SeriesKey, Warehouse
from warehouse.errors import BusyError
from warehouse.verdicts import absences, bad_bars

RECHECKED_BARS = 16  # the newest stored bars are asked for again: a restatement shows, and the page costs the same

_HELD_WHOLE_BARS = 100_000  # a series that lacks more keeps the limit busy alone, and is stored page by page

OnPlan = Callable[[Want], None]
OnBatch = Callable[[Batch, IngestReport], None]
SpanOf = Callable[[int | None], tuple[int, int]]


def plan(warehouse: Warehouse, series: Series, span_of: SpanOf, /, *, is_recheck: bool = False) -> Want:
    """Return what has to be asked of an exchange, and whether the series is known to have ended.

    Where the range reaches beyond the newest stored bar, all after it is asked for, whatever was said to be absent: an
    exchange may publish late; and the newest 16 again.

    Parameters
    ----------
    warehouse : Warehouse
        What is held, and what sources proved to be absent.
    series : Series
        The series to complete.
    span_of : callable
        Open_time of the first stored bar in ms, None where there is none -> half-open range to complete; what of it
        lies before 1970 is not asked for.
    is_recheck : bool
        Ask for the whole range again: what is held, for restatements, and what was said to be absent.
    """
    grid = series.grid
    numbers = stored_numbers(warehouse, series)
    asked = clip([span_of(grid.open_time_ms(int(numbers[0])) if len(numbers) else None)], *ALL_TIME)
    if is_recheck:
        return Want(series, asked)
    absent = absences(warehouse.database, series.key)
    wanted = cells(asked, size=grid.ms, anchor=grid.anchor_ms)
    lack = missing_slots(wanted, held=held_ranges(numbers), absent=absent)
    if not wanted or not len(numbers) or wanted[-1][1] <= numbers[-1]:
        return Want(series, _in_ms(lack, series))
    newest, after = int(numbers[-RECHECKED_BARS:][0]), int(numbers[-1]) + 1
    ranges = _in_ms(union(lack, clip(wanted, newest, wanted[-1][1])), series)
    bad = [(one.start_bar, one.stop_bar) for one in bad_bars(warehouse.database, series.key)]  # sent, so no end
    is_ended = subtract(clip(absent, after, after + 1), bad) and clip(wanted, after, after + 1)
    known = _in_ms(clip(wanted, newest, after), series)
    return Want(series, ranges, ended_ms=known[0] if is_ended and known else None)


def refresh(
    warehouse: Warehouse,
    source: ExchangeSource,
    series: Series,
    asked: tuple[int, int] | SpanOf,
    /,
    *,
    is_recheck: bool = False,
    on_plan: OnPlan = lambda _: None,
    on_batch: OnBatch | None = None,
) -> IngestReport:
    """Fetch what a series lacks in a range, and nothing else; interrupted, the next call fetches the rest.

    Parameters
    ----------
    warehouse : Warehouse
        Open for writing.
    source : ExchangeSource
        The exchange.
    series : Series
        The series to complete.
    asked : (start_ms, stop_ms), or callable
        Half-open range of open_time, or what gives it as of `plan`; the source clips it to the life of the instrument.
    is_recheck : bool
        As of `plan`.
    on_plan : callable, optional
        Receives what will be asked for.
    on_batch : callable, optional
        Called after each commit.
    """

    def batches() -> Iterator[Batch]:
        want = plan(warehouse, series, asked if callable(asked) else lambda _: asked, is_recheck=is_recheck)
        on_plan(want)
        return source.batches(series, want.ranges, ended_ms=want.ended_ms)

    return ingest(warehouse, _Supply(batches), series, on_batch=on_batch)


def refresh_all(
    warehouse: Warehouse,
    source: ExchangeSource,
    series: Sequence[Series],
    span_of: SpanOf,
    /,
    *,
    now_ms: int,
    is_recheck: bool = False,
    on_plan: OnPlan = lambda _: None,
    on_batch: OnBatch | None = None,
) -> Iterator[tuple[Series, IngestReport | Exception]]:
    """Refresh series of one exchange and category in order, and yield what came of each.

    Requests of several series are under way at once, so that a hundred short updates do not wait for the line one by
    one; every commit is made here, one after the other. A series that lacks more than 100,000 bars goes alone. Where
    somebody else has written to a series since it was planned, it is planned and fetched anew.

    Parameters
    ----------
    warehouse, source, is_recheck, on_plan, on_batch
        As of `refresh`.
    series : sequence of Series
        In the order in which they are stored.
    span_of : callable
        As of `plan`.
    now_ms : int
        The local clock, from which the size of what lacks is judged.

    Yields
    ------
    tuple
        The series, and its report or the error that concerned it alone.

    Raises
    ------
    OutOfReachError
        A ban, a block, no connection: nothing can be had any more. Where several series were being asked for at once,
        what had come for those after the first that it met is stored and yielded before.
    """

    def plan_of(one: Series) -> Want:
        return plan(warehouse, one, span_of, is_recheck=is_recheck)

    with warehouse.pin() as snapshot:
        files = {one: snapshot.files("bars", SeriesKey(*one.key)) for one in series}
    plans = {one: plan_of(one) for one in files}
    short = [want for want in plans.values() if want.count_slots(before_ms=now_ms) <= _HELD_WHOLE_BARS]
    together = {want.series for want in short} if len(short) > 1 else set()
    stopped: OutOfReachError | None = None
    with closing(source.fetch_all(short if together else [])) as fetched:
        for one, want in plans.items():
            try:
                if one not in together and stopped is None:
                    options = {"is_recheck": is_recheck, "on_plan": on_plan, "on_batch": on_batch}
                    yield one, refresh(warehouse, source, one, span_of, **options)
                elif one in together and (found := next(fetched, None)) is not None:
                    on_plan(want)
                    ahead = partial(_ahead, warehouse, source, found, files[one], partial(plan_of, one))
                    yield one, ingest(warehouse, _Supply(ahead), one, on_batch=on_batch)
            except OutOfReachError as error:
                if one not in together:
                    raise
                stopped = stopped or error
            except (ExchangeError, DataError, BusyError) as error:
                yield one, error
    if stopped is not None:
        raise stopped


def stored_numbers(warehouse: Warehouse, series: Series, /) -> np.ndarray:
    """Return the bar numbers that the newest snapshot holds of a series, sorted; empty where it holds none."""
    key = SeriesKey(*series.key)
    with warehouse.pin() as snapshot:
        if not snapshot.files("bars", key):
            return np.empty(0, np.int64)
        return snapshot.scan("bars", key).select(series.grid.bar_number_expr()).collect().to_series().to_numpy()


# ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Supply:
    """Batches, however they were got, as a source."""

    batches_of: Callable[[], Iterable[Batch]]

    def batches(self, series: Series, wanted: Sequence[tuple[int, int]], /) -> Iterator[Batch]:
        del series, wanted  # it was made for them
        yield from self.batches_of()


def _ahead(
    warehouse: Warehouse,
    source: ExchangeSource,
    fetched: Fetched,
    files: list[DataFile],
    plan_again: Callable[[], Want],
) -> Iterator[Batch]:
    """What was fetched ahead of the lock, unless other files than those that it was planned on are there by now."""
    series = fetched.series
    with warehouse.pin() as snapshot:
        is_as_planned = snapshot.files("bars", SeriesKey(*series.key)) == files
    if not is_as_planned:
        want = plan_again()
        yield from source.batches(series, want.ranges, ended_ms=want.ended_ms)
        return
    yield from fetched.batches
    if fetched.error is not None:
        raise fetched.error


def _in_ms(numbers: Ranges, series: Series) -> Ranges:
    return instants(numbers, size=series.grid.ms, anchor=series.grid.anchor_ms)
