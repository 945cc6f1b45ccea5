import json
from pathlib import Path

import polars as pl
import pytest

from tests.cli.runner import Run
from tests.pipeline.sources import walk

NAMED = "bybit_linear_BTCUSDT_60m.parquet"


def test_a_file_whose_name_tells_its_series_needs_no_options(mmf: Run) -> None:
    walk(0, 300).write_parquet(NAMED)
    [report] = json.loads(mmf("ingest", "files", NAMED, "--json"))
    assert (report["series"], report["n_added"]) == ("bybit:linear:BTCUSDT:60", 300)


def test_a_second_ingest_says_that_nothing_is_new(mmf: Run) -> None:
    walk(0, 300).write_parquet(NAMED)
    mmf("ingest", "files", NAMED)
    assert "nothing new; the warehouse already holds these bars" in mmf("ingest", "files", NAMED)


def test_bad_rows_are_counted_and_shown(mmf: Run) -> None:
    walk(0, 300).with_columns(low=pl.when(pl.int_range(pl.len()) == 5).then(-1.0).otherwise("low")).write_parquet(NAMED)
    shown = mmf("ingest", "files", NAMED)
    assert "1 bad rows in quarantine" in shown
    assert "low is not positive" in shown
    assert "low is not positive" in mmf("sql", "select reason from quarantine")


@pytest.mark.parametrize("symbol", ["../../etc", "x'; drop table bars"])
def test_a_hostile_symbol_is_refused(mmf: Run, symbol: str) -> None:
    walk(0, 10).write_parquet("a.parquet")
    options = ("--exchange", "bybit", "--category", "linear", "--interval", "60", "--symbol", symbol)
    assert "is not a symbol: use A-Z, 0-9" in mmf("ingest", "files", "a.parquet", *options, exit_code=1)
    assert not list(Path("mmf_data").rglob("*.parquet")) if Path("mmf_data").exists() else True


def test_a_file_that_does_not_tell_its_series_asks_for_options(mmf: Run) -> None:
    walk(0, 10).write_parquet("a.parquet")
    error = mmf("ingest", "files", "a.parquet", "--symbol", "BTCUSDT", exit_code=1)
    assert "a.parquet does not tell its exchange and category and interval. Give --exchange" in error


def test_what_the_file_says_can_be_given_in_mmf_toml(mmf: Run) -> None:
    walk(0, 10).write_parquet("a.parquet")
    Path("mmf.toml").write_text('[market]\nexchange = "okx"\ncategory = "swap"\nsymbols = ["BTCUSDT"]\ninterval = 60\n')
    [report] = json.loads(mmf("ingest", "files", "a.parquet", "--json"))
    assert report["series"] == "okx:swap:BTCUSDT:60"


def test_the_simulated_market_prints_its_ceiling(mmf: Run, capsys: pytest.CaptureFixture[str]) -> None:
    [report] = json.loads(mmf("ingest", "simulated", "--bars", "500", "--json"))
    assert report["n_added"] == 500


def test_a_misused_option_exits_with_2(mmf: Run) -> None:
    mmf("ingest", "simulated", "--bars", "none", exit_code=2)


@pytest.mark.real_bars
def test_real_1m_bars_of_half_a_year_round_trip(mmf: Run, real_bars: Path) -> None:
    source = pl.scan_parquet(real_bars / "klines" / "binance_spot_BTCUSDT_1m.parquet").head(260_000).collect()
    source.write_parquet("binance_spot_BTCUSDT_1m.parquet")
    [report] = json.loads(mmf("ingest", "files", "binance_spot_BTCUSDT_1m.parquet", "--json"))
    assert report["n_added"] == source.height
    mmf("sql", "select open_time, close from bars order by open_time", "--output", "out.parquet")
    assert pl.read_parquet("out.parquet")["close"].equals(source["close"])
