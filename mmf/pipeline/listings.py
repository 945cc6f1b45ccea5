"""Funding rates and instruments of an exchange into their tables."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Protocol

import polars as pl

from mmf.aliases import Alias
from mmf.bars import Series
from mmf.errors import DataError
from mmf.markets.errors import ExchangeError, OutOfReachError
from mmf.markets.listings import funding_gaps
from mmf.ranges import subtract
from warehouse import Warehouse
from warehouse.errors import BusyError
from warehouse.funding import FUNDING_SCHEMA, funding_rates, stage_funding
from warehouse.instruments import Instrument, Succession, save_instruments, save_successions


class ListingSource(Protocol):
    """An exchange that tells what it lists and what positions cost to hold."""

    def instruments(self, category: str, /) -> pl.DataFrame:
        """Return `mmf.markets.listings.INSTRUMENT_SCHEMA`, all instruments of a category."""
        ...

    def funding(self, series: Series, start_ms: int, stop_ms: int, /) -> pl.DataFrame:
        """Return `mmf.markets.listings.FUNDING_SCHEMA` of a half-open range."""
        ...


def refresh_funding(
    warehouse: Warehouse, source: ListingSource, series: Sequence[Series], /, *, start_ms: int, now_ms: int
) -> Iterator[tuple[Series, int | Exception]]:
    """Fetch the funding rates of a range that are not stored yet.

    Those are the ones before the first stored one, after the last, and in the gaps of `funding_gaps` between them.
    Each symbol is a commit of its own, so that what came before a failure stays.

    Parameters
    ----------
    warehouse : Warehouse
        Open for writing.
    source : ListingSource
        The exchange of all the series.
    series : sequence of Series
        Whose symbols to ask for; their interval does not matter.
    start_ms : int
        Where to begin.
    now_ms : int
        Time of the fetch, UTC; rates after it are not asked for.

    Yields
    ------
    tuple
        The series, and how many rates it gained or the error that concerned it alone.

    Raises
    ------
    OutOfReachError
        A ban, a block, no connection: nothing can be had any more.
    """
    for one in series:
        try:
            yield one, _refresh_funding_of(warehouse, source, one, start_ms=start_ms, now_ms=now_ms)
        except OutOfReachError:
            raise
        except (ExchangeError, DataError, BusyError) as error:
            yield one, error


def refresh_instruments(
    warehouse: Warehouse,
    source: ListingSource,
    exchange: str,
    category: str,
    aliases: Sequence[Alias] = (),
    /,
    *,
    now_ms: int,
) -> int:
    """Record what an exchange lists, and which symbols have vanished from its list.

    Returns
    -------
    int
        Instruments that are new or have changed.
    """
    listed = source.instruments(category).to_dicts()
    found = [
        Instrument(
            exchange,
            category,
            row["symbol"],
            row["status"],
            launch_ms=row["launch_ms"],
            delisted_ms=row["delivery_ms"] or None,  # exchanges write 0 where no end is set
            funding_interval_min=row["funding_interval_min"] or None,
        )
        for row in listed
    ]
    save_successions(warehouse.database, [Succession(**asdict(alias)) for alias in aliases])
    return save_instruments(warehouse.database, found, seen_at_ms=now_ms, is_complete=bool(found))


# ------------------------------------------------------------------------------------

_NO_RATES = pl.DataFrame(schema=FUNDING_SCHEMA)


def _refresh_funding_of(
    warehouse: Warehouse, source: ListingSource, series: Series, *, start_ms: int, now_ms: int
) -> int:
    with warehouse.writing("funding", None), warehouse.pin() as snapshot:
        known = funding_rates(snapshot, *series.key[:3])["funding_time"].to_physical().to_numpy()
        span = (int(known[0]), int(known[-1]) + 1) if len(known) else (start_ms, start_ms)
        lack = subtract([(start_ms, now_ms)], subtract([span], funding_gaps(known, *span)))
        rates = pl.concat([_named(source.funding(series, *part), series, now_ms) for part in lack] or [_NO_RATES])
        commit = warehouse.begin(f"funding rates of {':'.join(series.key[:3])}")
        if n_new := stage_funding(commit, snapshot, rates):
            commit.publish()
        return n_new


def _named(rates: pl.DataFrame, series: Series, now_ms: int) -> pl.DataFrame:
    named = rates.with_columns(
        exchange=pl.lit(series.exchange),
        category=pl.lit(series.category),
        symbol=pl.lit(series.symbol),
        source=pl.lit(series.exchange),
        fetched_at=pl.lit(now_ms).cast(FUNDING_SCHEMA["fetched_at"]),
    )
    return named.select(*FUNDING_SCHEMA)
