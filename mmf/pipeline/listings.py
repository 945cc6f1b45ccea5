"""Funding rates and instruments of an exchange into their tables."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Protocol

import polars as pl

from mmf.aliases import Alias
from mmf.bars import Series
from warehouse import Warehouse
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
) -> dict[Series, int]:
    """Fetch the funding rates that are newer than the stored ones.

    Parameters
    ----------
    warehouse : Warehouse
        Open for writing.
    source : ListingSource
        The exchange of all the series.
    series : sequence of Series
        Whose symbols to ask for; their interval does not matter.
    start_ms : int
        Where to begin with a symbol that has no stored rate.
    now_ms : int
        Time of the fetch, UTC; rates after it are not asked for.

    Returns
    -------
    dict
        How many rates each series gained.
    """
    frames = []
    with warehouse.writing("funding", None), warehouse.pin() as snapshot:
        for one in series:
            known = funding_rates(snapshot, *one.key[:3])["funding_time"].to_physical()
            first_ms = start_ms if known.is_empty() else max(start_ms, int(known[-1]) + 1)
            rates = source.funding(one, first_ms, now_ms)
            frames.append(_named(rates, one, now_ms))
        commit = warehouse.begin("funding rates")
        if stage_funding(commit, snapshot, pl.concat(frames)):
            commit.publish()
    return {one: frame.height for one, frame in zip(series, frames, strict=True)}


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


def _named(rates: pl.DataFrame, series: Series, now_ms: int) -> pl.DataFrame:
    named = rates.with_columns(
        exchange=pl.lit(series.exchange),
        category=pl.lit(series.category),
        symbol=pl.lit(series.symbol),
        source=pl.lit(series.exchange),
        fetched_at=pl.lit(now_ms).cast(FUNDING_SCHEMA["fetched_at"]),
    )
    return named.select(*FUNDING_SCHEMA)
