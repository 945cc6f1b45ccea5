"""Which version of a feature set each series was last built with: the one that readers of the set mean.

Numbers alone would not tell: who goes back to earlier definitions builds the earlier version again.
"""

from typing import Any

from warehouse.database import Database
from warehouse.names import SeriesKey, checked_key, checked_version
from warehouse.tables import register_series

TURN_FIELDS = {"series", "version"}


def is_turn(database: Database, row: dict[str, Any], /) -> bool:
    """Whether a series was last built with another version of the set than the row's, or never."""
    version = checked_version(row["version"])
    last = database.value(
        """
        select version from feature_turns
        where set_name = $set_name and series_id = $series_id
        order by turn_id desc limit 1
        """,
        set_name=version.partition("@")[0],
        series_id=register_series(database, checked_key(row["series"])),
    )
    return last != version


def insert_turn(database: Database, /, *, snapshot_id: int, row: dict[str, Any]) -> None:
    """Insert a row within the caller's transaction, unless the series was last built with this version anyway."""
    if not is_turn(database, row):
        return
    version = checked_version(row["version"])
    database.run(
        """
        insert into feature_turns (set_name, series_id, version, snapshot_id)
        values ($set_name, $series_id, $version, $snapshot_id)
        """,
        set_name=version.partition("@")[0],
        series_id=register_series(database, checked_key(row["series"])),
        version=version,
        snapshot_id=snapshot_id,
    )


def versions_in_use(database: Database, snapshot_id: int, /) -> dict[tuple[str, SeriesKey], str]:
    """Return the version of each set that each series was last built with, as a snapshot saw it, by set and series."""
    rows = database.rows(
        """
        select set_name, version, exchange, category, symbol, interval
        from feature_turns inner join series using (series_id)
        where snapshot_id <= $id
        order by turn_id
        """,
        id=snapshot_id,
    )
    return {(row["set_name"], SeriesKey(*(row[name] for name in SeriesKey._fields))): row["version"] for row in rows}
