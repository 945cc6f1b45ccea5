import json
import os
import subprocess
import sys
from pathlib import Path

import duckdb
import polars as pl
import pytest

from tests.cli.runner import Run
from tests.pipeline.sources import walk

ROOT = Path(__file__).parents[2]


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
    assert 'mmf sql "show all tables"' in filled("sql", "select * from nonsense", exit_code=2)
    assert "mmf sql --list" in filled("sql", "nonsense", exit_code=2)


@pytest.mark.parametrize("query", [[], [""], ["  "], ["/* a comment */"], [";"]])
def test_a_query_that_asks_nothing_is_an_error(filled: Run, query: list[str]) -> None:
    assert "Say what to ask: mmf sql" in filled("sql", *query, exit_code=2)


def test_statements_that_describe_are_answered(filled: Run) -> None:
    assert "open_time" in filled("sql", "describe bars")
    assert "bars" in filled("sql", "show all tables", "--format", "csv")


def test_an_interval_is_an_answer(filled: Run) -> None:
    query = "select max(open_time) - min(open_time) as span from bars"
    assert filled("sql", query).splitlines()[1].strip() == "37 days 11:00:00"
    assert json.loads(filled("sql", query, "--format", "json")) == [{"span": "37 days 11:00:00"}]


ODD_QUERY = """
    select [1, 2] as list, {'a': interval 1 day} as struct, map {'k': 1} as map, [1, 2]::integer[2] as array,
        'ab\\x00'::blob as blob, '101'::bit as bit, union_value(k := 1) as "union", timetz '12:00:00+01' as time,
        '12345678901234567890123456789012345678901'::bignum as big, [interval 1 day] as "in list", 1 as one, 2 as one
"""
ODD_CSV = (
    "list,struct,map,array,blob,bit,union,time,big,in list,one,one_1\n"
    '"[1, 2]",{\'a\': 1 day},{k=1},"[1, 2]",ab\\x00,101,1,12:00:00+01,'
    "12345678901234567890123456789012345678901,[1 day],1,2\n"
)


def test_columns_of_every_kind_can_be_written(filled: Run) -> None:
    assert filled("sql", ODD_QUERY, "--format", "csv") == ODD_CSV
    [row] = json.loads(filled("sql", ODD_QUERY, "--format", "json"))
    assert (row["list"], row["array"], row["map"], row["struct"]) == ([1, 2], [1, 2], {"k": 1}, "{'a': 1 day}")
    assert (row["blob"], row["in list"], row["one_1"]) == ("ab\\x00", "[1 day]", 2)
    filled("sql", ODD_QUERY, "--output", "odd.parquet")
    assert pl.read_parquet("odd.parquet")["blob"].to_list() == [b"ab\0"]
    assert "ab\\x00" in filled("sql", ODD_QUERY)


def test_json_has_null_for_what_is_no_finite_number(filled: Run) -> None:
    query = "select 'nan'::double as a, 'inf'::double as b, 1.5::double as c"
    assert json.loads(filled("sql", query, "--format", "json")) == [{"a": None, "b": None, "c": 1.5}]


@pytest.mark.parametrize("output", ["absent/out.csv", "."])
def test_an_output_that_cannot_be_written_is_explained(filled: Run, output: str) -> None:
    error = filled("sql", "select 1 as a", "--format", "csv", "--output", output, exit_code=2)
    assert f"error: --output {output} cannot be written: " in error
    assert "Name another file." in error


def test_parquet_is_not_for_the_screen(filled: Run) -> None:
    assert "Add --output FILE" in filled("sql", "select 1 as a", "--format", "parquet", exit_code=2)


@pytest.mark.parametrize("text", ["[/b]", "[red]abc[/red]", ":smile:"])
def test_text_that_looks_like_markup_is_printed_as_it_is(filled: Run, text: str) -> None:
    shown = filled("sql", f"select '{text}' as \"{text}\"")
    assert [line.strip() for line in shown.splitlines()] == [text, text]


@pytest.mark.parametrize("output_format", ["csv", "json", "table"])
def test_a_reader_that_goes_away_ends_it_quietly(filled: Run, output_format: str) -> None:
    query = "select i, repeat('x', 3000) as text from range(2000) as t(i)"
    code = "import sys; from cli.main import main; sys.argv = ['mmf', *sys.argv[1:]]; main()"
    arguments = [sys.executable, "-c", code, "sql", query, "--format", output_format]
    read_end, write_end = os.pipe()
    os.close(read_end)
    try:
        done = subprocess.run(
            arguments,
            stdout=write_end,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
        )
    finally:
        os.close(write_end)
    assert (done.returncode, done.stderr) == (141, "")


def test_data_status_shows_coverage(filled: Run) -> None:
    assert "BTCUSDT" in filled("data", "status")
    [series] = json.loads(filled("data", "status", "--json"))["series"]
    assert series["count_bars"] == 900


def test_expiring_keeps_the_newest_state(filled: Run) -> None:
    filled("data", "expire", "--keep", "0m")
    assert "900" in filled("sql", "select count(*) from bars")


def test_features_can_be_listed_and_shown(mmf: Run) -> None:
    listed = mmf("features", "list", "--family", "chaos").splitlines()
    assert listed[0] == "6 features; each has lags 1 2 3 5 8 13 beside it"
    assert any(line.split()[0] == "hurst_200" for line in listed)
    facts = dict(line.split(maxsplit=1) for line in mmf("features", "show", "hurst_200_lag_3").splitlines()[1:])
    assert (facts["name"], facts["family"], facts["lookback"]) == ("hurst_200", "chaos", "200")
    assert len(facts["hash"]) == 64
    assert "mmf features list" in mmf("features", "show", "hurts", exit_code=2)


def test_the_list_of_features_names_the_lags_of_mmf_toml(mmf: Run) -> None:
    Path("mmf.toml").write_text("[features]\nlags = [1, 4]\n")
    assert "each has lags 1 4 beside it" in mmf("features", "list")
