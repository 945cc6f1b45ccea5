import json
from pathlib import Path

import duckdb
import pytest

from tests.cli.runner import Run
from tests.pipeline.sources import walk


@pytest.fixture
def filled(mmf: Run) -> Run:
    walk(0, 900).write_parquet("bybit_linear_BTCUSDT_60m.parquet")
    mmf("ingest", "files", "bybit_linear_BTCUSDT_60m.parquet")
    mmf("features", "build", "bybit:linear:BTCUSDT:60")
    return mmf


def test_a_query_prints_a_table(filled: Run) -> None:
    assert "900" in filled("sql", "select symbol, count(*) as n from bars group by all")


@pytest.mark.parametrize("suffix", ["csv", "json", "parquet"])
def test_answers_can_be_written(filled: Run, suffix: str) -> None:
    filled("sql", "select open_time, close from bars", "--output", f"out.{suffix}")
    assert Path(f"out.{suffix}").stat().st_size > 1_000


def test_every_inspection_runs(filled: Run) -> None:
    names = [line.split()[0] for line in filled("sql", "--list").splitlines()[1:]]
    assert {"coverage", "latest_bars", "feature_statistics", "versions", "council_votes"} <= set(names)
    for name in names:
        filled("sql", name)


def test_lagged_columns_are_there(filled: Run) -> None:
    query = (
        "select rsi_14, lag(rsi_14, 3) over (order by open_time) as expected, rsi_14_lag_3 from features.core_lagged"
    )
    rows = json.loads(
        filled(
            "sql",
            f"select count(*) as n from ({query}) where expected is distinct from rsi_14_lag_3",
            "--format",
            "json",
        )
    )
    assert rows == [{"n": 0}]


def test_an_older_state_can_be_asked(filled: Run) -> None:
    walk(900, 10).write_parquet("bybit_linear_BTCUSDT_60m.parquet")
    filled("ingest", "files", "bybit_linear_BTCUSDT_60m.parquet")
    count = ("sql", "select count(*) as n from bars", "--format", "json")
    assert json.loads(filled(*count)) == [{"n": 910}]
    assert json.loads(filled(*count, "--as-of", "S1")) == [{"n": 900}]


def test_an_export_opens_in_duckdb(filled: Run) -> None:
    filled("sql", "--export", "mmf.duckdb")
    with duckdb.connect("mmf.duckdb", read_only=True) as connection:
        assert connection.sql("select count(*) from bars").fetchall() == [(900,)]


def test_a_faulty_query_says_what_there_is(filled: Run) -> None:
    assert 'mmf sql "show all tables"' in filled("sql", "select * from nonsense", exit_code=1)
    assert "mmf sql --list" in filled("sql", "nonsense", exit_code=1)
    assert "say what to ask" in filled("sql", exit_code=1)


def test_data_status_shows_coverage(filled: Run) -> None:
    assert "BTCUSDT" in filled("data", "status")
    [series] = json.loads(filled("data", "status", "--json"))["series"]
    assert series["count_bars"] == 900


def test_expiring_keeps_the_newest_state(filled: Run) -> None:
    filled("data", "expire", "--keep", "0m")
    assert "900" in filled("sql", "select count(*) from bars")


def test_features_can_be_listed_and_shown(mmf: Run) -> None:
    assert "hurst_200" in mmf("features", "list", "--family", "chaos")
    assert "definition" in mmf("features", "show", "hurst_200") or "oracle" in mmf("features", "show", "hurst_200")
    assert "mmf features list" in mmf("features", "show", "hurts", exit_code=1)
