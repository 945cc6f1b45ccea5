"""Context columns in SQL are those that Python reads."""

from collections.abc import Iterator

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from mmf.bars import Series
from mmf.features.context import MAX_AGE
from mmf.pipeline.scan import scan_features
from tests.pipeline.feature_tables import FEATURES, publish, table
from warehouse import Snapshot, Warehouse, feature_views
from warehouse.query import connect


def series(interval: str, symbol: str = "BTCUSDT") -> Series:
    return Series("bybit", "linear", symbol, interval)


LONGER = [n for n in range(30, 80) if n not in {33, *range(50, 55)}]
TABLES = {
    series("60"): table(series("60"), range(120, 330), seed=1),
    series("15"): table(series("15"), range(500, 1_200, 3), seed=2),
    series("240"): table(series("240"), LONGER, seed=3),
    series("D"): table(series("D"), range(4, 12), seed=4),
    series("60", "ETHUSDT"): table(series("60", "ETHUSDT"), range(100, 200), seed=5),
}


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Snapshot]:
    with Warehouse.open(tmp_path_factory.mktemp("views") / "w", create=True) as warehouse:
        for one, frame in TABLES.items():
            publish(warehouse, one, frame)
        # 240 has no core@v2, so the rows of 60 look core@v1 up, and only those of D are in core@v2
        for one in (series("60"), series("D")):
            publish(warehouse, one, TABLES[one].with_columns(pl.col(FEATURES) * 2), version="core@v2")
        with warehouse.pin() as pinned:
            yield pinned


def ask(snapshot: Snapshot, query: str, *, lags: tuple[int, ...] = ()) -> pl.DataFrame:
    found = connect(snapshot, lags=lags).sql(query).pl()
    return found.with_columns(pl.col("open_time").dt.cast_time_unit("ms")) if "open_time" in found.columns else found


@pytest.mark.parametrize(
    ("context", "version", "interval"),
    [("240", "core@v1", "60"), ("240", "core@v1", "15"), ("d", "core@v2", "60"), ("d", "core@v1", "240")],
)
def test_context_in_sql_is_that_of_python(snapshot: Snapshot, context: str, version: str, interval: str) -> None:
    columns = (*FEATURES, "missing_bars", "is_warm", *(f"{name}_ctx_{context}" for name in FEATURES))
    query = f"select * exclude (exchange, category, symbol) from features.core_context_{context} order by open_time"
    found = ask(snapshot, query).filter(pl.col("interval") == interval).drop("interval")
    expected = scan_features(snapshot, series(interval), version, columns=columns).collect()
    assert_frame_equal(found, expected)
    assert 0 < found[f"f_0_ctx_{context}"].null_count() < found.height


@pytest.mark.parametrize(("context", "version", "interval"), [("240", "core@v1", "60"), ("d", "core@v2", "60")])
def test_lags_of_context_in_sql_are_those_of_python(
    snapshot: Snapshot, context: str, version: str, interval: str
) -> None:
    columns = [f"{name}_ctx_{context}{lag}" for name in FEATURES for lag in ("", "_lag_1", "_lag_3")]
    query = f"select interval, open_time, {', '.join(columns)} from features.core_context_{context}_lagged order by all"
    found = ask(snapshot, query, lags=(1, 3)).filter(pl.col("interval") == interval).drop("interval")
    expected = scan_features(snapshot, series(interval), version, columns=columns).collect()
    assert_frame_equal(found, expected)
    assert not found[f"f_0_ctx_{context}"].equals(found[f"f_0_ctx_{context}_lag_1"], check_names=False)


def test_rows_that_can_look_nothing_up_are_left_out(snapshot: Snapshot) -> None:
    query = "select distinct symbol, interval from features.core_context_240 order by all"
    assert ask(snapshot, query).rows() == [("BTCUSDT", "15"), ("BTCUSDT", "60")]
    views = ask(snapshot, "select view_name from duckdb_views() where view_name like 'core_context%' order by all")
    assert views.to_series().to_list() == [
        f"core_context_{interval}{ending}" for interval in ("240", "60", "d") for ending in ("", "_lagged")
    ]


def test_only_the_columns_asked_for_are_read(snapshot: Snapshot) -> None:
    for query in (
        "f_1_ctx_240 from features.core_context_240",
        "f_1_ctx_240_lag_3 from features.core_context_240_lagged",
    ):
        plan = ask(snapshot, f"explain select {query}", lags=(1, 3))["explain_value"].item()
        assert "f_1" in plan
        assert not any(name in plan for name in ("f_0", "f_2", "f_3"))


def test_one_age_counts_in_both_languages() -> None:
    assert feature_views.MAX_AGE == MAX_AGE
