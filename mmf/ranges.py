"""Arithmetic of half-open integer ranges: what is wanted, held and known to be absent.

A set of integers is a sorted list of disjoint ranges `(start, stop)` that do not even touch: `[(3, 7), (9, 10)]` is
3 4 5 6 9. Every function is pure, takes ranges in any order, overlapping or empty (`start >= stop` holds nothing), and
returns the sorted, disjoint form. Two years of minutes without a hole are one range: planning a backfill costs nothing.
"""

from collections.abc import Iterable
from typing import Literal

import numpy as np

Ranges = list[tuple[int, int]]


def normalise(ranges: Iterable[tuple[int, int]], /) -> Ranges:
    """Sort ranges, drop the empty ones and join those that overlap or touch.

    Examples
    --------
    >>> normalise([(5, 9), (2, 2), (0, 3), (3, 4)])
    [(0, 4), (5, 9)]
    """
    joined: Ranges = []
    for start, stop in sorted((int(start), int(stop)) for start, stop in ranges if start < stop):
        if joined and start <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(stop, joined[-1][1]))
        else:
            joined.append((start, stop))
    return joined


def union(*sets: Iterable[tuple[int, int]]) -> Ranges:
    """Return what lies in any of the sets.

    Examples
    --------
    >>> union([(0, 2)], [(1, 5)], [(7, 8)])
    [(0, 5), (7, 8)]
    """
    return normalise(piece for ranges in sets for piece in ranges)


def subtract(ranges: Iterable[tuple[int, int]], taken: Iterable[tuple[int, int]], /) -> Ranges:
    """Return what lies in the first set and not in the second.

    Examples
    --------
    >>> subtract([(0, 10)], [(2, 3), (8, 20)])
    [(0, 2), (3, 8)]
    """
    left: Ranges = []
    holes = normalise(taken)
    first = 0
    for start, stop in normalise(ranges):
        while first < len(holes) and holes[first][1] <= start:
            first += 1
        at, reach = first, start
        while at < len(holes) and holes[at][0] < stop:
            left.append((reach, holes[at][0]))
            reach = holes[at][1]
            at += 1
        left.append((reach, stop))
    return [(start, stop) for start, stop in left if start < stop]


def intersect(ranges: Iterable[tuple[int, int]], others: Iterable[tuple[int, int]], /) -> Ranges:
    """Return what lies in both sets.

    Examples
    --------
    >>> intersect([(0, 4), (6, 9)], [(3, 7)])
    [(3, 4), (6, 7)]
    """
    found: Ranges = []
    left, right = normalise(ranges), normalise(others)
    i = j = 0
    while i < len(left) and j < len(right):
        start, stop = max(left[i][0], right[j][0]), min(left[i][1], right[j][1])
        if start < stop:
            found.append((start, stop))
        if left[i][1] < right[j][1]:
            i += 1
        else:
            j += 1
    return found


def clip(ranges: Iterable[tuple[int, int]], start: int, stop: int, /) -> Ranges:
    """Return the part of a set that lies in one range."""
    return intersect(ranges, [(start, stop)])


def count(ranges: Iterable[tuple[int, int]], /) -> int:
    """Count the integers of a set."""
    return sum(stop - start for start, stop in normalise(ranges))


def held_ranges(numbers: np.ndarray, /) -> Ranges:
    """Return the set of an array of integers, in any order and with repetitions.

    Examples
    --------
    >>> held_ranges(np.array([7, 3, 4, 5, 5]))
    [(3, 6), (7, 8)]
    """
    if len(numbers) == 0:
        return []
    ordered = np.asarray(numbers)
    if not (ordered[1:] > ordered[:-1]).all():  # stored bars come sorted; sorting 1.3 M would cost more than the rest
        ordered = np.unique(ordered)
    breaks = np.flatnonzero(np.diff(ordered) > 1)
    starts = ordered[np.concatenate(([0], breaks + 1))]
    stops = ordered[np.concatenate((breaks, [len(ordered) - 1]))] + 1
    return list(zip(starts.tolist(), stops.tolist(), strict=True))


def missing_slots(
    wanted: Iterable[tuple[int, int]],
    /,
    *,
    held: Iterable[tuple[int, int]],
    absent: Iterable[tuple[int, int]] = (),
) -> Ranges:
    """Return what remains to be fetched: wanted, neither held nor known to be absent at the source.

    Examples
    --------
    >>> missing_slots([(0, 100)], held=[(0, 40), (41, 90)], absent=[(40, 41)])
    [(90, 100)]
    """
    return subtract(wanted, union(held, absent))


def cells(
    ranges: Iterable[tuple[int, int]],
    /,
    *,
    size: int,
    anchor: int = 0,
    how: Literal["starting", "touched", "within"] = "starting",
) -> Ranges:
    """Turn ranges of instants into ranges of cell numbers, cell n being [anchor + n size, anchor + (n + 1) size).

    Parameters
    ----------
    ranges : iterable of (int, int)
        Instants, such as UTC milliseconds.
    size, anchor : int
        The grid: of bars `Interval.ms` and `Interval.anchor_ms`.
    how : {"starting", "touched", "within"}
        Cells whose first instant lies in the set (of bars: their open_time); that share an instant with it; that lie
        in it whole.

    Examples
    --------
    >>> [cells([(5, 31)], size=10, how=how) for how in ("starting", "touched", "within")]
    [[(1, 4)], [(0, 4)], [(1, 3)]]
    """
    up_start, up_stop = {"starting": (True, True), "touched": (False, True), "within": (True, False)}[how]
    return normalise(
        (_cell(start - anchor, size, up=up_start), _cell(stop - anchor, size, up=up_stop))
        for start, stop in normalise(ranges)
    )


def instants(ranges: Iterable[tuple[int, int]], /, *, size: int, anchor: int = 0) -> Ranges:
    """Return the instants that cells cover; the inverse of `cells` on the grid."""
    return [(anchor + start * size, anchor + stop * size) for start, stop in normalise(ranges)]


# ------------------------------------------------------------------------------------


def _cell(instant: int, size: int, *, up: bool) -> int:
    return -(-instant // size) if up else instant // size
