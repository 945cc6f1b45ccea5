"""Bars from a source into the warehouse: check, merge, commit."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import polars as pl

from mmf.bar_check import Checked, check_bars
from mmf.bar_merge import Merge, merge_bars
from mmf.bars import STORED_SCHEMA, Interval, Series
from mmf.doctor.bad_bars import bad_slots
from mmf.errors import DataError
from mmf.markets.source import ALL_TIME, Batch, Source
from mmf.pipeline.tables import LAYOUT, compact_bars
from mmf.ranges import cells, held_ranges, missing_slots, union
from warehouse import Commit, DataFile, SeriesKey, Snapshot, Warehouse


@dataclass
class IngestReport:
    """Counts of one ingest; `n_rows` is the sum of all the others that begin with `n_`.

    Attributes
    ----------
    quarantined : pl.DataFrame
        The bad rows: `BAR_SCHEMA`, row, reason, source.
    snapshot : int
        The snapshot that holds the result.
    """

    series: Series
    snapshot: int
    n_rows: int = 0
    n_added: int = 0
    n_revised: int = 0
    n_unchanged: int = 0
    n_forming: int = 0
    n_repeated: int = 0
    n_quarantined: int = 0
    sources: list[str] = field(default_factory=list)
    quarantined: pl.DataFrame = field(default_factory=pl.DataFrame)

    @property
    def has_changed(self) -> bool:
        """Whether any bar was added or revised."""
        return self.n_added + self.n_revised > 0


def ingest(
    warehouse: Warehouse,
    source: Source,
    series: Series,
    /,
    *,
    wanted: Sequence[tuple[int, int]] | Callable[[], Sequence[tuple[int, int]]] = (ALL_TIME,),
    refuse_revisions: bool = False,
    on_batch: Callable[[Batch, IngestReport], None] | None = None,
) -> IngestReport:
    """Bring what a source has of one series into the table `bars`.

    Every batch is one commit, so an interrupted ingest keeps what it had finished, and a rerun over the same
    input adds nothing. Bad rows go to the table `quarantine`, superseded bars to `revisions`.

    Parameters
    ----------
    warehouse : Warehouse
        Open for writing.
    source : Source
        Where the bars come from.
    series : Series
        The series to fill.
    wanted : sequence of (start_ms, stop_ms), or callable
        Half-open ranges asked of the source, by default all it has; a file answers all it holds. A callable is asked
        once no other writer is at the series any more.
    refuse_revisions : bool
        Raise where the source has other numbers for a stored bar; for sources that cannot restate history.
    on_batch : callable, optional
        Called after each commit, for progress.

    Raises
    ------
    DataError
        A file holds rows and not one of them is a good bar: most likely the wrong interval or file. Or the source
        has other numbers for stored bars and `refuse_revisions` is set. The batch is not stored then.
    """
    key = SeriesKey(*series.key)
    with warehouse.pin() as before:
        report = IngestReport(series, before.id)
    bad: list[pl.DataFrame] = []
    with warehouse.writing("bars", key):
        for batch in source.batches(series, wanted() if callable(wanted) else wanted):
            checked = check_bars(batch.rows, interval=series.grid, closed_before_ms=batch.closed_before_ms)
            _refuse_if_nothing_is_good(checked, batch)
            merged, report.snapshot = _commit_batch(warehouse, key, batch, checked, refuse_revisions=refuse_revisions)
            _count(report, batch, checked, merged)
            bad.append(checked.quarantined.with_columns(pl.lit(batch.source).alias("source")))
            if on_batch is not None:
                on_batch(batch, report)
        report.snapshot = compact_bars(warehouse, series) or report.snapshot
    report.quarantined = pl.concat(bad) if bad else report.quarantined
    return report


# ------------------------------------------------------------------------------------


def _refuse_if_nothing_is_good(checked: Checked, batch: Batch) -> None:
    if batch.covered is not None:  # an exchange: the rest of its series is good, and one bad bar must not stop it
        return
    if checked.bars.is_empty() and not checked.quarantined.is_empty() and checked.n_forming == 0:
        first = checked.quarantined.row(0, named=True)
        raise DataError(
            f"{batch.source}: none of {batch.rows.height} rows is a good {batch.series.interval} bar. "
            f"The first fault, in row {first['row']}: {first['reason']}. Nothing was stored; check --interval and "
            "the columns of the file."
        )


def _commit_batch(
    warehouse: Warehouse, key: SeriesKey, batch: Batch, checked: Checked, *, refuse_revisions: bool
) -> tuple[Merge, int]:
    commit = warehouse.begin(f"ingest {batch.series} from {batch.source}")
    with warehouse.pin() as snapshot:
        merged = _stage_bars(commit, snapshot, batch.series.grid, key, _with_ledger(checked.bars, batch))
        if refuse_revisions and (n_other := merged.n_revised + merged.n_outdated):
            raise DataError(
                f"{batch.source} has other numbers for {n_other} of the stored bars of {batch.series}: it is "
                "another market. Nothing was stored; use another --symbol or another --warehouse."
            )
        superseded = merged.superseded.with_columns(superseded_at=_time(batch.fetched_at_ms))
        _stage_rows(commit, "revisions", key, superseded)
        bad = checked.quarantined.with_columns(source=pl.lit(batch.source))
        _stage_rows(commit, "quarantine", key, _not_yet_stored(bad, snapshot, key))
    for start, stop, reason in _not_to_be_had(batch, bad, merged):
        at = {"source": batch.source, "checked_at": batch.fetched_at_ms}
        commit.record("absences", series=key, start_bar=start, stop_bar=stop, reason=reason, **at)
    if not merged.changed.is_empty():
        commit.record("fetches", series=key, **_fetch_row(batch, checked, merged))
    return merged, commit.publish()


def _not_to_be_had(batch: Batch, bad: pl.DataFrame, merged: Merge) -> list[tuple[int, int, str | None]]:
    """Closed bars that an exchange could not give: it sent a bad one for a reason, or, where that is None, none.

    Where its answer is not complete, only the bad ones are certain. A file says nothing for good: an exchange may have
    the bar.
    """
    if batch.covered is None:
        return []
    grid = batch.series.grid
    closed = bad.filter(pl.col("open_time").dt.epoch("ms") + grid.ms <= batch.closed_before_ms)
    held = held_ranges(_bar_numbers(merged.bars, grid))
    answered = held_ranges(_bar_numbers(batch.rows.filter(pl.col("open_time").is_not_null()), grid))
    covered = cells(batch.covered, size=grid.ms, anchor=grid.anchor_ms)
    absent: list[tuple[int, int, str | None]] = [
        (*run, None) for run in missing_slots(covered, held=union(held, answered))
    ]
    return absent + [
        (*run, one.reason) for one in bad_slots(closed, interval=grid) for run in missing_slots(one.slots, held=held)
    ]


def _stage_bars(commit: Commit, snapshot: Snapshot, grid: Interval, key: SeriesKey, incoming: pl.DataFrame) -> Merge:
    """Merge into the files that the incoming bars overlap and stage those that change."""
    if incoming.is_empty():
        return merge_bars(incoming, incoming)
    numbers = _bar_numbers(incoming, grid)
    files = snapshot.files("bars", key)
    newest = max([numbers[-1], *(file.stop - 1 for file in files)])
    ranges = LAYOUT.pieces(numbers[0], numbers[-1], newest=newest)
    touched = [file for file in files if file.start < ranges[-1][1] and file.stop > ranges[0][0]]
    merged = merge_bars(_read(snapshot, key, touched), incoming)
    all_numbers, changed_numbers = _bar_numbers(merged.bars, grid), _bar_numbers(merged.changed, grid)
    for start, stop in ranges:
        if np.searchsorted(changed_numbers, start) == np.searchsorted(changed_numbers, stop):
            continue
        first, end = np.searchsorted(all_numbers, (start, stop))
        commit.write("bars", key, merged.bars[first:end], start=start, stop=stop)
        for file in touched:
            if start <= file.start and file.stop <= stop:
                commit.remove(file)
    return merged


def _read(snapshot: Snapshot, key: SeriesKey, files: list[DataFile]) -> pl.DataFrame:
    if not files:
        return pl.DataFrame(schema=STORED_SCHEMA)
    return snapshot.scan("bars", key, start=files[0].start, stop=files[-1].stop).select(*STORED_SCHEMA).collect()


def _stage_rows(commit: Commit, table: str, key: SeriesKey, rows: pl.DataFrame) -> None:
    if not rows.is_empty():
        commit.write(table, key, rows, start=0, stop=1)


def _not_yet_stored(bad: pl.DataFrame, snapshot: Snapshot, key: SeriesKey) -> pl.DataFrame:
    """Leave out bad rows quarantined before, so that a rerun changes nothing."""
    if bad.is_empty() or not snapshot.files("quarantine", key):
        return bad
    stored = snapshot.scan("quarantine", key).select(*bad.columns).collect()
    return bad.join(stored, on=bad.columns, how="anti", nulls_equal=True)


def _count(report: IngestReport, batch: Batch, checked: Checked, merged: Merge) -> None:
    report.sources.append(batch.source)
    report.n_rows += batch.rows.height
    report.n_added += merged.n_added
    report.n_revised += merged.n_revised
    report.n_unchanged += merged.n_unchanged
    report.n_forming += checked.n_forming
    report.n_repeated += checked.n_repeated
    report.n_quarantined += checked.quarantined.height


def _fetch_row(batch: Batch, checked: Checked, merged: Merge) -> dict[str, object]:
    return {
        "source": batch.source,
        "fetched_at": batch.fetched_at_ms,
        "n_rows": batch.rows.height,
        "n_added": merged.n_added,
        "n_revised": merged.n_revised,
        "n_unchanged": merged.n_unchanged,
        "n_quarantined": checked.quarantined.height,
        "n_forming": checked.n_forming,
    }


def _bar_numbers(bars: pl.DataFrame, grid: Interval) -> np.ndarray:
    return bars.select(grid.bar_number_expr()).to_series().to_numpy()


def _time(instant_ms: int) -> pl.Expr:
    return pl.lit(instant_ms).cast(STORED_SCHEMA["fetched_at"])


def _with_ledger(bars: pl.DataFrame, batch: Batch) -> pl.DataFrame:
    return bars.with_columns(
        source=pl.lit(batch.source),
        fetched_at=_time(batch.fetched_at_ms),
        revision=pl.lit(0, pl.Int32),
    )
