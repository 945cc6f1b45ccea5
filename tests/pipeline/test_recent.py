from collections.abc import Iterator
from datetime import datetime

import numpy as np
import polars as pl
import pytest

from mmf.bars import Interval
from mmf.features.registry import feature_set
from mmf.pipeline.build import build_features
from mmf.pipeline.ingest import ingest
from mmf.pipeline.recent import recent_rows
from mmf.pipeline.scan import scan_features
from mmf.pipeline.state import in_interval
from mmf.rows import PHYSICS_TRIO
from tests.pipeline.sources import SERIES, ListSource, walk
from warehouse import Snapshot, Warehouse

N_BARS, HOLE = 1_200, (1_100, 1_160)
COLUMNS = ("rsi_14", "rsi_14_lag_13", "hurst_200", "roc_5_lag_2", "rsi_14_ctx_240", "rsi_14_ctx_240_lag_3")
BARS = walk(0, N_BARS).filter(~pl.int_range(pl.len()).is_between(*HOLE, closed="left"))


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Snapshot]:
    with Warehouse.open(tmp_path_factory.mktemp("recent") / "w", create=True) as warehouse:
        for series in (SERIES, in_interval(SERIES, Interval.parse("240"))):
            bars = BARS.filter(pl.col("open_time").to_physical() % series.grid.ms == 0)
            ingest(warehouse, ListSource((bars,)), series)
            build_features(warehouse, series, feature_set("core"))
        with warehouse.pin() as pinned:
            yield pinned


def expected(snapshot: Snapshot, times: pl.Series) -> np.ndarray:
    """The same rows as the lazy scan of the whole table reads them."""
    table = scan_features(snapshot, SERIES, "core@v1", columns=COLUMNS).collect()
    rows = table.filter(pl.col("open_time").is_in(times.implode()))
    return rows.select(pl.col(COLUMNS).fill_null(np.nan)).to_numpy().astype(np.float32)


@pytest.mark.parametrize(("reach", "last"), [(0, 1), (5, 1), (70, 3), (315, 20), (2_000, 1), (0, 2_000)])
def test_newest_rows_are_those_of_the_whole_table_whatever_holes_lie_before(
    snapshot: Snapshot, reach: int, last: int
) -> None:
    found = recent_rows(snapshot, SERIES, "core@v1", COLUMNS, reach=reach, last=last)
    n = min(BARS.height, reach + last)
    assert found.table["open_time"].to_list() == BARS["open_time"].tail(n).to_list()
    assert found.table["is_asked"].to_list() == [False] * (n - min(last, n)) + [True] * min(last, n)
    assert np.array_equal(found.x, expected(snapshot, found.table["open_time"]), equal_nan=True)
    assert found.table.columns == ["open_time", *PHYSICS_TRIO, "is_warm", "is_asked"]


@pytest.mark.parametrize(("first", "stop"), [(0, 3), (1_000, 1_001), (1_090, 1_170), (1_120, 1_161), (1_190, 2_000)])
def test_a_range_has_its_rows_and_those_before_it(snapshot: Snapshot, first: int, stop: int) -> None:
    start, end = (at(bar) for bar in (first, stop))
    found = recent_rows(snapshot, SERIES, "core@v1", COLUMNS, reach=40, start=start, stop=end)
    wanted = BARS.filter(pl.col("open_time").is_between(start, end, closed="left"))["open_time"]
    before = BARS.filter(pl.col("open_time") < start)["open_time"].tail(40)
    assert found.table.filter("is_asked")["open_time"].to_list() == wanted.to_list()
    assert found.table["open_time"].to_list() == [*before, *wanted]
    assert np.array_equal(found.x, expected(snapshot, found.table["open_time"]), equal_nan=True)


def at(bar: int) -> datetime:
    return walk(bar, 1)["open_time"][0]
