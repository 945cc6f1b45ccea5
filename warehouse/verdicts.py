"""Bars that are not there: what sources could not give, and what the gap doctor made of each hole."""

from collections.abc import Iterable
from typing import Any, NamedTuple

from warehouse.database import Database
from warehouse.names import SeriesKey, checked_key
from warehouse.tables import register_series

ABSENCE_FIELDS = {"series", "start_bar", "stop_bar", "source", "reason", "checked_at"}


class BadBars(NamedTuple):
    """Bars that a source sent and that failed the check.

    Attributes
    ----------
    start_bar, stop_bar : int
        Half-open range of bar numbers.
    source, reason : str
        Who sent them, and what is wrong with them.
    """

    start_bar: int
    stop_bar: int
    source: str
    reason: str


class Verdict(NamedTuple):
    """The doctor's opinion of one run of missing bars.

    Attributes
    ----------
    start_bar, stop_bar : int
        Half-open range of bar numbers.
    verdict, evidence : str
        As the doctor wrote them.
    """

    start_bar: int
    stop_bar: int
    verdict: str
    evidence: str


def insert_absence(database: Database, /, *, snapshot_id: int, row: dict[str, Any]) -> None:
    """Insert a row of `absences` within the caller's transaction.

    A range that lies in one known from the same source for the same reason adds nothing; the same range again renews
    its reason and its time of checking. A source that has no bar any more takes back the bad ones it sent.

    Parameters
    ----------
    database : Database
        The catalog.
    snapshot_id : int
        Since when it is known.
    row : dict
        series, start_bar, stop_bar (half-open bar numbers), source, reason (None where the source has no bar, what is
        wrong where it sent a bad one), checked_at (UTC in ms).
    """
    place = {
        "series_id": register_series(database, checked_key(row["series"])),
        "start_bar": int(row["start_bar"]),  # numpy integers would be stored as blobs
        "stop_bar": int(row["stop_bar"]),
        "source": row["source"],
    }
    if row["reason"] is None:
        database.run(
            """
            delete from absences
            where series_id = $series_id and source = $source and start_bar >= $start_bar and stop_bar <= $stop_bar
                and reason is not null
            """,
            **place,
        )
    database.run(
        """
        insert into absences (series_id, start_bar, stop_bar, source, reason, checked_at_ms, snapshot_id)
        select $series_id, $start_bar, $stop_bar, $source, $reason, $checked_at, $snapshot_id
        where not exists (
            select 1 from absences
            where series_id = $series_id and source = $source and start_bar <= $start_bar and stop_bar >= $stop_bar
                and stop_bar - start_bar > $stop_bar - $start_bar and reason is $reason
        )
        on conflict (series_id, start_bar, stop_bar, source) do update
        set reason = excluded.reason, checked_at_ms = excluded.checked_at_ms
        """,
        **place,
        reason=row["reason"],
        checked_at=int(row["checked_at"]),
        snapshot_id=snapshot_id,
    )


def absences(
    database: Database, key: tuple[str, str, str, str], /, *, source: str | None = None
) -> list[tuple[int, int]]:
    """Return the ranges of bar numbers that need not be asked for again; they may overlap.

    A source, or any, gave a complete answer without them, or sent a bad bar.
    """
    rows = database.rows(
        """
        select distinct start_bar, stop_bar from absences inner join series using (series_id)
        where exchange = $exchange and category = $category and symbol = $symbol and interval = $interval
            and ($source is null or source = $source)
        order by start_bar, stop_bar
        """,
        source=source,
        **_parts(key),
    )
    return [(row["start_bar"], row["stop_bar"]) for row in rows]


def bad_bars(database: Database, key: tuple[str, str, str, str], /) -> list[BadBars]:
    """Return the bad bars that sources sent of a series, those of the latest answer first; ranges may overlap."""
    rows = database.rows(
        """
        select start_bar, stop_bar, source, reason from absences inner join series using (series_id)
        where exchange = $exchange and category = $category and symbol = $symbol and interval = $interval
            and reason is not null
        order by checked_at_ms desc, start_bar, source
        """,
        **_parts(key),
    )
    return [BadBars(*row) for row in rows]


def save_verdicts(
    database: Database, key: tuple[str, str, str, str], found: Iterable[Verdict], /, *, now_ms: int
) -> None:
    """Replace the verdicts of a series by those of the latest check.

    Raises
    ------
    ReadOnlyError
        The warehouse is open for reading only.
    """
    with database.transaction():
        series_id = register_series(database, checked_key(key))
        database.run("delete from verdicts where series_id = $series_id", series_id=series_id)
        database.run_many(
            """
            insert into verdicts (series_id, start_bar, stop_bar, verdict, evidence, checked_at_ms)
            values ($series_id, $start_bar, $stop_bar, $verdict, $evidence, $now_ms)
            """,
            [{**verdict._asdict(), "series_id": series_id, "now_ms": now_ms} for verdict in found],
        )


def verdicts(database: Database, key: tuple[str, str, str, str], /) -> list[Verdict]:
    """Return the verdicts of the latest check of a series, by start_bar; none where it was never checked."""
    rows = database.rows(
        """
        select start_bar, stop_bar, verdict, evidence from verdicts inner join series using (series_id)
        where exchange = $exchange and category = $category and symbol = $symbol and interval = $interval
        order by start_bar
        """,
        **_parts(key),
    )
    return [Verdict(*row) for row in rows]


# ------------------------------------------------------------------------------------


def _parts(key: tuple[str, str, str, str]) -> dict[str, str]:
    return SeriesKey(*key)._asdict()
