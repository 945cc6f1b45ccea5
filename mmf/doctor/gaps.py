"""The gap doctor: why each bar that is missing is missing.

Nobody can tell a halted exchange from a lost download by the hole alone, so each slot is judged by what else is known.

- *bad at the source*: a source sent a bar for that slot, and it failed the check. It lies in quarantine.

- *counted elsewhere*: another interval of the same symbol. A finer bar with volume inside the slot, or a coarser bar
  around it with more volume than the stored bars in it add up to, proves trades; finer zero-volume bars that fill the
  slot, or a coarser bar with exactly the volume of the stored ones, prove that there were none.
- *proved absent*: a source gave a complete answer for that time and the slot was not in it; or there were no trades by
  the count above.
- *siblings*: other symbols of the same exchange and category, within their own first and last bar. They are *up* in a
  slot where one of them has a bar with volume (of the same or a finer interval), else *down* where one has no bar. A
  zero-volume bar says neither.
- *steady*: among the 500 stored bars on either side there are other silences (spells of zero-volume bars, holes) for
  fewer than 1 in 100 bars. Such a market does not fall silent by itself. A spell that adjoins the hole is the same
  silence: a halted exchange may go on writing empty bars for a while. Below 100 bars nothing is said.

The first line that fits decides:

| slot | proved absent | siblings | steady | verdict |
|---|---|---|---|---|
| a source sent a bad bar | | | | bad at the source |
| after the newest bar, listed | no | | | not fetched yet |
| trades counted elsewhere | | | | lost |
| before launch | | | | before listing |
| after the end | | | | after delisting |
| | yes | down, and proved of one of them | | exchange outage |
| before the first bar, launch unknown | yes | | | before listing |
| after the newest bar, listing unknown | yes | | | unknown |
| | yes | up | | no trades |
| before the first bar | yes | | | no trades |
| | yes | down unproved, or none | yes | exchange outage |
| | yes | down unproved, or none | no | no trades |
| | yes | down unproved, or none | too few bars | unknown |
| | no | up | | lost |
| | no | down or none | | unchecked |

So siblings that merely lack the same bars make no outage, since a download that broke off leaves the same hole in
every series that it fed, and a slot that no source was asked about can always be asked for. `lost`, `unchecked` and
`bad at the source` can be fetched again (`REPAIRABLE`); after that nothing is unchecked. What lies outside the life of
the instrument, or has merely not come yet, is no hole (`EDGES`).
"""

from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Literal

import numpy as np
import polars as pl

from mmf.bars import BAR_SCHEMA, Series
from mmf.doctor.bad_bars import BadSlots
from mmf.doctor.edges import Listing, ends
from mmf.doctor.testimony import Patient, Witness, counted_elsewhere, heard, numbers_and_volume, span
from mmf.ranges import Ranges, held_ranges, intersect, missing_slots, subtract, union

Verdict = Literal[
    "bad at the source",
    "exchange outage",
    "no trades",
    "lost",
    "unknown",
    "unchecked",
    "before listing",
    "after delisting",
    "not fetched yet",
]
REPAIRABLE: tuple[Verdict, ...] = ("lost", "unchecked", "bad at the source")
EDGES: tuple[Verdict, ...] = ("before listing", "after delisting", "not fetched yet")

HOLE_SCHEMA: dict[str, pl.DataType] = {
    **dict.fromkeys(("exchange", "category", "symbol", "interval"), pl.String()),
    "start_bar": pl.Int64(),
    "stop_bar": pl.Int64(),
    "first_missing": BAR_SCHEMA["open_time"],
    "last_missing": BAR_SCHEMA["open_time"],
    "n_missing": pl.Int64(),
    "verdict": pl.String(),
    "evidence": pl.String(),
}


def diagnose(
    series: Series,
    bars: pl.DataFrame,
    /,
    *,
    wanted: Iterable[tuple[int, int]] | None = None,
    absent: Iterable[tuple[int, int]] = (),
    bad: Iterable[BadSlots] = (),
    relatives: Mapping[Series, pl.DataFrame] | None = None,
    siblings: Sequence[Witness] = (),
    listing: Listing | None = None,
) -> pl.DataFrame:
    """Judge every missing slot of a series; see the table at the head of this module.

    Parameters
    ----------
    series : Series
        The patient.
    bars : pl.DataFrame
        Its open_time and volume, sorted by open_time.
    wanted : iterable of (start_bar, stop_bar), optional
        Bar numbers that ought to be there; by default those from the first bar to the last.
    absent : iterable of (start_bar, stop_bar)
        Bar numbers that a source proved to be absent.
    bad : iterable of BadSlots
        Where sources sent bars that failed the check; of two that overlap the first counts.
    relatives : mapping of Series to pl.DataFrame, optional
        open_time and volume of other intervals of the same symbol. Series of other symbols are ignored.
    siblings : sequence of Witness
        Other symbols; those of another exchange or category are ignored.
    listing : Listing, optional
        When the instrument could be traded.

    Returns
    -------
    pl.DataFrame
        `HOLE_SCHEMA`, by start_bar: one row for each run of missing slots with the same verdict for the same reason.
        start_bar and stop_bar are half-open, first_missing and last_missing both included.
    """
    numbers, volume = numbers_and_volume(bars, series.grid)
    held = held_ranges(numbers)
    missing = missing_slots(span(held) if wanted is None else wanted, held=held)
    patient = Patient(series, numbers, volume, missing)
    counted, others = counted_elsewhere(patient, relatives or {}), heard(patient, siblings)
    absent = intersect(absent, missing)
    proved, edge = union(absent, counted.silent), ends(patient, absent, listing or Listing())
    report = _Report(missing)

    def lacking(run: _Run) -> str:
        return f"{_names(others.lacking, run)} lack it too"

    def trading(run: _Run) -> str:
        return f"{_names(others.trading, run)} traded meanwhile"

    for one in bad:
        report.settle("bad at the source", one.slots, f"bad bar from {one.source}: {one.reason}")
    report.settle("not fetched yet", edge.not_fetched, "after the newest stored bar")
    report.settle("lost", counted.traded, f"bars of interval {', '.join(counted.intervals)} count more trades")
    report.settle("before listing", edge.before_listing, "closes before the launch")
    report.settle("after delisting", edge.after_delisting, "opens after the delisting")
    report.settle("exchange outage", intersect(proved, others.proved_down), lacking)
    report.settle("before listing", edge.before_first, "the source has nothing older; no launch is known")
    report.settle("unknown", edge.after_newest, "the source has nothing newer; no delisting is known")
    report.settle("no trades", intersect(proved, others.up), trading)
    _settle_alone(report, patient, proved)
    report.settle("lost", others.up, lambda run: f"no source was asked; {trading(run)}")
    report.settle("unchecked", others.down, lambda run: f"no source was asked; {lacking(run)}")
    report.settle("unchecked", missing, "no source was asked, and no other series tells")
    return report.table(series)


# ------------------------------------------------------------------------------------

_NEARBY_BARS = 500
_FEWEST_BARS = 100
_STEADY_SHARE = 0.01
_NAMED = 3

_Run = tuple[int, int]


@dataclass
class _Report:
    """The missing slots that no line of the table has settled yet, and what was found of the others."""

    open_slots: Ranges
    findings: list[tuple[int, int, str, str]] = field(default_factory=list)

    def settle(self, verdict: Verdict, slots: Ranges, evidence: str | Callable[[_Run], str]) -> None:
        settled = intersect(self.open_slots, slots)
        for run in settled:
            self.findings.append((*run, verdict, evidence if isinstance(evidence, str) else evidence(run)))
        self.open_slots = subtract(self.open_slots, settled)

    def table(self, series: Series) -> pl.DataFrame:
        at = series.grid.open_time_ms
        rows = [
            (*series.key, start, stop, at(start), at(stop - 1), stop - start, verdict, evidence)
            for start, stop, verdict, evidence in sorted(self.findings)
        ]
        return pl.DataFrame(rows, schema=HOLE_SCHEMA, orient="row")


def _names(slots_of: dict[Series, Ranges], run: _Run) -> str:
    found = sorted(series for series, slots in slots_of.items() if _is_touched(slots, run))
    named = ", ".join(f"{series.symbol} {series.interval}" for series in found[:_NAMED])
    return f"{named} and {len(found) - _NAMED} more" if len(found) > _NAMED else named


def _is_touched(slots: Ranges, run: _Run) -> bool:
    """Whether a run shares a slot with a set; by bisection, since thousands of holes ask a hundred siblings each."""
    at = bisect_right(slots, run[0], key=itemgetter(1))
    return at < len(slots) and slots[at][0] < run[1]


def _settle_alone(report: _Report, patient: Patient, proved: Ranges) -> None:
    """Judge by the bars around it what is proved absent and no sibling tells of."""
    found = {run: _by_neighbourhood(patient, run) for run in intersect(report.open_slots, proved)}
    for verdict in dict.fromkeys(verdict for verdict, _ in found.values()):
        runs = [run for run in found if found[run][0] == verdict]
        report.settle(verdict, runs, lambda run: found[run][1])


def _by_neighbourhood(patient: Patient, run: _Run) -> tuple[Verdict, str]:
    if len(patient.numbers) and run[1] <= patient.numbers[0]:
        return "no trades", "listed already, and the source has none before the first stored bar"
    at = int(np.searchsorted(patient.numbers, run[0]))
    before, after = slice(max(at - _NEARBY_BARS, 0), at), slice(at, at + _NEARBY_BARS)
    n_bars = len(patient.numbers[before]) + len(patient.numbers[after])
    n_silences = _n_silences(patient, before, -1) + _n_silences(patient, after, 0)
    if n_bars < _FEWEST_BARS:
        return "unknown", f"the source has none, and the {n_bars} bars around it are too few to tell why"
    is_steady = n_silences < _STEADY_SHARE * n_bars
    evidence = f"the source has none; the {n_bars} bars around it fell silent {n_silences} other times"
    return ("exchange outage" if is_steady else "no trades"), evidence


def _n_silences(patient: Patient, side: slice, nearest: int) -> int:
    """Count spells of zero-volume bars, and holes, on one side of a hole, but not the spell that adjoins it."""
    is_still = patient.volume[side] == 0
    n_spells = int((np.diff(is_still, prepend=False) & is_still).sum())
    n_holes = int((np.diff(patient.numbers[side]) > 1).sum())
    adjoins = len(is_still) > 0 and bool(is_still[nearest])
    return n_spells + n_holes - adjoins
