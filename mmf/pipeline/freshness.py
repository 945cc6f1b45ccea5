"""Whether feature tables are what the bars of their own snapshot give."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import polars as pl

from mmf.bars import Interval
from mmf.errors import DataError
from mmf.features.context import MAX_AGE
from mmf.features.registry import FeatureSet, UserFeatures
from mmf.pipeline.build import stale_chunks
from mmf.pipeline.lineage import MMF_ONLY, features_of_code
from mmf.pipeline.state import TableState, in_interval
from mmf.pipeline.units import CUT
from warehouse import SeriesKey, Snapshot, Warehouse


def require_current(
    warehouse: Warehouse,
    snapshot: Snapshot,
    state: TableState,
    /,
    *,
    since_ms: int,
    context: Sequence[str] = (),
    user: UserFeatures = MMF_ONLY,
) -> None:
    """Refuse features that are not what the bars of their own snapshot give.

    Parameters
    ----------
    warehouse : Warehouse
        Knows the hashes of finished chunks.
    snapshot : Snapshot
        The snapshot of `state`.
    state : TableState
        What is to be read. Where its definitions are no longer those of the code, they cannot be computed again: the
        times of rows and bars are compared, and no bar may have been revised since.
    since_ms : int
        open_time from which on rows matter.
    context : sequence of str
        Longer intervals in which the rows look the same version up.
    user : UserFeatures
        Features and sets beyond those of MMF.

    Raises
    ------
    DataError
        Bars were appended, filled in or revised since the features were built.
    """
    features = features_of_code(state.version.partition("@")[0], user)
    if features is not None and features.definition_hash != state.definition_hash:
        features = None
    _require_current(warehouse, snapshot, state, features, since_ms)
    for interval in map(Interval.parse, context):
        table = replace(state, series=in_interval(state.series, interval))
        _require_current(warehouse, snapshot, table, features, since_ms - (1 + MAX_AGE) * interval.ms)


# ------------------------------------------------------------------------------------


def _require_current(
    warehouse: Warehouse, snapshot: Snapshot, state: TableState, features: FeatureSet | None, since_ms: int
) -> None:
    if features is not None:
        since = state.series.grid.bar_number(since_ms)
        is_stale = stale_chunks(warehouse, snapshot, state.series, features, state.version, start=since) > 0
    else:
        rows, bars = (_times(snapshot, table, state) for table in ("features", "bars"))
        due = (times.filter(times.to_physical() >= since_ms) for times in (rows, bars))
        is_stale = not next(due).equals(next(due)) or _is_revised_since(snapshot, state, since_ms, bars)
    if is_stale:
        raise DataError(
            f"{state} of {state.series} is older than its bars: some were added or revised since it was built. "
            f"Bring it up to date with: mmf features build {state.series} --set {state.version.partition('@')[0]}"
        )


def _is_revised_since(snapshot: Snapshot, state: TableState, since_ms: int, bars: pl.Series) -> bool:
    """Whether a bar that these rows may have read was replaced by a later commit than the one that brought them."""
    key, grid, layout = SeriesKey(*state.series.key), state.series.grid, CUT.layout
    since = grid.bar_number(since_ms)
    built = snapshot.first_added("features", key, version=state.version, start=since)
    if built is None:
        return False
    later = snapshot.files("revisions", key, added_after=built)
    if not later:
        return False
    chunk_begins = grid.open_time_ms(layout.chunk_range(layout.chunk_of(since))[0])
    place = int(np.searchsorted(bars.to_physical().to_numpy(), chunk_begins))
    first_read = bars[max(0, place - CUT.lead_bars)]
    revised = pl.scan_parquet([snapshot.root / file.path for file in later], hive_partitioning=False)
    return revised.filter(pl.col("open_time") >= first_read).select(pl.len()).collect().item() > 0


def _times(snapshot: Snapshot, table: str, state: TableState) -> pl.Series:
    version = state.version if table == "features" else ""
    scan = snapshot.scan(table, SeriesKey(*state.series.key), version=version)
    return scan.select("open_time").collect()["open_time"]
