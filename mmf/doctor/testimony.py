"""What other series say about the missing bars of one: other intervals of its symbol, and other symbols beside it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import polars as pl

from mmf.bars import Interval, Series
from mmf.ranges import Ranges, cells, held_ranges, instants, intersect, missing_slots, subtract, union


@dataclass(frozen=True)
class Witness:
    """What one stored series says about the market, small enough to keep thousands of them in memory.

    Attributes
    ----------
    series : Series
        Whose bars they are.
    traded : Ranges
        UTC ms, half-open: time covered by bars with volume.
    still : Ranges
        Time covered by zero-volume bars.
    lacking : Ranges
        Time between the first and the last bar that no bar covers.
    absent : Ranges
        The part of `lacking` that a source proved to be absent.
    """

    series: Series
    traded: Ranges
    still: Ranges
    lacking: Ranges
    absent: Ranges


@dataclass(frozen=True)
class Patient:
    """A series under examination.

    Attributes
    ----------
    series : Series
        Its name.
    numbers, volume : np.ndarray
        Bar number (int64) and volume (float64) of its stored bars, ascending.
    missing : Ranges
        Bar numbers to be explained.
    """

    series: Series
    numbers: np.ndarray
    volume: np.ndarray
    missing: Ranges


@dataclass(frozen=True)
class Counted:
    """Missing slots in which other intervals of the symbol count trades, or count none.

    Attributes
    ----------
    traded, silent : Ranges
        Bar numbers.
    intervals : tuple of str
        The intervals that count trades.
    """

    traded: Ranges
    silent: Ranges
    intervals: tuple[str, ...]


@dataclass(frozen=True)
class Heard:
    """Missing slots in which siblings traded, or lack bars too.

    Attributes
    ----------
    up, down, proved_down : Ranges
        Bar numbers: a sibling traded; none did and one lacks a bar; the same, and a source proved it of one of them.
    trading, lacking : dict of Series to Ranges
        Which siblings these are.
    """

    up: Ranges
    down: Ranges
    proved_down: Ranges
    trading: dict[Series, Ranges]
    lacking: dict[Series, Ranges]


def witness(series: Series, bars: pl.DataFrame, /, *, absent: Iterable[tuple[int, int]] = ()) -> Witness:
    """Sum up the bars of a series.

    Parameters
    ----------
    series : Series
        Whose bars they are.
    bars : pl.DataFrame
        open_time and volume, sorted by open_time.
    absent : iterable of (start_bar, stop_bar)
        Bar numbers that a source proved to be absent.
    """
    numbers, volume = numbers_and_volume(bars, series.grid)
    held = held_ranges(numbers)
    lacking = missing_slots(span(held), held=held)
    sets = (held_ranges(numbers[volume > 0]), held_ranges(numbers[volume == 0]), lacking, intersect(lacking, absent))
    return Witness(series, *(_time(slots, series.grid) for slots in sets))


def counted_elsewhere(patient: Patient, relatives: Mapping[Series, pl.DataFrame], /) -> Counted:
    """Compare the missing slots with what bars of other intervals of the same symbol count in them."""
    traded: dict[str, Ranges] = {}
    silent: list[Ranges] = []
    for other, bars in relatives.items():
        if other.key[:3] == patient.series.key[:3] and other.interval != patient.series.interval:
            is_finer = other.grid.ms < patient.series.grid.ms
            with_trades, without = (_by_finer if is_finer else _by_coarser)(patient, other, bars)
            traded[other.interval] = intersect(patient.missing, with_trades)
            silent.append(intersect(patient.missing, without))
    any_traded = union(*traded.values())
    intervals = tuple(name for name, slots in traded.items() if slots)
    return Counted(any_traded, subtract(union(*silent), any_traded), intervals)


def heard(patient: Patient, siblings: Sequence[Witness], /) -> Heard:
    """Ask the other symbols of the same exchange and category what they have in the missing slots."""
    key, grid = patient.series.key, patient.series.grid
    asked = [w for w in siblings if w.series.key[:2] == key[:2] and w.series.symbol != patient.series.symbol]

    def missing_here(time: Ranges, how: Literal["touched", "within"]) -> Ranges:
        return intersect(patient.missing, _slots(time, grid, how))

    # a coarser bar with volume does not say in which of its slots the trades were
    trading = {w.series: missing_here(w.traded, "touched") for w in asked if w.series.grid.ms <= grid.ms}
    lacking = {w.series: missing_here(w.lacking, "within") for w in asked}
    up = union(*trading.values())
    down = subtract(union(*lacking.values()), up)
    proved = union(*(missing_here(w.absent, "within") for w in asked))
    return Heard(up, down, intersect(down, proved), trading, lacking)


def numbers_and_volume(bars: pl.DataFrame, grid: Interval, /) -> tuple[np.ndarray, np.ndarray]:
    """Return (n,) int64 bar numbers and (n,) float64 volumes."""
    return bars.select(grid.bar_number_expr()).to_series().to_numpy(), bars["volume"].to_numpy()


def span(held: Ranges, /) -> Ranges:
    """Return the range from the first to the last integer of a set."""
    return [(held[0][0], held[-1][1])] if held else []


# ------------------------------------------------------------------------------------

_SAME_VOLUME = 1e-9  # relative; sums of decimal volumes differ by less, the smallest trade in a busy hour by more


def _time(slots: Iterable[tuple[int, int]], grid: Interval) -> Ranges:
    return instants(slots, size=grid.ms, anchor=grid.anchor_ms)


def _slots(time: Ranges, grid: Interval, how: Literal["touched", "within"]) -> Ranges:
    return cells(time, size=grid.ms, anchor=grid.anchor_ms, how=how)


def _by_finer(patient: Patient, other: Series, bars: pl.DataFrame) -> tuple[Ranges, Ranges]:
    seen, grid = witness(other, bars), patient.series.grid
    return _slots(seen.traded, grid, "touched"), _slots(seen.still, grid, "within")


def _by_coarser(patient: Patient, other: Series, bars: pl.DataFrame) -> tuple[Ranges, Ranges]:
    """Compare the volume of each coarser bar with the sum of the stored bars in it."""
    own, grid = patient.series.grid, other.grid
    if bars.is_empty() or grid.ms % own.ms:
        return [], []
    coarse, total = numbers_and_volume(bars, grid)
    inside = (patient.numbers * own.ms + own.anchor_ms - grid.anchor_ms) // grid.ms
    place = np.minimum(np.searchsorted(coarse, inside), len(coarse) - 1)
    belongs = coarse[place] == inside
    stored = np.bincount(place[belongs], weights=patient.volume[belongs], minlength=len(coarse))
    excess, allowed = total - stored, _SAME_VOLUME * total

    def slots(rows: np.ndarray) -> Ranges:
        return _slots(_time(held_ranges(coarse[rows]), grid), own, "within")

    return slots(excess > allowed), slots(np.abs(excess) <= allowed)
