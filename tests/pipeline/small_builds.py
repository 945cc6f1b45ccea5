"""Builds cut small: chunks of 64 bars in pieces of 8, which read 40 bars before their first."""

from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl

from mmf.bars import LEDGER_SCHEMA, STORED_SCHEMA, Series
from mmf.features.build import compute_chunk
from mmf.features.kernels.smoothing import smoothed
from mmf.features.record import Computation, Feature
from mmf.features.registry import FeatureSet
from mmf.pipeline.units import Cut
from tests.pipeline.sources import walk
from warehouse import DataFile, Layout, SeriesKey, Snapshot, Warehouse

SERIES = Series("simulated", "linear", "SMALL", "60")
CUT = Cut(Layout(chunk=64, piece=8), lead_bars=40)

Bars = Mapping[int, int]  # bar number -> how often it was revised


def ema(close: np.ndarray) -> dict[str, np.ndarray]:
    """Forgets so slowly that every bar read moves every later row."""
    return {"ema": smoothed(close, np.array([3]), np.array([0.01]), 0)[0]}


def mean() -> dict[str, pl.Expr]:
    return {"mean": pl.col("high").rolling_mean(5), "ratio": pl.col("close") / pl.col("turnover")}


def feature(name: str, computation: Computation, **reach: int) -> Feature:
    return Feature(name, "test", "price", "Test.", "none", "never", computation, **reach)


MEAN = Computation.expressions(mean, "high", "close", "turnover")
SMALL = FeatureSet(
    "small",
    (
        feature("ema", Computation.kernel(ema, "close"), memory=30),
        feature("mean", MEAN, lookback=4),
        feature("ratio", MEAN, lookback=0),
    ),
)


def frame_of(bars: Bars) -> pl.DataFrame:
    """Stored bars; each revision has a price of its own, and every seventh bar no turnover."""
    numbers = sorted(bars)
    revisions = np.array([bars[number] for number in numbers])
    turnover = pl.when(pl.Series([number % 7 > 0 for number in numbers])).then("turnover")
    return (
        walk(0, numbers[-1] + 1)[numbers]
        .with_columns(pl.col("close") * (1 + 0.0001 * revisions), turnover)
        .with_columns(
            pl.lit("test").alias("source"),
            pl.lit(0).cast(LEDGER_SCHEMA["fetched_at"]).alias("fetched_at"),
            pl.Series("revision", revisions, pl.Int32),
        )
        .select(*STORED_SCHEMA)
    )


def put(warehouse: Warehouse, bars: Bars, *, series: Series = SERIES, compacts: bool = False) -> None:
    """Make the table of bars hold these, rewriting only the files that change."""
    key, layout = SeriesKey(*series.key), CUT.layout
    frame = frame_of(bars)
    numbers = np.array(sorted(bars))
    commit = warehouse.begin("bars")
    with warehouse.pin() as snapshot:
        live = {(file.start, file.stop): file for file in snapshot.files("bars", key)}
        wanted = set()
        for start, stop in layout.pieces(numbers[0], numbers[-1]):
            lies_in_pieces = any(start <= first and end < stop for first, end in live)
            if stop - start == layout.chunk and lies_in_pieces and not compacts:
                wanted |= {layout.piece_range(number) for number in range(start, stop, layout.piece)}
            else:
                wanted.add((start, stop))
        for start, stop in sorted(wanted):
            rows = frame[slice(*np.searchsorted(numbers, (start, stop)).tolist())]
            if rows.is_empty():
                continue
            file = live.pop((start, stop), None)
            if file is not None:
                if pl.read_parquet(warehouse.root / file.path, hive_partitioning=False).equals(rows):
                    continue
                commit.remove(file)
            commit.write("bars", key, rows, start=start, stop=stop)
        for file in live.values():
            commit.remove(file)
    commit.publish()


def expected(bars: Bars, features: FeatureSet = SMALL) -> pl.DataFrame:
    """The whole table, computed chunk by chunk without storage and without the plan of a build."""
    frame = frame_of(bars)
    places = {number: place for place, number in enumerate(sorted(bars))}
    found = []
    for chunk in sorted({number // CUT.layout.chunk for number in bars}):
        read = [number for number, _ in read_of(bars, chunk)]
        n_own = sum(number // CUT.layout.chunk == chunk for number in read)
        rows = frame[[places[number] for number in read]]
        found.append(compute_chunk(features, rows, interval=SERIES.grid, n_own=n_own))
    return pl.concat(found)


def stored(warehouse: Warehouse, *, version: str = "small@v1", series: Series = SERIES) -> pl.DataFrame:
    with warehouse.pin() as snapshot:
        return snapshot.scan("features", SeriesKey(*series.key), version=version).collect()


def files(snapshot: Snapshot, *, version: str = "small@v1", series: Series = SERIES) -> list[DataFile]:
    return snapshot.files("features", SeriesKey(*series.key), version=version)


def read_of(bars: Bars, chunk: int) -> Sequence[tuple[int, int]]:
    """Bars that a chunk reads: number and revision."""
    own = [number for number in sorted(bars) if number // CUT.layout.chunk == chunk]
    before = [number for number in sorted(bars) if number < chunk * CUT.layout.chunk][-CUT.lead_bars :]
    return [(number, bars[number]) for number in (*before, *own)] if own else []
