"""Bars of an exchange kept up to date: what is wanted, less what is held or known to be absent, is fetched."""

from collections.abc import Callable

import numpy as np

from mmf.bars import Series
from mmf.markets.source import Batch, Source
from mmf.pipeline.ingest import IngestReport, ingest
from mmf.ranges import cells, clip, held_ranges, instants, missing_slots, union
from warehouse import SeriesKey, Warehouse
from warehouse.verdicts import absences

RECHECKED_BARS = 16  # the newest stored bars are asked for again: a restatement shows, and the page costs the same


def lacking(
    warehouse: Warehouse, series: Series, asked: tuple[int, int], /, *, source: str | None = None
) -> list[tuple[int, int]]:
    """Return what has to be fetched of a range.

    Parameters
    ----------
    warehouse : Warehouse
        What is held, and what sources proved to be absent.
    series : Series
        The series to complete.
    asked : (start_ms, stop_ms)
        Half-open range of open_time.
    source : str, optional
        Believe only this source about absent bars; any by default.

    Returns
    -------
    list of (start_ms, stop_ms)
        Sorted and disjoint. Where the range reaches beyond the newest stored bar, the newest 16 are in it again, and
        all after them, whatever was said to be absent there: an exchange may publish late.
    """
    grid, numbers = series.grid, stored_numbers(warehouse, series)
    wanted = cells([asked], size=grid.ms, anchor=grid.anchor_ms)
    absent = absences(warehouse.database, series.key, source=source)
    lack = missing_slots(wanted, held=held_ranges(numbers), absent=absent)
    if len(numbers) and wanted and wanted[-1][1] > numbers[-1]:
        lack = union(lack, clip(wanted, int(numbers[-RECHECKED_BARS:][0]), wanted[-1][1]))
    return instants(lack, size=grid.ms, anchor=grid.anchor_ms)


def refresh(
    warehouse: Warehouse,
    source: Source,
    series: Series,
    asked: tuple[int, int],
    /,
    *,
    is_recheck: bool = False,
    on_plan: Callable[[list[tuple[int, int]]], None] = lambda _: None,
    on_batch: Callable[[Batch, IngestReport], None] | None = None,
) -> IngestReport:
    """Fetch what a series lacks in a range, and nothing else; interrupted, the next call fetches the rest.

    Parameters
    ----------
    warehouse : Warehouse
        Open for writing.
    source : Source
        The exchange.
    series : Series
        The series to complete.
    asked : (start_ms, stop_ms)
        Half-open range of open_time; the source clips it to the life of the instrument.
    is_recheck : bool
        Fetch the whole range again: what is held, for restatements, and what was said to be absent.
    on_plan : callable, optional
        Receives the ranges of open_time that will be asked for.
    on_batch : callable, optional
        Called after each commit.
    """

    def plan() -> list[tuple[int, int]]:
        wanted = [asked] if is_recheck else lacking(warehouse, series, asked)
        on_plan(wanted)
        return wanted

    return ingest(warehouse, source, series, wanted=plan, on_batch=on_batch)


def stored_numbers(warehouse: Warehouse, series: Series, /) -> np.ndarray:
    """Return the bar numbers that the newest snapshot holds of a series, sorted; empty where it holds none."""
    key = SeriesKey(*series.key)
    with warehouse.pin() as snapshot:
        if not snapshot.files("bars", key):
            return np.empty(0, np.int64)
        return snapshot.scan("bars", key).select(series.grid.bar_number_expr()).collect().to_series().to_numpy()
