from itertools import pairwise

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmf.bars import Interval, Series
from mmf.markets.pages import (
    UNSETTLED_BARS,
    Part,
    end_part,
    merge_answers,
    missing_numbers,
    pick_rows,
    plan_pages,
    to_batch,
    wanted_numbers,
)
from mmf.markets.source import ALL_TIME
from mmf.ranges import normalise
from tests.exchange.truth import JANUARY_2024_MS, walk_bars

HOUR_MS = 3_600_000
GRID = Interval("60")
FIRST = GRID.bar_number(JANUARY_2024_MS)
SERIES = Series.parse("bybit:linear:BTCUSDT:60")
RANGES = st.lists(st.tuples(st.integers(0, 200), st.integers(0, 200))).map(normalise)


def part(rows: pl.DataFrame, *, time_ms: int) -> Part:
    return Part(rows, "bybit", time_ms, [(FIRST, FIRST + 10)])


@given(wanted=RANGES, limit=st.integers(1, 50))
def test_pages_hold_what_is_wanted_once_and_in_order_within_the_limit(wanted, limit):
    pages = list(plan_pages(wanted, limit=limit))
    asked = [number for page in pages for start, stop in page.numbers for number in range(start, stop)]
    assert asked == [number for start, stop in wanted for number in range(start, stop)]
    assert all(page.stop - page.start <= limit for page in pages)


@given(wanted=RANGES, limit=st.integers(1, 50))
def test_no_page_could_have_held_the_beginning_of_the_next(wanted, limit):
    pages = list(plan_pages(wanted, limit=limit))
    assert all(after.start >= page.start + limit for page, after in pairwise(pages))


def test_pages_of_all_time_are_made_as_they_are_taken():
    pages = plan_pages(wanted_numbers([ALL_TIME], Interval("1")), limit=1_000)
    assert [next(pages).numbers for _ in range(2)] == [[(0, 1_000)], [(1_000, 2_000)]]


@pytest.mark.parametrize(
    ("interval", "wanted", "numbers"),
    [
        ("60", (HOUR_MS, 3 * HOUR_MS), [(1, 3)]),
        ("60", (HOUR_MS + 1, 3 * HOUR_MS + 1), [(2, 4)]),
        ("W", (0, 5 * 86_400_000), [(0, 1)]),
        ("60", (5, 5), []),
    ],
)
def test_wanted_bars_are_those_that_open_within_the_range(interval, wanted, numbers):
    assert wanted_numbers([wanted], Interval(interval)) == numbers


def test_rows_outside_what_is_wanted_are_left_out():
    bars = walk_bars(10)
    picked = pick_rows(bars, [(FIRST + 2, FIRST + 4), (FIRST + 8, FIRST + 99)], GRID)
    assert picked.equals(bars[[2, 3, 8, 9]])


def test_a_bar_is_missing_once_it_has_closed():
    bars = walk_bars(10)[[0, 1, 2, 5]]
    closed_ms = JANUARY_2024_MS + 8 * HOUR_MS
    asked = [(FIRST, FIRST + 20)]
    holes = [(FIRST + 3, FIRST + 5), (FIRST + 6, FIRST + 8)]
    assert missing_numbers(bars, asked, GRID, time_ms=closed_ms) == holes
    assert missing_numbers(bars, asked, GRID, time_ms=closed_ms - 1) == [holes[0], (FIRST + 6, FIRST + 7)]


def test_a_row_beside_the_grid_fills_no_slot():
    bars = walk_bars(3).with_columns(pl.col("open_time") + pl.duration(milliseconds=1))
    assert missing_numbers(bars, [(FIRST, FIRST + 3)], GRID, time_ms=1 << 50) == [(FIRST, FIRST + 3)]


def test_of_two_answers_the_second_tells_how_a_bar_is():
    bars = walk_bars(4)
    restated = bars[1:3].with_columns(pl.col("volume") + 1.0)
    merged = merge_answers(part(bars[:3], time_ms=20), part(pl.concat([restated, bars[3:]]), time_ms=10))
    assert merged.rows.equals(pl.concat([bars[:1], restated, bars[3:]]))
    assert merged.time_ms == 10


def test_the_earliest_of_several_times_bounds_a_batch():
    bars = walk_bars(10)
    late, early = (JANUARY_2024_MS + (n + UNSETTLED_BARS) * HOUR_MS for n in (9, 7))
    batch = to_batch(SERIES, [part(bars[:5], time_ms=late), part(bars[5:], time_ms=early)], fetched_at_ms=1)
    assert batch.closed_before_ms == early
    assert batch.covered == ((JANUARY_2024_MS, early - UNSETTLED_BARS * HOUR_MS),)
    assert batch.rows.equals(bars)


def test_none_of_the_newest_bars_counts_as_covered():
    bars = walk_bars(10)
    batch = to_batch(SERIES, [part(bars, time_ms=JANUARY_2024_MS + UNSETTLED_BARS * HOUR_MS)], fetched_at_ms=1)
    assert batch.covered == ()
    assert batch.rows.equals(bars)


def test_an_end_is_one_where_nothing_comes_after_it_and_the_page_has_room_for_more():
    bars, ended = walk_bars(10), (FIRST, FIRST + 10)
    end = end_part(bars, SERIES, ended, time_ms=7, limit=11)
    assert (end.rows.height, end.time_ms, end.proven) == (10, 7, [])
    assert end_part(bars, SERIES, ended, time_ms=7, limit=10) is None
    assert end_part(bars, SERIES, (FIRST, FIRST + 9), time_ms=7, limit=11) is None
