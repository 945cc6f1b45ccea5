from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from mmf.bars import Interval, Series
from mmf.errors import CallError, DataError
from mmf.features.context import with_context
from mmf.features.lags import lag_columns, lag_expr
from mmf.pipeline.scan import read_features, read_panel, scan_features
from tests.pipeline.feature_tables import FEATURES, publish, table
from warehouse import Warehouse

HOUR_MS = 3_600_000
BTC = Series("bybit", "linear", "BTCUSDT", "60")
ETH = Series("bybit", "linear", "ETHUSDT", "60")
BTC_240 = Series("bybit", "linear", "BTCUSDT", "240")
HOLED = [number for number in range(120, 320) if number not in {130, *range(150, 187), 255}]
TABLES = {
    BTC: table(BTC, HOLED, seed=1),
    ETH: table(ETH, range(140, 300), seed=2),
    BTC_240: table(BTC_240, [n for n in range(20, 80) if n not in {33, *range(50, 54)}], seed=3),
}
COLUMNS = ("f_1", "f_0_lag_3", "f_2_ctx_240", "f_2_ctx_240_lag_13", "is_warm_lag_1", "missing_bars", "is_warm_ctx_240")


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Warehouse]:
    with Warehouse.open(tmp_path_factory.mktemp("scan") / "w", create=True) as warehouse:
        warehouse.register_version("core", "hash 1", [{"name": name} for name in FEATURES])
        for series, frame in TABLES.items():
            publish(warehouse, series, frame, file_bars=1 if series == BTC_240 else 16)
        yield warehouse


def in_memory(series: Series, columns: tuple[str, ...]) -> pl.DataFrame:
    """The whole table with its lags and context, from frames."""
    rows = TABLES[series].lazy()
    if any("_ctx_240" in name for name in columns):
        longer = TABLES[BTC_240]
        rows = with_context(rows, longer, [*FEATURES, "is_warm"], interval=Interval("60"), context=Interval("240"))
    return rows.select("open_time", *map(lag_expr, columns)).collect()


def time_of(number: int) -> datetime:
    return datetime.fromtimestamp(number * 3_600, tz=UTC)


def test_every_logical_column_by_default(filled: Warehouse) -> None:
    columns = (*lag_columns(FEATURES), "missing_bars", "is_warm")
    with filled.pin() as snapshot:
        found = scan_features(snapshot, BTC, "core").collect()
    assert found.columns == ["open_time", *columns]
    assert len(columns) == 7 * len(FEATURES) + 2
    assert_frame_equal(found, in_memory(BTC, columns))


def test_context_columns_stand_behind_those_of_the_row(filled: Warehouse) -> None:
    with filled.pin() as snapshot:
        found = scan_features(snapshot, BTC, "core@v1", context=("4h",), lags=(2,)).collect()
    columns = (*lag_columns((*FEATURES, *(f"{name}_ctx_240" for name in FEATURES)), (2,)), "missing_bars", "is_warm")
    assert_frame_equal(found, in_memory(BTC, columns))
    assert found["f_0_ctx_240_lag_2"].null_count() < found.height / 2  # the longer bars are really there


@settings(max_examples=100)
@given(
    st.integers(100, 330),
    st.integers(0, 90),
    st.sampled_from([timedelta(), timedelta(minutes=30)]),
    st.lists(st.sampled_from(COLUMNS), min_size=1, max_size=4, unique=True).map(tuple),
)
@example(207, 5, timedelta(), ("is_warm_ctx_240",))  # sees a bar that closed exactly two of its intervals before
def test_a_range_equals_the_same_rows_of_the_whole_table(
    filled: Warehouse, start: int, n: int, off_grid: timedelta, columns: tuple[str, ...]
) -> None:
    first, stop = time_of(start) + off_grid, time_of(start + n) + off_grid
    with filled.pin() as snapshot:
        part = scan_features(snapshot, BTC, "core", columns=columns, start=first, stop=stop).collect()
        tail = scan_features(snapshot, BTC, "core", columns=columns, start=first).collect()
        head = scan_features(snapshot, BTC, "core", columns=columns, stop=first).collect()
    whole = in_memory(BTC, columns)
    is_before, is_after = pl.col("open_time") < first, pl.col("open_time") >= stop
    assert_frame_equal(part, whole.filter(~is_before & ~is_after))
    assert_frame_equal(tail, whole.filter(~is_before))
    assert_frame_equal(head, whole.filter(is_before))


def test_lags_read_nothing_but_the_rows_before_the_range(filled: Warehouse, tmp_path: Path) -> None:
    """Files that hold neither a row of the range nor one that a lag reads may be damaged."""
    with Warehouse.open(tmp_path / "w", create=True) as warehouse:
        publish(warehouse, BTC, TABLES[BTC])
        with warehouse.pin() as snapshot:
            files = snapshot.files("features", BTC.key, version="core@v1")
            for file in files:  # the range is 240 to 250, and three stored bars before 240 lie in 224 to 240
                if file.stop <= 224 or file.start >= 256:
                    (warehouse.root / file.path).write_bytes(b"damaged")
            scan = scan_features(
                snapshot, BTC, "core", columns=["f_0_lag_3"], start=time_of(240), stop=time_of(250)
            ).collect()
    assert_frame_equal(
        scan, in_memory(BTC, ("f_0_lag_3",)).filter(pl.col("open_time").is_between(time_of(240), time_of(249)))
    )


def test_a_select_reads_the_columns_that_it_names(filled: Warehouse) -> None:
    with filled.pin() as snapshot:
        plan = scan_features(snapshot, BTC, "core").select("f_0_lag_1", "f_1_lag_2", "f_3_lag_13").explain()
    assert "PROJECT 3/7 COLUMNS" in plan
    assert plan.count("shift") == 3


def test_of_several_series_each_has_lags_of_its_own(filled: Warehouse) -> None:
    columns = ("f_0_lag_1", "f_1")
    with filled.pin() as snapshot:
        found = scan_features(snapshot, [ETH, BTC], "core", columns=columns).collect()
        one = scan_features(snapshot, [BTC], "core", columns=columns, start=time_of(200)).collect()
    assert found.columns == ["exchange", "category", "symbol", "interval", "open_time", *columns]
    assert found["symbol"].unique(maintain_order=True).to_list() == ["ETHUSDT", "BTCUSDT"]
    for series in (ETH, BTC):
        own = found.filter(pl.col("symbol") == series.symbol)
        assert_frame_equal(own.select("open_time", *columns), in_memory(series, columns))
    assert one["interval"].unique().to_list() == ["60"]


@pytest.mark.parametrize(
    ("column", "message"),
    [
        ("f_9", "has no f_9. Did you mean f_"),
        ("f_9_lag_3", "column 'f_9_lag_3' is not of this feature version, which has no f_9"),
        ("zzz_ctx_240", "has no zzz. See them all: mmf features list"),
        ("f_0_lag_3_ctx_240", "has no f_0_lag_3"),
        ("f_0_ctx_30", "context 30 is no longer than the interval 60"),
        ("f_0_ctx_d", r"holds no core of bybit:linear:BTCUSDT:D\. .*mmf features build bybit:linear:BTCUSDT:D"),
    ],
)
def test_a_column_that_is_not_there_is_named(filled: Warehouse, column: str, message: str) -> None:
    with filled.pin() as snapshot, pytest.raises((CallError, DataError), match=message):
        scan_features(snapshot, BTC, "core", columns=[column])


def test_a_version_is_one_that_all_series_have(filled: Warehouse, tmp_path: Path) -> None:
    with Warehouse.open(tmp_path / "w", create=True) as warehouse:
        for version, series in (("core@v1", BTC), ("core@v1", ETH), ("core@v2", BTC), ("core@v1", BTC_240)):
            publish(warehouse, series, TABLES[series], version=version)
        with warehouse.pin() as snapshot:
            assert scan_features(snapshot, [BTC, ETH], "core", columns=["f_0"]).collect().height > 0
            with pytest.raises(DataError, match=r"holds no core@v2 of bybit:linear:ETHUSDT:60\. Build it with"):
                scan_features(snapshot, [BTC, ETH], "core@v2")
            with pytest.raises(DataError, match="holds no core@v2 of bybit:linear:BTCUSDT:240"):
                scan_features(snapshot, BTC, "core@v2", context=("240",))


@pytest.mark.parametrize("start", [time_of(200), "1970-01-09T08:00", "1970-01-09T10:00+02:00"])
def test_times_may_be_text(filled: Warehouse, start: datetime | str) -> None:
    assert read_features(filled, BTC, "core", columns=["f_0"], start=start)["open_time"][0] == time_of(200)


@pytest.mark.parametrize(("start", "message"), [("soon", "'soon' is no time"), (datetime(1970, 1, 1), "no time zone")])
def test_times_are_checked(filled: Warehouse, start: datetime | str, message: str) -> None:
    with pytest.raises(CallError, match=message):
        read_features(filled, BTC, "core", start=start)


def test_a_state_may_be_pinned(tmp_path: Path) -> None:
    with Warehouse.open(tmp_path / "w", create=True) as warehouse:
        warehouse.register_version("core", "hash 1", [{"name": name} for name in FEATURES])
        first = publish(warehouse, BTC, TABLES[BTC][:50])
        publish(warehouse, BTC, TABLES[BTC])
        heights = [
            read_features(warehouse, BTC, state, as_of=as_of, columns=["f_0"]).height
            for state, as_of in (("core", None), (f"core@v1@S{first}", None), ("core@v1", first), ("core", f"S{first}"))
        ]
        assert heights == [len(HOLED), 50, 50, 50]
        with pytest.raises(CallError, match="names a snapshot, and --as-of 2 another"):
            read_features(warehouse, BTC, f"core@v1@S{first}", as_of=2)


def test_a_panel_is_the_union_of_the_rows(filled: Warehouse) -> None:
    columns = ("f_0", "f_1_lag_2")
    with filled.pin() as snapshot:
        panel = read_panel(snapshot, [ETH, BTC], "core", columns=columns, start=time_of(130), stop=time_of(200))
    times = panel.open_time_ms // HOUR_MS
    assert panel.series == (BTC, ETH)
    assert times.tolist() == sorted({n for n in HOLED if 130 <= n < 200} | set(range(140, 200)))
    for place, series in enumerate(panel.series):
        own = in_memory(series, columns).filter(pl.col("open_time").is_between(time_of(130), time_of(199)))
        assert times[panel.mask[:, place]].tolist() == (own["open_time"].to_physical() // HOUR_MS).to_list()
        expected = own.select(pl.col(columns).fill_null(np.nan)).to_numpy()
        np.testing.assert_array_equal(panel.x[panel.mask[:, place], place], expected)
