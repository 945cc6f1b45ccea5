"""The gap doctor's round: look at every stored series, write down the verdicts, refetch what can be had."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import polars as pl

from mmf.bars import BAR_SCHEMA, Series
from mmf.doctor.anomalies import anomalies
from mmf.doctor.cross_check import CrossCheck, cross_check
from mmf.doctor.gaps import HOLE_SCHEMA, REPAIRABLE, diagnose
from mmf.doctor.testimony import Witness, witness
from mmf.markets.source import Source
from mmf.pipeline.ingest import IngestReport, ingest
from mmf.pipeline.tables import stored_bars
from mmf.ranges import instants
from mmf.universe import INSTRUMENT_SCHEMA, listing
from warehouse import SeriesKey, Snapshot, Warehouse
from warehouse.instruments import sightings
from warehouse.verdicts import Verdict, absences, save_verdicts


@dataclass(frozen=True)
class Examination:
    """What is missing or odd in stored bars.

    Attributes
    ----------
    holes : pl.DataFrame
        `mmf.doctor.gaps.HOLE_SCHEMA`.
    oddities : pl.DataFrame
        series, open_time, n_bars, kind, detail.
    """

    holes: pl.DataFrame
    oddities: pl.DataFrame


@dataclass(frozen=True)
class Repair:
    """What asking again gave for one series.

    Attributes
    ----------
    n_asked : int
        Missing bars that were asked for.
    n_found : int
        Those that came; the rest are proven absent, or stay to be asked again where the answer was not complete.
    """

    series: Series
    n_asked: int
    n_found: int
    report: IngestReport


def examine(warehouse: Warehouse, chosen: Sequence[Series] | None = None, /, *, now_ms: int) -> Examination:
    """Judge the holes and oddities of series, with everything else that is stored as witness.

    Parameters
    ----------
    warehouse : Warehouse
        The verdicts are recorded in it, unless it is open for reading only.
    chosen : sequence of Series, optional
        Which to examine; all by default.
    now_ms : int
        Time of the check, UTC.
    """
    known = [Series(*key) for key in warehouse.series()]
    instruments = _instruments(warehouse)
    holes, oddities = [pl.DataFrame(schema=HOLE_SCHEMA)], []
    with warehouse.pin() as snapshot:
        witnesses = {one: _witness(warehouse, snapshot, one) for one in known}
        for series in known if chosen is None else chosen:
            bars = stored_bars(snapshot, series).select(*BAR_SCHEMA)
            found = diagnose(
                series,
                bars.select("open_time", "volume"),
                absent=absences(warehouse.database, series.key),
                relatives=_relatives(snapshot, series, known),
                siblings=[told for one, told in witnesses.items() if one.symbol != series.symbol],
                listing=listing(series, instruments),
            )
            holes.append(found)
            oddities.append(_oddities(snapshot, series, bars, known))
            if not warehouse.is_read_only:
                _record(warehouse, series, found, now_ms)
    return Examination(pl.concat(holes), pl.concat(oddities) if oddities else pl.DataFrame())


def repair(
    warehouse: Warehouse,
    source_of: Callable[[str], Source],
    chosen: Sequence[Series] | None = None,
    /,
    *,
    now_ms: int,
    again: bool = False,
) -> list[Repair]:
    """Ask the exchanges once more for what may be had: the holes with a verdict of lost or unchecked.

    Parameters
    ----------
    warehouse : Warehouse
        Open for writing.
    source_of : callable
        Returns the source of an exchange by its name.
    chosen : sequence of Series, optional
        Which to repair; all by default.
    now_ms : int
        Time of the check, UTC.
    again : bool
        Ask for the others too: exchanges fill in history after an outage.
    """
    holes = examine(warehouse, chosen, now_ms=now_ms).holes
    if not again:
        holes = holes.filter(pl.col("verdict").is_in(REPAIRABLE))
    repairs = []
    for key, rows in holes.group_by("exchange", "category", "symbol", "interval", maintain_order=True):
        series = Series(*(str(part) for part in key))
        grid = series.grid
        wanted = instants(rows.select("start_bar", "stop_bar").rows(), size=grid.ms, anchor=grid.anchor_ms)
        report = ingest(warehouse, source_of(series.exchange), series, wanted=wanted)
        repairs.append(Repair(series, int(rows["n_missing"].sum()), report.n_added, report))
    if repairs:
        examine(warehouse, [one.series for one in repairs], now_ms=now_ms)
    return repairs


def compare(warehouse: Warehouse, left: Series, right: Series, /) -> CrossCheck:
    """Compare the stored bars of two series number by number: two sources, or two intervals, of one symbol."""
    with warehouse.pin() as snapshot:
        bars = [stored_bars(snapshot, series).select(*BAR_SCHEMA) for series in (left, right)]
    return cross_check(*bars, intervals=(left.grid, right.grid))


# ------------------------------------------------------------------------------------


def _instruments(warehouse: Warehouse) -> pl.DataFrame:
    rows = [(*sighting.instrument, sighting.seen_at_ms) for sighting in sightings(warehouse.database)]
    return pl.DataFrame(rows, schema=INSTRUMENT_SCHEMA, orient="row")


def _times_and_volume(snapshot: Snapshot, series: Series) -> pl.DataFrame:
    return snapshot.scan("bars", SeriesKey(*series.key)).select("open_time", "volume").collect()


def _witness(warehouse: Warehouse, snapshot: Snapshot, series: Series) -> Witness:
    absent = absences(warehouse.database, series.key)
    return witness(series, _times_and_volume(snapshot, series), absent=absent)


def _relatives(snapshot: Snapshot, series: Series, known: Sequence[Series]) -> dict[Series, pl.DataFrame]:
    """Other intervals of the same symbol."""
    return {one: _times_and_volume(snapshot, one) for one in known if one.key[:3] == series.key[:3] and one != series}


def _oddities(snapshot: Snapshot, series: Series, bars: pl.DataFrame, known: Sequence[Series]) -> pl.DataFrame:
    neighbour = _neighbour(series, known)
    found = anomalies(
        bars,
        is_inverse=series.category == "inverse",
        neighbour=None if neighbour is None else stored_bars(snapshot, neighbour),
    )
    return found.select(pl.lit(str(series)).alias("series"), pl.all())


def _neighbour(series: Series, known: Sequence[Series]) -> Series | None:
    """The series to compare moves with: the same symbol elsewhere, else another symbol of the same market."""
    same_interval = [one for one in known if one.interval == series.interval and one != series]
    elsewhere = [one for one in same_interval if one.symbol == series.symbol]
    beside = [one for one in same_interval if one.key[:2] == series.key[:2]]
    return next(iter(elsewhere + beside), None)


def _record(warehouse: Warehouse, series: Series, holes: pl.DataFrame, now_ms: int) -> None:
    rows = holes.select("start_bar", "stop_bar", "verdict", "evidence").rows()
    save_verdicts(warehouse.database, series.key, [Verdict(*row) for row in rows], now_ms=now_ms)
