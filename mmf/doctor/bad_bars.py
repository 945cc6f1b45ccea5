"""Bad rows in quarantine, as slots of their series."""

from typing import NamedTuple

import polars as pl

from mmf.bars import Interval
from mmf.ranges import Ranges, held_ranges


class BadSlots(NamedTuple):
    """Slots, as bar numbers, for which a source sent bars that failed the check for one and the same reason."""

    source: str
    reason: str
    slots: Ranges


def bad_slots(rows: pl.DataFrame, /, *, interval: Interval) -> list[BadSlots]:
    """Gather bad rows by source and reason.

    Parameters
    ----------
    rows : pl.DataFrame
        open_time, source and reason. Of several rows of one slot the last counts; a row off the grid counts for the
        slot that it falls into, one without open_time for none.
    interval : Interval
        The grid.

    Returns
    -------
    list of BadSlots
        By source and reason; no slot in two of them.
    """
    numbered = rows.drop_nulls("open_time").with_columns(interval.bar_number_expr())
    last = numbered.unique("bar_number", keep="last", maintain_order=True)
    return [
        BadSlots(str(source), str(reason), held_ranges(group["bar_number"].to_numpy()))
        for (source, reason), group in last.sort("source", "reason").group_by("source", "reason", maintain_order=True)
    ]
