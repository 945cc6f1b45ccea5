from pathlib import Path

import duckdb
import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

import sql
from tests.warehouse.frames import KEY, OTHER, Clock, bars, features, publish_bars, times
from warehouse import SeriesKey, Snapshot, Warehouse
from warehouse.errors import InvalidNameError, NotFoundError
from warehouse.query import connect, inspection, inspections

RELATIONS = [
    "bars",
    "gaps",
    "absences",
    "verdicts",
    "funding",
    "instruments",
    "aliases",
    "universe",
    "universe_at(now())",
    "intervals",
    "revisions",
    "quarantine",
    "council_votes",
    "predictions",
    "series",
    "snapshots",
    "tags",
    "fetches",
    "runs",
    "files",
    "feature_versions",
    "features.core",
    "features.core_lagged",
]


def _ask(snapshot: Snapshot, query: str, lags: tuple[int, ...] = ()) -> pl.DataFrame:
    return connect(snapshot, lags=lags).sql(query).pl()


def _publish_features(
    warehouse: Warehouse, numbers: list[int] | range, version: str = "core@v1", key: SeriesKey = KEY, seed: int = 0
) -> None:
    start, stop = numbers[0], numbers[-1] + 1
    commit = warehouse.begin()
    frame = features(numbers, seed=seed)
    commit.write("features", key, frame, start=start, stop=stop, version=version, codec="features")
    commit.publish()


@pytest.mark.parametrize("relation", RELATIONS)
def test_every_relation_exists_in_an_empty_warehouse(warehouse: Warehouse, relation: str) -> None:
    with warehouse.pin() as snapshot:
        frame = _ask(snapshot, f"select * from {relation}")
    assert frame.columns
    assert frame.height == {"intervals": 12, "snapshots": 1}.get(relation, 0)


def test_bars_have_the_columns_of_the_empty_view_and_the_parts_of_their_series(warehouse: Warehouse) -> None:
    with warehouse.pin() as snapshot:
        empty = _ask(snapshot, "from bars")
    publish_bars(warehouse, 0, 3, price=7.5)
    publish_bars(warehouse, 5, 6, price=1.5, key=OTHER)
    with warehouse.pin() as snapshot:
        frame = _ask(snapshot, "from bars order by symbol, open_time")
    assert frame.schema == empty.schema
    assert frame.select("exchange", "category", "symbol", "interval").unique().sort("symbol").rows() == [KEY, OTHER]
    assert frame["close"].to_list() == [7.5] * 3 + [1.5]
    assert frame["open_time"].to_list() == [*times(range(3)), *times([5])]


def test_sql_reads_the_pinned_state_and_no_other(warehouse: Warehouse) -> None:
    publish_bars(warehouse, 0, 2, price=1.0)
    warehouse.tag("first", 1)
    with warehouse.pin() as snapshot:
        connection = connect(snapshot)
        publish_bars(warehouse, 0, 2, price=2.0)
        assert connection.sql("select distinct close from bars").fetchall() == [(1.0,)]
    with warehouse.pin("S1") as snapshot:
        assert _ask(snapshot, "select max(snapshot_id), count(*) from snapshots").rows() == [(1, 2)]
        assert _ask(snapshot, "select n_rows, added_snapshot from files").rows() == [(2, 1)]
    with warehouse.pin() as snapshot:
        assert _ask(snapshot, "select distinct close from bars").rows() == [(2.0,)]


def test_the_connection_closes_with_the_pin(warehouse: Warehouse) -> None:
    with warehouse.pin() as snapshot:
        connection = connect(snapshot)
        assert connection.sql("select 1").fetchall() == [(1,)]
    with pytest.raises(duckdb.ConnectionException, match="closed"):
        connection.sql("select 1")


def test_times_are_utc(warehouse: Warehouse) -> None:
    publish_bars(warehouse, 24, 25)
    with warehouse.pin() as snapshot:
        query = "select open_time::varchar, open_time = timestamptz '1970-01-02' from bars"
        assert _ask(snapshot, query).rows() == [("1970-01-02 00:00:00+00", True)]


def test_gaps_are_the_holes_between_bars(warehouse: Warehouse) -> None:
    present = [0, 1, 2, 5, 6, 8, 12]
    commit = warehouse.begin()
    commit.write("bars", KEY, bars(present[:5]), start=0, stop=8)
    commit.write("bars", KEY, bars(present[5:]), start=8, stop=16)
    commit.write("bars", OTHER, bars([0, 24, 24 * 4]), start=0, stop=100)  # three days apart, of interval D
    commit.publish()
    with warehouse.pin() as snapshot:
        query = "select symbol, after_open_time, before_open_time, count_missing from gaps order by all"
        found = _ask(snapshot, query).rows()
    hour = times(range(100)).to_list()
    assert found == [
        ("BTCUSDT", hour[2], hour[5], 2),
        ("BTCUSDT", hour[6], hour[8], 1),
        ("BTCUSDT", hour[8], hour[12], 3),
        ("ETHUSDT", hour[24], hour[96], 2),
    ]


def test_lags_count_stored_rows_of_one_series(warehouse: Warehouse) -> None:
    holed = [number for number in range(60) if number not in {7, 8, 30}]
    _publish_features(warehouse, holed[:20])
    _publish_features(warehouse, holed[20:], seed=1)
    for field, other in {"exchange": "okx", "category": "spot", "symbol": "ETHUSDT", "interval": "D"}.items():
        _publish_features(warehouse, range(40), key=KEY._replace(**{field: other}), seed=2)
    order = [*SeriesKey._fields, "open_time"]
    with warehouse.pin() as snapshot:
        found = _ask(snapshot, "from features.core_lagged", lags=(1, 2, 3, 5, 8, 13)).sort(order)
        base = snapshot.scan("features", version="core@v1").collect().sort(order)
    lagged = base.with_columns(
        pl.col(column).shift(lag).over(SeriesKey._fields, order_by="open_time").alias(f"{column}_lag_{lag}")
        for column in ("f_0", "f_1")
        for lag in (1, 2, 3, 5, 8, 13)
    )
    assert_frame_equal(found.with_columns(pl.col("open_time").dt.cast_time_unit("ms")), lagged)


def test_the_lags_are_a_choice(warehouse: Warehouse) -> None:
    _publish_features(warehouse, range(5))
    with warehouse.pin() as snapshot:
        columns = _ask(snapshot, "from features.core_lagged", lags=(4,)).columns
        assert [name for name in columns if "_lag_" in name] == ["f_0_lag_4", "f_1_lag_4"]
        assert _ask(snapshot, "from features.core_lagged").equals(_ask(snapshot, "from features.core"))


def test_only_the_lags_that_are_asked_for_are_computed(warehouse: Warehouse) -> None:
    _publish_features(warehouse, range(5))
    with warehouse.pin() as snapshot:
        query = "explain select f_1_lag_3 from features.core_lagged"
        plan = _ask(snapshot, query, lags=(1, 2, 3))["explain_value"].item()
    assert plan.count("lag(") == 1
    assert "f_0" not in plan


def test_a_build_of_one_series_does_not_hide_the_others(warehouse: Warehouse) -> None:
    other = KEY._replace(symbol="ETHUSDT")
    for version, key in (("core@v1", KEY), ("core@v1", other), ("core@v2", KEY)):
        _publish_features(warehouse, range(5), version, key=key)
    with warehouse.pin() as snapshot:
        query = "select symbol, count(*) from features.core group by symbol order by symbol"
        assert _ask(snapshot, query).rows() == [("BTCUSDT", 5), ("ETHUSDT", 5)]


def test_a_set_is_its_newest_version_that_has_rows(warehouse: Warehouse) -> None:
    for version, n_rows in (("core@v1", 5), ("core@v2", 6), ("core@v10", 7), ("alt@v1", 3)):
        _publish_features(warehouse, range(n_rows), version)
    warehouse.register_version("core", "no rows yet", [])
    with warehouse.pin() as snapshot:
        connection = connect(snapshot, feature_sets=("core", "planned"))
        counts = {
            name: connection.sql(f"select count(*) from features.{name}").fetchall()[0][0]
            for name in ("core", "core_lagged", '"core@v2"', '"core@v1"', "alt", "alt_lagged", "planned")
        }
    assert list(counts.values()) == [7, 7, 6, 5, 3, 3, 0]
    with warehouse.pin(2) as snapshot:
        assert _ask(snapshot, "select count(*) from features.core").item() == 6


def test_logs_of_several_files_and_columns_are_one_view(warehouse: Warehouse) -> None:
    for name, price in (("a", 1.0), ("b", 2.0)):
        commit = warehouse.begin()
        rows = bars(range(2), price).with_columns(pl.lit(price).alias(f"only_{name}"))
        commit.write("quarantine", KEY, rows, start=0, stop=1)
        votes = pl.DataFrame({"run_id": [name], "feature": ["rsi_14"], "rank": [3], "is_selected": [True]})
        commit.write("council_votes", None, votes, start=0, stop=1)
        commit.publish()
    with warehouse.pin() as snapshot:
        query = "select symbol, close, only_a, only_b from quarantine order by all"
        assert _ask(snapshot, query).rows() == [("BTCUSDT", 1.0, 1.0, None)] * 2 + [("BTCUSDT", 2.0, None, 2.0)] * 2
        assert _ask(snapshot, "select run_id from council_votes order by all").rows() == [("a",), ("b",)]


def test_side_tables_hold_what_was_recorded(warehouse: Warehouse, clock: Clock) -> None:
    counts = dict.fromkeys(("n_rows", "n_added", "n_revised", "n_unchanged", "n_quarantined", "n_forming"), 2)
    commit = warehouse.begin("bars")
    commit.write("bars", KEY, bars(range(2)), start=0, stop=2)
    commit.record("fetches", series=KEY, source="bybit", fetched_at=clock.ms, **counts)
    commit.publish()
    warehouse.register_version("core", "abc", [{"name": "rsi_14"}, {"name": "rsi_13"}])
    warehouse.save_run("r1", kind="run", status="done", table_state="core@v1@S1", config={"a": 1}, card={"auc": 0.5})
    with warehouse.pin() as snapshot:
        connection = connect(snapshot)
        assert connection.sql("select symbol, source, n_added, epoch_ms(fetched_at) from fetches").fetchall() == [
            ("BTCUSDT", "bybit", 2, clock.ms)
        ]
        assert connection.sql("select run_id, card ->> 'auc' from runs").fetchall() == [("r1", "0.5")]
        assert connection.sql("select version, count_definitions from feature_versions").fetchall() == [("core@v1", 2)]
        assert connection.sql("select symbol, tables from series").fetchall() == [("BTCUSDT", "bars")]


def test_no_code_is_fetched_and_local_files_can_be_read(warehouse: Warehouse, tmp_path: Path) -> None:
    (tmp_path / "mine.csv").write_text("a,b\n1,2\n")
    with warehouse.pin() as snapshot:
        connection = connect(snapshot)
        with pytest.raises(duckdb.Error, match="httpfs"):
            connection.sql("select * from 'https://127.0.0.1:9/x.parquet'").fetchall()
        assert connection.execute("from read_csv($path)", {"path": str(tmp_path / "mine.csv")}).fetchall() == [(1, 2)]


def test_a_path_with_an_apostrophe_reads_well(tmp_path: Path) -> None:
    with Warehouse.open(tmp_path / "o'brien", create=True) as warehouse:
        publish_bars(warehouse, 0, 2)
        with warehouse.pin() as snapshot:
            assert _ask(snapshot, "select count(*) from bars").item() == 2


@pytest.mark.parametrize("name", ['core"; drop table files; --', "core_lagged", "core_context_240", "core_context_d"])
def test_a_feature_set_is_named_strictly(warehouse: Warehouse, name: str) -> None:
    with warehouse.pin() as snapshot, pytest.raises(InvalidNameError, match="feature set"):
        connect(snapshot, feature_sets=[name])


def test_each_inspection_has_a_description_and_a_header() -> None:
    assert list(inspections()) == [
        "council_votes",
        "coverage",
        "feature_statistics",
        "fetches",
        "folds",
        "gaps",
        "holes",
        "latest_bars",
        "noise_floor",
        "revisions",
        "runs",
        "snapshots",
        "status",
        "trials",
        "universe",
        "versions",
    ]
    for name, description in inspections().items():
        assert description.endswith(".")
        assert inspection(name).startswith(f"-- {description}\n-- grain: ")


@pytest.mark.parametrize("folder", ["schema", "views", "views/empty", "inspect"])
def test_each_sql_file_tells_grain_reads_and_parameters(folder: str) -> None:
    for name in sql.names(folder):
        header = [line for line in sql.read(f"{folder}/{name}").splitlines()[:4] if line.startswith("-- ")]
        assert [line.split(":")[0] for line in header[1:]] == ["-- grain", "-- reads", "-- parameters"], name


def test_an_unknown_inspection_names_those_that_exist() -> None:
    with pytest.raises(NotFoundError, match=r"no inspection 'zzz'.*coverage, feature_statistics"):
        inspection("zzz")
    with pytest.raises(NotFoundError):
        inspection("../views/bars")


@pytest.mark.parametrize("name", inspections())
def test_each_inspection_answers_on_an_empty_warehouse(warehouse: Warehouse, name: str) -> None:
    with warehouse.pin() as snapshot:
        assert _ask(snapshot, inspection(name)).height == (name == "snapshots")


@pytest.fixture
def filled(warehouse: Warehouse, clock: Clock) -> Warehouse:
    """Two series with a hole, two feature versions, a run with votes."""
    commit = warehouse.begin("bars")
    commit.write("bars", KEY, bars([0, 1, 2, 5, 6], 3.0), start=0, stop=8)
    commit.write("bars", OTHER, bars([24, 48], 4.0), start=0, stop=100)
    commit.publish()
    for number in (1, 2):
        clock.advance(1)
        warehouse.register_version("core", f"hash {number}", [{}] * number)
    _publish_features(warehouse, range(40), "core@v2")
    for run_id, best in (("old", "f_0"), ("new", "f_1")):
        clock.advance(1)
        warehouse.save_run(run_id, kind="run", status="done", table_state="core@v2@S2", config={}, card={})
        commit = warehouse.begin("votes")
        ranks = {"f_0": 1, "f_1": 2} if best == "f_0" else {"f_0": 2, "f_1": 1}
        votes = pl.DataFrame(
            {
                "run_id": [run_id] * 2,
                "feature": list(ranks),
                **{f"{voter}_rank": list(ranks.values()) for voter in ("linear", "forest", "mutual", "mean")},
                "count_votes": [3 if feature == best else 0 for feature in ranks],
                "is_selected": [feature == best for feature in ranks],
            }
        )
        commit.write("council_votes", None, votes, start=0, stop=1)
        commit.publish()
    warehouse.tag("paper", 1)
    return warehouse


def _inspect(warehouse: Warehouse, name: str) -> pl.DataFrame:
    with warehouse.pin() as snapshot:
        return _ask(snapshot, inspection(name))


def test_coverage_counts_bars_and_slots(filled: Warehouse) -> None:
    frame = _inspect(filled, "coverage")
    assert frame["symbol"].to_list() == ["ETHUSDT", "BTCUSDT"]
    assert frame.select("count_bars", "count_missing", "share").rows() == [(2, 0, 1.0), (5, 2, 5 / 7)]


def test_latest_bars_and_gaps(filled: Warehouse) -> None:
    assert _inspect(filled, "latest_bars")["open_time"].to_list() == times([48, 6]).to_list()
    assert _inspect(filled, "gaps")["count_missing"].to_list() == [2]


def test_feature_statistics_agree_with_numpy(filled: Warehouse) -> None:
    values = features(range(40))["f_1"].to_numpy().astype(np.float64)
    frame = _inspect(filled, "feature_statistics")
    assert frame["column_name"].to_list() == ["f_0", "f_1", "missing_bars", "is_warm"]
    row = frame.filter(pl.col("column_name") == "f_1").row(0)
    expected = (0.0, values.mean(), values.std(ddof=1), values.min(), values.max())
    assert row[1:] == pytest.approx(expected)


def test_versions_tell_what_is_stored(filled: Warehouse) -> None:
    frame = _inspect(filled, "versions")
    assert frame.select("version", "count_definitions", "count_rows").rows() == [("core@v2", 2, 40), ("core@v1", 1, 0)]


def test_council_votes_are_those_of_the_latest_run(filled: Warehouse) -> None:
    frame = _inspect(filled, "council_votes")
    assert frame.select("feature", "count_votes", "mean_rank").rows() == [("f_1", 3, 1), ("f_0", 0, 2)]


def test_runs_and_snapshots_are_newest_first(filled: Warehouse) -> None:
    assert _inspect(filled, "runs")["run_id"].to_list() == ["new", "old"]
    frame = _inspect(filled, "snapshots")
    assert frame["snapshot_id"].to_list() == [4, 3, 2, 1, 0]
    assert frame["tags"].to_list() == [None, None, None, "paper", None]
