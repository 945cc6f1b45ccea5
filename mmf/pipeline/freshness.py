"""Whether feature tables are what the bars of their own snapshot give."""

from collections.abc import Sequence
from dataclasses import replace

import polars as pl

from mmf.bars import Interval
from mmf.errors import DataError
from mmf.features.context import MAX_AGE
from mmf.features.registry import FeatureSet, UserFeatures
from mmf.pipeline.build import stale_chunks
from mmf.pipeline.lineage import MMF_ONLY, features_of_code
from mmf.pipeline.state import TableState, in_interval
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
        What is to be read. Where its definitions are no longer those of the code, they cannot be computed again, and
        the times of rows and bars are compared alone.
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
        is_stale = not _times(snapshot, "features", state, since_ms).equals(_times(snapshot, "bars", state, since_ms))
    if is_stale:
        raise DataError(
            f"{state} of {state.series} is older than its bars: some were added or revised since it was built. "
            f"Bring it up to date with: mmf features build {state.series} --set {state.version.partition('@')[0]}"
        )


def _times(snapshot: Snapshot, table: str, state: TableState, since_ms: int) -> pl.Series:
    version = state.version if table == "features" else ""
    scan = snapshot.scan(table, SeriesKey(*state.series.key), version=version)
    times = scan.select("open_time").collect()["open_time"]
    return times.filter(times.to_physical() >= since_ms)
