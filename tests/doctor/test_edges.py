import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmf.bars import Series
from mmf.doctor.edges import Ends, Listing, ends, reach
from mmf.doctor.testimony import Patient
from mmf.ranges import Ranges, count, held_ranges, intersect, missing_slots, union

HOUR_MS = 3_600_000
BTC = Series("bybit", "linear", "BTCUSDT", "60")


def patient(held: Ranges, wanted: Ranges) -> Patient:
    numbers = np.array([number for start, stop in held for number in range(start, stop)], dtype=np.int64)
    return Patient(BTC, numbers, np.ones(len(numbers)), missing_slots(wanted, held=held))


@pytest.mark.parametrize(
    ("held", "absent", "closed_stop", "expected"),
    [
        ([(10, 20)], [], None, [(10, 20)]),
        ([(10, 20)], [], 25, [(10, 25)]),
        ([(10, 20)], [], 15, [(10, 20)]),  # a clock that is behind takes nothing away
        ([(10, 20), (22, 30)], [(3, 8), (20, 21), (29, 40)], None, [(3, 40)]),
        ([], [(3, 8)], 12, [(3, 12)]),
        ([], [], 12, []),  # nothing was ever asked for
    ],
)
def test_a_series_reaches_from_where_it_was_asked_for_to_the_last_closed_bar(
    held: Ranges, absent: Ranges, closed_stop: int | None, expected: Ranges
) -> None:
    assert reach(held, absent, closed_stop=closed_stop) == expected


@pytest.mark.parametrize(
    ("listing", "expected"),
    [
        (Listing(), Ends([], [], [(5, 10)], [(20, 24)], [(24, 30)])),
        (Listing(launch_ms=7 * HOUR_MS), Ends([(0, 7)], [], [], [], [(24, 30)])),
        (Listing(launch_ms=15 * HOUR_MS), Ends([(0, 10)], [], [], [], [(24, 30)])),
        (Listing(delisted_ms=22 * HOUR_MS), Ends([], [(22, 30)], [(5, 10)], [], [])),
        (Listing(delisted_ms=15 * HOUR_MS), Ends([], [(20, 30)], [(5, 10)], [], [])),
        (Listing(7 * HOUR_MS, 26 * HOUR_MS), Ends([(0, 7)], [(26, 30)], [], [], [(24, 26)])),
    ],
)
def test_the_ends_are_told_apart_by_the_listing_and_by_what_was_asked(listing: Listing, expected: Ends) -> None:
    assert ends(patient([(10, 12), (14, 20)], [(0, 30)]), [(5, 10), (12, 13), (20, 24)], listing) == expected


def test_a_series_without_bars_has_no_ends_but_those_of_its_listing() -> None:
    listing = Listing(2 * HOUR_MS, 8 * HOUR_MS)
    assert ends(patient([], [(0, 10)]), [(0, 5)], listing) == Ends([(0, 2)], [(8, 10)], [], [], [])
    assert ends(patient([(3, 5)], [(3, 5)]), [], Listing()) == Ends([], [], [], [], [])


numbers = st.sets(st.integers(0, 40))


@given(numbers, numbers, st.none() | st.integers(0, 40), st.none() | st.integers(0, 40))
def test_no_end_lies_between_stored_bars(held: set[int], absent: set[int], launch: int | None, end: int | None) -> None:
    stored, gone = (held_ranges(np.array(sorted(found), dtype=np.int64)) for found in (held, absent))
    ms = [None if hour is None else hour * HOUR_MS for hour in (launch, end)]
    found = ends(patient(stored, [(0, 41)]), gone, Listing(*ms))
    inside = [(min(held), max(held) + 1)] if held else []
    outside = (found.before_listing, found.after_delisting, found.before_first, found.after_newest, found.not_fetched)
    assert all(intersect(part, union(stored, inside)) == [] for part in outside)
    assert intersect(found.not_fetched, union(gone, found.after_delisting)) == []
    assert count(union(*outside)) <= 41 - len(held)
