from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmf.bars import BAR_SCHEMA, CHUNK_BARS, PIECE_BARS, Series
from mmf.errors import DataError
from mmf.markets.source import Batch
from mmf.pipeline.ingest import ingest
from mmf.pipeline.tables import stored_bars
from tests.pipeline.sources import HOUR_MS, SERIES, ListSource, walk
from warehouse import SeriesKey, Warehouse
from warehouse.verdicts import BadBars, absences, bad_bars

KEY = SeriesKey(*SERIES.key)


def stored(warehouse: Warehouse, series: Series = SERIES) -> pl.DataFrame:
    with warehouse.pin() as snapshot:
        return stored_bars(snapshot, series)


def test_bars_come_back_as_they_went_in(warehouse: Warehouse) -> None:
    report = ingest(warehouse, ListSource((walk(0, 1_000),)), SERIES)
    assert (report.n_rows, report.n_added) == (1_000, 1_000)
    assert stored(warehouse).select(*BAR_SCHEMA).equals(walk(0, 1_000))


def test_a_second_run_changes_nothing(warehouse: Warehouse) -> None:
    faulty = walk(0, 600).with_columns(high=pl.when(pl.int_range(pl.len()) == 7).then(1e-9).otherwise("high"))
    first = ingest(warehouse, ListSource((faulty,)), SERIES)
    again = ingest(warehouse, ListSource((faulty,)), SERIES)
    assert first.has_changed
    assert not again.has_changed
    assert again.n_unchanged == 599
    assert again.n_quarantined == 1
    assert again.snapshot == first.snapshot


def test_bad_rows_are_kept_in_quarantine(warehouse: Warehouse) -> None:
    faulty = walk(0, 5).with_columns(high=pl.when(pl.int_range(pl.len()) == 3).then(1e-9).otherwise("high"))
    report = ingest(warehouse, ListSource((faulty,)), SERIES)
    with warehouse.pin() as snapshot:
        kept = snapshot.scan("quarantine", KEY).select("row", "source", "reason").collect()
    assert kept.rows() == [(4, "list:0", "high is below open, close or low")]
    assert report.quarantined.select("row").rows() == [(4,)]
    assert stored(warehouse).height == 4


def test_a_source_without_any_good_bar_is_refused(warehouse: Warehouse) -> None:
    off_grid = walk(0, 5).with_columns(pl.col("open_time").dt.offset_by("1m"))
    with pytest.raises(DataError, match=r"none of 5 rows is a good 60 bar.*check --interval"):
        ingest(warehouse, ListSource((off_grid,)), SERIES)
    assert warehouse.snapshots()[-1].id == warehouse.snapshots()[0].id


def test_forming_bars_are_never_stored(warehouse: Warehouse) -> None:
    report = ingest(warehouse, ListSource((walk(0, 10),), closed_before_ms=10 * HOUR_MS - 1), SERIES)
    assert (report.n_added, report.n_forming) == (9, 1)
    assert stored(warehouse).height == 9


def test_a_revised_bar_leaves_the_old_one_in_the_revisions(warehouse: Warehouse) -> None:
    before = ingest(warehouse, ListSource((walk(0, 10),)), SERIES).snapshot
    restated = walk(4, 1).with_columns(volume=pl.lit(5.0))
    report = ingest(warehouse, ListSource((restated,)), SERIES)
    assert report.n_revised == 1
    assert stored(warehouse)["volume"][4] == 5.0
    assert stored(warehouse)["revision"].to_list() == [0] * 4 + [1] + [0] * 5
    with warehouse.pin() as snapshot:
        old = snapshot.scan("revisions", KEY).select(*BAR_SCHEMA).collect()
    assert old.equals(walk(4, 1))
    with warehouse.pin(before) as snapshot:
        assert stored_bars(snapshot, SERIES)["volume"][4] == walk(4, 1)["volume"][0]


def test_a_source_that_cannot_restate_history_is_refused_where_it_does(warehouse: Warehouse) -> None:
    ingest(warehouse, ListSource((walk(0, 10),)), SERIES)
    with pytest.raises(DataError, match=r"other numbers for 5 of the stored bars.*another market"):
        ingest(warehouse, ListSource((walk(5, 10, seed=2),)), SERIES, refuse_revisions=True)
    assert stored(warehouse).select(*BAR_SCHEMA).equals(walk(0, 10))


def test_only_the_open_chunk_lies_in_pieces(warehouse: Warehouse) -> None:
    ingest(warehouse, ListSource((walk(0, CHUNK_BARS + 600),)), SERIES)
    with warehouse.pin() as snapshot:
        ranges = [(file.start, file.stop) for file in snapshot.files("bars", KEY)]
    tail = [(CHUNK_BARS + i * PIECE_BARS, CHUNK_BARS + (i + 1) * PIECE_BARS) for i in range(3)]
    assert ranges == [(0, CHUNK_BARS), *tail]


def test_a_chunk_that_closes_is_compacted_and_keeps_its_values(warehouse: Warehouse) -> None:
    ingest(warehouse, ListSource((walk(CHUNK_BARS - 600, 600),)), SERIES)
    ingest(warehouse, ListSource((walk(CHUNK_BARS, 1),)), SERIES)
    with warehouse.pin() as snapshot:
        ranges = [(file.start, file.stop) for file in snapshot.files("bars", KEY)]
    assert ranges == [(0, CHUNK_BARS), (CHUNK_BARS, CHUNK_BARS + PIECE_BARS)]
    assert stored(warehouse).select(*BAR_SCHEMA).equals(walk(CHUNK_BARS - 600, 601))


def test_one_new_bar_writes_one_piece(warehouse: Warehouse) -> None:
    ingest(warehouse, ListSource((walk(0, 1_000),)), SERIES)
    with warehouse.pin() as snapshot:
        before = {file.path for file in snapshot.files("bars", KEY)}
    ingest(warehouse, ListSource((walk(1_000, 1),)), SERIES)
    with warehouse.pin() as snapshot:
        after = {file.path for file in snapshot.files("bars", KEY)}
    assert (len(after - before), len(before - after)) == (1, 1)


@dataclass(frozen=True)
class Answer:
    """One answer of an exchange, complete for some time."""

    rows: pl.DataFrame
    covered: tuple[tuple[int, int], ...]
    closed_before_ms: int = 1 << 60

    def batches(self, series: Series, wanted: Sequence[tuple[int, int]], /) -> Iterator[Batch]:
        yield Batch(series, self.rows, "exchange", 1_000, self.closed_before_ms, self.covered)


def spoilt(count: int, *places: int) -> pl.DataFrame:
    is_bad = pl.int_range(pl.len()).is_in(places)
    return walk(0, count).with_columns(high=pl.when(is_bad).then(1e-9).otherwise("high"))


FAULT = "high is below open, close or low"


def test_what_an_exchange_could_not_give_is_remembered_with_its_reason(warehouse: Warehouse) -> None:
    rows = spoilt(12, 3, 4, 9).filter(~pl.int_range(pl.len()).is_in([6, 7]))
    ingest(warehouse, Answer(rows, ((0, 12 * HOUR_MS),)), SERIES)
    assert absences(warehouse.database, KEY) == [(3, 5), (6, 8), (9, 10)]
    assert bad_bars(warehouse.database, KEY) == [
        BadBars(3, 5, "exchange", FAULT),
        BadBars(9, 10, "exchange", FAULT),
    ]


def test_a_bad_bar_is_certain_even_where_the_answer_is_not_complete(warehouse: Warehouse) -> None:
    ingest(warehouse, Answer(spoilt(8, 3)[:5], ()), SERIES)
    assert absences(warehouse.database, KEY) == [(3, 4)]


def test_a_bar_that_was_forming_or_came_good_as_well_is_not_bad(warehouse: Warehouse) -> None:
    bars = pl.concat([spoilt(8, 3, 7), walk(3, 1)])
    report = ingest(warehouse, Answer(bars, ((0, 8 * HOUR_MS),), closed_before_ms=8 * HOUR_MS - 1), SERIES)
    assert (report.n_added, report.n_quarantined) == (7, 2)
    assert absences(warehouse.database, KEY) == []


def test_a_row_off_the_grid_spoils_the_slot_that_it_falls_into(warehouse: Warehouse) -> None:
    is_off = pl.int_range(pl.len()) == 2
    late = pl.col("open_time").dt.offset_by("1m")
    rows = walk(0, 5).with_columns(open_time=pl.when(is_off).then(late).otherwise("open_time"))
    ingest(warehouse, Answer(rows, ((0, 5 * HOUR_MS),)), SERIES)
    assert bad_bars(warehouse.database, KEY) == [BadBars(2, 3, "exchange", "open_time is not on the 60 grid")]


def test_a_file_says_nothing_for_good_about_what_it_lacks(warehouse: Warehouse) -> None:
    ingest(warehouse, ListSource((spoilt(8, 3)[:6],)), SERIES)
    assert absences(warehouse.database, KEY) == []


slices = st.lists(st.tuples(st.integers(0, 40_000), st.integers(1, 900)), min_size=1, max_size=5)


@given(slices)
def test_overlapping_files_in_any_order_merge_to_their_union(
    tmp_path_factory: pytest.TempPathFactory, slices: list
) -> None:
    frames = tuple(walk(0, 41_000)[first : first + count] for first, count in slices)
    union = pl.concat(frames).unique("open_time").sort("open_time")
    with Warehouse.open(tmp_path_factory.mktemp("union") / "w", create=True) as opened:
        report = ingest(opened, ListSource(frames), SERIES)
        assert stored(opened).select(*BAR_SCHEMA).equals(union)
        assert report.n_added == union.height
        assert report.n_added + report.n_unchanged == report.n_rows
