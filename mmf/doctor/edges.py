"""The ends of a series: how far its bars ought to reach, and what lies outside the stored ones.

Nobody asks for all of history, so the time before the first stored bar counts only as far back as a source was asked
for it; the time after the newest one counts up to the last closed bar where an exchange can be asked.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from mmf.doctor.testimony import Patient, span
from mmf.ranges import Ranges, cells, clip, intersect, subtract, union


class Listing(NamedTuple):
    """When an instrument could be traded, UTC ms; None where unknown, or not over."""

    launch_ms: int | None = None
    delisted_ms: int | None = None


@dataclass(frozen=True)
class Ends:
    """Missing slots before the first and after the newest stored bar, as bar numbers.

    Attributes
    ----------
    before_listing, after_delisting : Ranges
        That close before the launch; that open after the delisting.
    before_first, after_newest : Ranges
        That a source proved absent although no listing date says why.
    not_fetched : Ranges
        After the newest bar, and no source was asked.
    """

    before_listing: Ranges
    after_delisting: Ranges
    before_first: Ranges
    after_newest: Ranges
    not_fetched: Ranges


def reach(held: Ranges, absent: Iterable[tuple[int, int]], /, *, closed_stop: int | None = None) -> Ranges:
    """Return the bar numbers that a series ought to fill: one range, or none where nothing is known of it.

    Parameters
    ----------
    held : Ranges
        What is stored.
    absent : iterable of (start_bar, stop_bar)
        What sources were asked for and could not give.
    closed_stop : int, optional
        The bar that is forming now, where the bars up to it can be asked for.

    Examples
    --------
    >>> reach([(10, 20), (25, 30)], [(7, 10)], closed_stop=32)
    [(7, 32)]
    >>> reach([(10, 20)], [])
    [(10, 20)]
    """
    known = span(union(held, absent))
    return [(start, max(stop, closed_stop or stop)) for start, stop in known]


def ends(patient: Patient, absent: Iterable[tuple[int, int]], listing: Listing, /) -> Ends:
    """Sort the missing slots outside the stored bars.

    Stored bars outside the listing overrule its dates: exchanges publish launch times later than their own first bars.

    Parameters
    ----------
    patient : Patient
        The series.
    absent : iterable of (start_bar, stop_bar)
        Bar numbers that a source proved to be absent.
    listing : Listing
        When the instrument could be traded.
    """
    before, after = _outside_listing(patient, listing)
    numbers, missing = patient.numbers, patient.missing
    if not len(numbers) or not missing:
        return Ends(before, after, [], [], [])
    older = clip(missing, missing[0][0], int(numbers[0]))
    newer = subtract(clip(missing, int(numbers[-1]) + 1, missing[-1][1]), after)
    return Ends(
        before_listing=before,
        after_delisting=after,
        before_first=intersect(older, absent) if listing.launch_ms is None else [],
        after_newest=intersect(newer, absent) if listing == Listing() else [],
        not_fetched=subtract(newer, absent),
    )


# ------------------------------------------------------------------------------------


def _outside_listing(patient: Patient, listing: Listing) -> tuple[Ranges, Ranges]:
    """Slots that close before the launch, and slots that open after the delisting."""
    grid = patient.series.grid
    first_ms, stop_ms = (grid.open_time_ms(end) for end in (span(patient.missing) or [(0, 0)])[0])
    launch_ms = first_ms if listing.launch_ms is None else listing.launch_ms
    delisted_ms = stop_ms if listing.delisted_ms is None else listing.delisted_ms
    if len(patient.numbers):
        launch_ms = min(launch_ms, grid.open_time_ms(int(patient.numbers[0])))
        delisted_ms = max(delisted_ms, grid.open_time_ms(int(patient.numbers[-1]) + 1))
    before = cells([(first_ms, launch_ms)], size=grid.ms, anchor=grid.anchor_ms, how="within")
    return before, cells([(delisted_ms, stop_ms)], size=grid.ms, anchor=grid.anchor_ms, how="starting")
