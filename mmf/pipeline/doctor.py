"""The gap doctor's round: look at every stored series, write down the verdicts, refetch what can be had."""

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass

import polars as pl

from mmf.bars import BAR_SCHEMA, Series
from mmf.doctor.anomalies import ANOMALY_SCHEMA, anomalies
from mmf.doctor.bad_bars import BadSlots, bad_slots
from mmf.doctor.cross_check import CrossCheck, cross_check
from mmf.doctor.edges import reach
from mmf.doctor.gaps import EDGES, HOLE_SCHEMA, REPAIRABLE, diagnose
from mmf.doctor.testimony import Witness, numbers_and_volume, span, witness
from mmf.errors import DataError
from mmf.markets.errors import ExchangeError, OutOfReachError
from mmf.markets.source import Source
from mmf.pipeline.exchange import stored_numbers
from mmf.pipeline.ingest import IngestReport, ingest
from mmf.pipeline.tables import stored_bars
from mmf.ranges import Ranges, count, held_ranges, instants, intersect, missing_slots, normalise, subtract
from mmf.universe import INSTRUMENT_SCHEMA, listing
from warehouse import SeriesKey, Snapshot, Warehouse
from warehouse.errors import BusyError
from warehouse.instruments import sightings
from warehouse.verdicts import Verdict, absences, bad_bars, save_verdicts

ODDITY_SCHEMA: dict[str, pl.DataType] = {"series": pl.String(), **ANOMALY_SCHEMA}


@dataclass(frozen=True)
class Examination:
    """What is missing or odd in stored bars.

    Attributes
    ----------
    n_series : int
        Series examined.
    holes : pl.DataFrame
        `mmf.doctor.gaps.HOLE_SCHEMA`: bars that ought to be there.
    edges : pl.DataFrame
        The same, of what lies outside the life of the instrument or has not been fetched yet.
    oddities : pl.DataFrame
        series, open_time, n_bars, kind, detail.
    """

    n_series: int
    holes: pl.DataFrame
    edges: pl.DataFrame
    oddities: pl.DataFrame


@dataclass(frozen=True)
class Repair:
    """What asking again gave for one series.

    Attributes
    ----------
    n_asked : int
        Missing bars that were asked for.
    n_found : int
        Those that came.
    n_bad : int
        Those that came and were bad; the rest are proven absent, or stay to be asked again where the answer was not
        complete.
    error : Exception, optional
        Why the source would not answer for this series.
    """

    series: Series
    n_asked: int
    n_found: int
    n_bad: int
    error: Exception | None = None


def examine(
    warehouse: Warehouse,
    chosen: Sequence[Series] | None = None,
    /,
    *,
    now_ms: int,
    exchanges: Collection[str] = (),
) -> Examination:
    """Judge the holes and oddities of series, with everything else that is stored as witness.

    Parameters
    ----------
    warehouse : Warehouse
        The verdicts are recorded in it, unless it is open for reading only.
    chosen : sequence of Series, optional
        Which to examine; all by default.
    now_ms : int
        Time of the check, UTC.
    exchanges : collection of str
        Those that can be asked for newer bars: of their series, the closed bars after the newest stored one count too.
    """
    instruments = _instruments(warehouse)
    missing, oddities = [pl.DataFrame(schema=HOLE_SCHEMA)], [pl.DataFrame(schema=ODDITY_SCHEMA)]
    with warehouse.pin() as snapshot:
        known = [Series(*key) for key in snapshot.keys("bars")]
        witnesses = {one: _witness(warehouse, snapshot, one) for one in known}
        for series in known if chosen is None else chosen:
            bars = stored_bars(snapshot, series).select(*BAR_SCHEMA)
            held = held_ranges(numbers_and_volume(bars, series.grid)[0])
            absent = absences(warehouse.database, series.key)
            found = diagnose(
                series,
                bars.select("open_time", "volume"),
                wanted=reach(held, absent, closed_stop=_closed_stop(series, exchanges, now_ms)),
                absent=absent,
                # a row in quarantine beyond the newest bar may have been one that was forming
                bad=_bad(warehouse, snapshot, series, missing_slots(span(held), held=held, absent=absent)),
                relatives=_relatives(snapshot, series, known),
                siblings=[told for one, told in witnesses.items() if one.symbol != series.symbol],
                listing=listing(series, instruments),
            )
            missing.append(found)
            oddities.append(_oddities(snapshot, series, bars, known))
            if not warehouse.is_read_only:
                _record(warehouse, series, found.filter(~_IS_EDGE), now_ms)
    every = pl.concat(missing)
    return Examination(len(missing) - 1, every.filter(~_IS_EDGE), every.filter(_IS_EDGE), pl.concat(oddities))


def repair(
    warehouse: Warehouse,
    source_of: Callable[[str], Source],
    chosen: Sequence[Series] | None = None,
    /,
    *,
    now_ms: int,
    again: bool = False,
) -> Iterator[Repair]:
    """Ask the exchanges once more for what may be had: the holes that are lost, unchecked or bad at the source.

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

    Yields
    ------
    Repair
        One for each series with such holes, as soon as its answers are stored. What concerns one series only leaves
        the others alone.

    Raises
    ------
    OutOfReachError
        A ban, a block, no connection: nothing can be had any more.
    """
    holes = examine(warehouse, chosen, now_ms=now_ms).holes
    if not again:
        holes = holes.filter(pl.col("verdict").is_in(REPAIRABLE))
    asked: list[Series] = []
    stopped: OutOfReachError | None = None
    for key, rows in holes.group_by("exchange", "category", "symbol", "interval", maintain_order=True):
        series = Series(*(str(part) for part in key))
        grid, slots = series.grid, normalise(rows.select("start_bar", "stop_bar").rows())
        wanted = instants(slots, size=grid.ms, anchor=grid.anchor_ms)
        asked.append(series)
        try:
            report = ingest(warehouse, source_of(series.exchange), series, wanted=wanted)
            yield Repair(series, count(slots), report.n_added, _n_bad(warehouse, report, slots))
        except OutOfReachError as error:
            stopped = error
            break
        except (ExchangeError, DataError, BusyError) as error:
            yield Repair(series, count(slots), 0, 0, error)
    if asked:
        examine(warehouse, asked, now_ms=now_ms)  # for the verdicts, which are remembered
    if stopped is not None:
        raise stopped


def compare(warehouse: Warehouse, left: Series, right: Series, /) -> CrossCheck:
    """Compare the stored bars of two series number by number: two sources, or two intervals, of one symbol."""
    with warehouse.pin() as snapshot:
        bars = [stored_bars(snapshot, series).select(*BAR_SCHEMA) for series in (left, right)]
    return cross_check(*bars, intervals=(left.grid, right.grid))


# ------------------------------------------------------------------------------------

_IS_EDGE = pl.col("verdict").is_in(EDGES)


def _instruments(warehouse: Warehouse) -> pl.DataFrame:
    rows = [(*sighting.instrument, sighting.seen_at_ms) for sighting in sightings(warehouse.database)]
    return pl.DataFrame(rows, schema=INSTRUMENT_SCHEMA, orient="row")


def _n_bad(warehouse: Warehouse, report: IngestReport, asked: Ranges) -> int:
    """How many of the bars asked for came as bad ones and are still missing."""
    if not report.n_quarantined:
        return 0
    sent = [slot for one in bad_slots(report.quarantined, interval=report.series.grid) for slot in one.slots]
    return count(missing_slots(intersect(sent, asked), held=held_ranges(stored_numbers(warehouse, report.series))))


def _bad(warehouse: Warehouse, snapshot: Snapshot, series: Series, unexplained: Ranges) -> list[BadSlots]:
    """Bad bars by the ledger, and those in quarantine, such as of a file, for slots that nothing else explains."""
    told: dict[tuple[str, str], list[tuple[int, int]]] = {}
    for one in bad_bars(warehouse.database, series.key):
        told.setdefault((one.source, one.reason), []).append((one.start_bar, one.stop_bar))
    by_ledger = [BadSlots(*who, normalise(slots)) for who, slots in told.items()]
    key = SeriesKey(*series.key)
    if not snapshot.files("quarantine", key):
        return by_ledger
    rows = snapshot.scan("quarantine", key).select("open_time", "source", "reason").collect()
    quarantined = bad_slots(rows, interval=series.grid)
    return by_ledger + [one._replace(slots=intersect(one.slots, unexplained)) for one in quarantined]


def _closed_stop(series: Series, exchanges: Collection[str], now_ms: int) -> int | None:
    return series.grid.bar_number(now_ms) if series.exchange in exchanges else None


def _times_and_volume(snapshot: Snapshot, series: Series) -> pl.DataFrame:
    return snapshot.scan("bars", SeriesKey(*series.key)).select("open_time", "volume").collect()


def _witness(warehouse: Warehouse, snapshot: Snapshot, series: Series) -> Witness:
    bad = [(one.start_bar, one.stop_bar) for one in bad_bars(warehouse.database, series.key)]
    absent = subtract(absences(warehouse.database, series.key), bad)
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
