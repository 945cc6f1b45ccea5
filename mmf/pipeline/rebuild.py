"""Features computed anew, from bars alone, beside the warehouse that they were stored in."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import polars as pl

from mmf.bars import Interval, Series
from mmf.errors import DataError
from mmf.features.audit import mutated
from mmf.features.build import content_hashes
from mmf.features.registry import FeatureSet
from mmf.pipeline.build import Job, build_many
from mmf.pipeline.state import TableState, in_interval, resolve_state
from warehouse import SeriesKey, Snapshot, Warehouse
from warehouse.funding import funding_rates, stage_funding

Change = Callable[[pl.DataFrame, Interval], pl.DataFrame]

_BLOCK = 16  # columns compared at a time


@contextmanager
def rebuilt(
    snapshot: Snapshot,
    series: Series,
    features: FeatureSet,
    /,
    *,
    context: Sequence[str] = (),
    change: Change = lambda bars, _: bars,
) -> Iterator[tuple[Warehouse, TableState]]:
    """Build a feature table from the bars of a snapshot alone, in an empty warehouse that is gone afterwards.

    Parameters
    ----------
    snapshot : Snapshot
        Pinned; its bars and funding rates are read, none of its features.
    series : Series
        Whose rows.
    features : FeatureSet
        What to compute.
    context : sequence of str
        Longer intervals in which the same is computed.
    change : callable(bars, interval)
        Applied to the bars of each file first; takes and returns stored bars.

    Yields
    ------
    warehouse, state : Warehouse, TableState
        Where the table lies, and what it is called there.

    Raises
    ------
    DataError
        A file of bars is absent or altered, or no bar is left.
    """
    tables = [series, *(in_interval(series, Interval.parse(name)) for name in context)]
    with TemporaryDirectory(prefix="mmf_rebuilt_") as folder, Warehouse.open(Path(folder), create=True) as fresh:
        _copy(snapshot, fresh, tables, change)
        report, *_ = build_many(fresh, [Job(one, features) for one in tables])
        yield fresh, resolve_state(fresh, series, f"{report.version}@S{fresh.snapshots()[-1].id}")


def altered_after(open_time_ms: int, interval: Interval, /) -> Change:
    """Return a change of all that is not known when the bar of this open_time closes; a longer bar goes by its close.

    Every altered bar has other prices, another shape and another volume, each in its own measure.
    """

    def change(bars: pl.DataFrame, grid: Interval) -> pl.DataFrame:
        place = _n_known(bars, grid, open_time_ms + interval.ms)
        number = bars.select(grid.bar_number_expr()).to_series()
        factor = pl.when(pl.int_range(pl.len()) >= place).then(1 + (number % 7) / 20).otherwise(1.0)
        prices = ("open", "high", "low", "close")
        return mutated(bars, place, bars.height).with_columns(pl.col(name) * factor for name in prices)

    return change


def removed_after(open_time_ms: int, interval: Interval, /) -> Change:
    """Return a change that takes away all that is not known when the bar of this open_time closes."""
    return lambda bars, grid: bars[: _n_known(bars, grid, open_time_ms + interval.ms)]


def altered_files(snapshot: Snapshot, table: str, series: Series, /, *, version: str = "") -> list[str]:
    """Return the paths of a table's files that are absent, or not the bytes that the catalog knows."""
    files = snapshot.files(table, SeriesKey(*series.key), version=version)
    return [file.path for file in files if _sha256(snapshot.root / file.path) != file.sha256]


def differing_columns(
    stored: pl.LazyFrame, other: pl.LazyFrame, columns: Sequence[str], /, *, until_ms: int | None = None
) -> dict[str, pl.Series]:
    """Return the times at which two tables differ, of each column that does, to the last bit and null.

    Parameters
    ----------
    stored, other : pl.LazyFrame
        open_time and the columns, in order; a few columns are held in memory at a time.
    columns : sequence of str
        What to compare.
    until_ms : int, optional
        Compare rows up to this open_time alone.

    Raises
    ------
    DataError
        They do not hold the same times.
    """
    if until_ms is not None:
        stored, other = (scan.filter(pl.col("open_time").to_physical() <= until_ms) for scan in (stored, other))
    times, others = (scan.select("open_time").collect()["open_time"] for scan in (stored, other))
    if not times.equals(others):
        raise DataError(
            f"{len(times):,} rows are stored, {len(others):,} come out of the bars: some bars have no row, or rows no "
            "bar. Build the features again: mmf features build"
        )
    found: dict[str, pl.Series] = {}
    for first in range(0, len(columns), _BLOCK):
        block = columns[first : first + _BLOCK]
        a, b = (scan.select(block).collect() for scan in (stored, other))
        before, after = content_hashes(a), content_hashes(b)
        found |= {name: times.filter(_differs(a[name], b[name])) for name in block if before[name] != after[name]}
    return found


# ------------------------------------------------------------------------------------


def _copy(snapshot: Snapshot, fresh: Warehouse, tables: Sequence[Series], change: Change) -> None:
    commit = fresh.begin("bars of a snapshot")
    for series in tables:
        key = SeriesKey(*series.key)
        for file in snapshot.files("bars", key):
            bars = change(_read(snapshot.root / file.path), series.grid)
            if not bars.is_empty():
                commit.write("bars", key, bars, start=file.start, stop=file.stop)
    with fresh.pin() as empty:
        stage_funding(commit, empty, funding_rates(snapshot, *tables[0].key[:3]))
    commit.publish()


def _read(path: Path) -> pl.DataFrame:
    try:
        return pl.read_parquet(path, hive_partitioning=False)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise DataError(f"{path} cannot be read ({error}). Bring these bars in again: mmf ingest") from error


def _n_known(bars: pl.DataFrame, grid: Interval, instant_ms: int) -> int:
    """Count of the bars that have closed by an instant."""
    return int((bars["open_time"].to_physical() + grid.ms <= instant_ms).sum())


def _sha256(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return "absent"


def _differs(a: pl.Series, b: pl.Series) -> pl.Series:
    """(n,) whether the bits differ, or one of both is null."""
    differs = a.ne_missing(b)
    if differs.any():
        return differs
    bits = (column.fill_null(0).to_numpy().view(np.int32) for column in (a, b))
    return pl.Series(next(bits) != next(bits))
