"""The life of instruments: each change as it was seen, and which symbol succeeded which."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from warehouse.database import Database

GONE = "Gone"


class Instrument(NamedTuple):
    """An instrument as an exchange described it; times are UTC in ms, None where not given."""

    exchange: str
    category: str
    symbol: str
    status: str
    launch_ms: int | None = None
    delisted_ms: int | None = None
    funding_interval_min: int | None = None


class Sighting(NamedTuple):
    """An instrument, and since when it is known to be so."""

    instrument: Instrument
    seen_at_ms: int


class Succession(NamedTuple):
    """A symbol that lives on under another name: one unit of it became `ratio` units of the successor."""

    exchange: str
    category: str
    symbol: str
    successor: str
    kind: str
    ratio: float
    ended_ms: int | None = None
    began_ms: int | None = None


def save_instruments(
    database: Database, found: Sequence[Instrument], /, *, seen_at_ms: int, is_complete: bool = False
) -> int:
    """Record the instruments that are new or have changed, and return how many these are.

    Parameters
    ----------
    database : Database
        The catalog.
    found : sequence of Instrument
        As the exchange lists them now.
    seen_at_ms : int
        When it did, UTC.
    is_complete : bool
        Whether the list holds all that each exchange and category in it has, so that a known symbol outside it is
        gone: it gets the status `Gone`, and `seen_at_ms` as the time of its delisting unless one is known. Exchanges
        drop delisted symbols from their lists without a word, and a universe without them flatters every strategy.
    """
    with database.transaction():
        known = {_name(sighting.instrument): sighting.instrument for sighting in sightings(database)}
        changed = [instrument for instrument in found if known.get(_name(instrument)) != instrument]
        if is_complete:
            changed += _gone(known.values(), found, seen_at_ms)
        database.run_many(
            """
            insert into instruments (
                exchange, category, symbol, seen_at_ms, status, launch_ms, delisted_ms, funding_interval_min
            )
            values (
                $exchange, $category, $symbol, $seen_at_ms, $status, $launch_ms, $delisted_ms, $funding_interval_min
            )
            on conflict (exchange, category, symbol, seen_at_ms) do update set
                status = excluded.status, launch_ms = excluded.launch_ms, delisted_ms = excluded.delisted_ms,
                funding_interval_min = excluded.funding_interval_min
            """,
            [{**instrument._asdict(), "seen_at_ms": int(seen_at_ms)} for instrument in changed],
        )
    return len(changed)


def sightings(database: Database, /) -> list[Sighting]:
    """Return every recorded state of every instrument, oldest first."""
    rows = database.rows(
        """
        select exchange, category, symbol, status, launch_ms, delisted_ms, funding_interval_min, seen_at_ms
        from instruments
        order by seen_at_ms, exchange, category, symbol
        """
    )
    return [Sighting(Instrument(*tuple(row)[:-1]), row["seen_at_ms"]) for row in rows]


def save_successions(database: Database, found: Iterable[Succession], /) -> None:
    """Replace the successions that SQL sees by these."""
    with database.transaction():
        database.run("delete from aliases")
        database.run_many(
            """
            insert into aliases (exchange, category, symbol, successor, kind, ratio, ended_ms, began_ms)
            values ($exchange, $category, $symbol, $successor, $kind, $ratio, $ended_ms, $began_ms)
            """,
            [succession._asdict() for succession in found],
        )


# ------------------------------------------------------------------------------------


def _name(instrument: Instrument) -> tuple[str, str, str]:
    return instrument[:3]


def _gone(known: Iterable[Instrument], found: Sequence[Instrument], seen_at_ms: int) -> list[Instrument]:
    listed = {_name(instrument) for instrument in found}
    markets = {name[:2] for name in listed}
    return [
        instrument._replace(status=GONE, delisted_ms=_earlier(instrument.delisted_ms, seen_at_ms))
        for instrument in known
        if _name(instrument) not in listed and instrument[:2] in markets and instrument.status != GONE
    ]


def _earlier(known_ms: int | None, seen_at_ms: int) -> int:
    return int(seen_at_ms) if known_ms is None else min(known_ms, int(seen_at_ms))
