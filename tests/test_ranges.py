from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmf.ranges import (
    Ranges,
    cells,
    clip,
    count,
    held_ranges,
    instants,
    intersect,
    missing_slots,
    normalise,
    subtract,
    union,
)

some_ranges = st.lists(st.tuples(st.integers(-30, 60), st.integers(-30, 60)), max_size=8)
sizes = st.integers(1, 12)
anchors = st.integers(-7, 7)


def numbers(ranges: Ranges) -> set[int]:
    return {number for start, stop in ranges for number in range(start, stop)}


def is_normal(ranges: Ranges) -> bool:
    ascending = all(before[1] < after[0] for before, after in pairwise(ranges))
    return ascending and all(start < stop for start, stop in ranges)


@given(some_ranges)
def test_normalise_keeps_the_set_and_is_idempotent(ranges: Ranges) -> None:
    before = list(ranges)
    normal = normalise(ranges)
    assert numbers(normal) == numbers(ranges)
    assert is_normal(normal)
    assert normalise(normal) == normal
    assert ranges == before


@given(some_ranges, some_ranges, some_ranges)
def test_operations_are_those_of_sets(a: Ranges, b: Ranges, c: Ranges) -> None:
    cases = [
        (union(a, b, c), numbers(a) | numbers(b) | numbers(c)),
        (subtract(a, b), numbers(a) - numbers(b)),
        (intersect(a, b), numbers(a) & numbers(b)),
        (missing_slots(a, held=b, absent=c), numbers(a) - numbers(b) - numbers(c)),
    ]
    for found, expected in cases:
        assert numbers(found) == expected
        assert is_normal(found)


@given(some_ranges, some_ranges)
def test_what_is_missing_and_what_is_held_make_up_what_is_wanted(wanted: Ranges, held: Ranges) -> None:
    missing = missing_slots(wanted, held=held)
    assert union(missing, intersect(wanted, held)) == normalise(wanted)
    assert missing_slots(wanted, held=union(held, missing)) == []


@given(some_ranges, st.integers(-40, 70), st.integers(-40, 70))
def test_clip_and_count(ranges: Ranges, start: int, stop: int) -> None:
    assert numbers(clip(ranges, start, stop)) == numbers(ranges) & set(range(start, stop))
    assert count(ranges) == len(numbers(ranges))


@given(st.lists(st.integers(-50, 50)))
def test_held_ranges_is_the_set_of_an_array(values: list[int]) -> None:
    found = held_ranges(np.array(values, dtype=np.int64))
    assert numbers(found) == set(values)
    assert is_normal(found)
    assert all(type(end) is int for ends in found for end in ends)


@given(some_ranges, sizes, anchors)
def test_cells_by_what_they_cover(ranges: Ranges, size: int, anchor: int) -> None:
    inside = numbers(ranges)
    covered = {n: set(range(anchor + n * size, anchor + (n + 1) * size)) for n in range(-80, 80)}
    expected = {
        "starting": {n for n in covered if anchor + n * size in inside},
        "touched": {n for n, cell in covered.items() if cell & inside},
        "within": {n for n, cell in covered.items() if cell <= inside},
    }
    for how in ("starting", "touched", "within"):
        assert numbers(cells(ranges, size=size, anchor=anchor, how=how)) == expected[how]


@given(some_ranges, sizes, anchors)
@pytest.mark.parametrize("how", ["starting", "touched", "within"])
def test_instants_is_the_inverse_of_cells(how: str, ranges: Ranges, size: int, anchor: int) -> None:
    covered = instants(ranges, size=size, anchor=anchor)
    assert cells(covered, size=size, anchor=anchor, how=how) == normalise(ranges)  # type: ignore[arg-type]


def test_two_years_of_minutes_are_one_range() -> None:
    first = 1_672_531_200_000 // 60_000
    minutes = np.arange(first, first + 1_051_200)
    assert held_ranges(minutes) == [(first, first + 1_051_200)]
    assert held_ranges(np.delete(minutes, slice(5, 85))) == [(first, first + 5), (first + 85, first + 1_051_200)]


def test_weekly_cells_begin_on_monday() -> None:
    monday, week = 345_600_000, 604_800_000
    assert cells([(monday, monday + 2 * week)], size=week, anchor=monday, how="within") == [(0, 2)]
