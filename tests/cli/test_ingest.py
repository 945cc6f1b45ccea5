import json
from pathlib import Path

import polars as pl
import pytest

from cli.main import main
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


@pytest.mark.parametrize("from_file", [False, True])
def test_what_a_file_name_tells_wins_over_environment_and_mmf_toml(
    mmf: Run, monkeypatch: pytest.MonkeyPatch, *, from_file: bool
) -> None:
    elsewhere = {"exchange": "okx", "category": "swap", "symbol": "SOLUSDT", "interval": "15"}
    if from_file:
        Path("mmf.toml").write_text(
            '[market]\nexchange = "okx"\ncategory = "swap"\nsymbols = ["SOLUSDT"]\ninterval = "15"\n'
        )
    else:
        for name, value in elsewhere.items():
            monkeypatch.setenv(f"MMF_{name.upper()}", value)
    walk(0, 30).write_parquet("bybit_linear_ETHUSDT_60m.parquet")
    walk(0, 20).write_parquet("BTCUSDT-1h-2024-10-28.parquet")
    reports = json.loads(mmf("ingest", "files", ".", "--json"))
    assert {report["series"]: report["n_added"] for report in reports} == {
        "bybit:linear:ETHUSDT:60": 30,
        "okx:swap:BTCUSDT:60": 20,
    }


def test_the_environment_wins_over_mmf_toml(mmf: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    walk(0, 10).write_parquet("a.parquet")
    Path("mmf.toml").write_text('[market]\nexchange = "okx"\ncategory = "swap"\nsymbols = ["A1"]\ninterval = 60\n')
    monkeypatch.setenv("MMF_SYMBOL", "B2")
    [report] = json.loads(mmf("ingest", "files", "a.parquet", "--json"))
    assert report["series"] == "okx:swap:B2:60"


@pytest.mark.parametrize(
    ("option", "value", "told"),
    [
        ("exchange", "okx", "bybit"),
        ("category", "spot", "linear"),
        ("symbol", "ETHUSDT", "BTCUSDT"),
        ("interval", "15m", "60"),
    ],
)
def test_an_option_that_contradicts_the_file_name_is_refused(mmf: Run, option: str, value: str, told: str) -> None:
    walk(0, 10).write_parquet(NAMED)
    error = mmf("ingest", "files", NAMED, f"--{option}", value, exit_code=2)
    assert f"the name of {NAMED} tells the {option} {told}, and --{option} {value} contradicts it" in error
    assert f"Rename the file, or leave out --{option}." in error
    assert not Path("mmf_data").exists()


def test_an_option_may_say_the_same_as_the_file_name_in_other_words(mmf: Run) -> None:
    walk(0, 10).write_parquet(NAMED)
    [report] = json.loads(mmf("ingest", "files", NAMED, "--interval", "1h", "--symbol", "BTC-USDT", "--json"))
    assert report["series"] == "bybit:linear:BTC-USDT:60"  # the exchange's own spelling, which no name can hold


def test_of_several_symbols_in_mmf_toml_none_is_taken_silently(mmf: Run) -> None:
    walk(0, 10).write_parquet("a.parquet")
    Path("mmf.toml").write_text(
        '[market]\nexchange = "okx"\ncategory = "swap"\nsymbols = ["A1", "B2"]\ninterval = 60\n'
    )
    error = mmf("ingest", "files", "a.parquet", exit_code=2)
    assert "mmf.toml names 2 symbols (A1, B2), and one is wanted here. Give --symbol" in error


@pytest.mark.parametrize("symbol", ["BTCUSDT", "ETHUSDT"])
def test_what_was_stored_before_a_bad_file_is_reported(
    mmf: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], symbol: str
) -> None:
    one_bad_row = pl.when(pl.int_range(pl.len()) == 5).then(-1.0).otherwise("low")
    walk(0, 30).with_columns(low=one_bad_row).write_parquet(NAMED)
    Path("more").mkdir()
    bad = f"more/bybit_linear_{symbol}_60m.csv"
    walk(30, 10).rename({"low": "lowest"}).write_csv(bad)
    monkeypatch.setattr("sys.argv", ["mmf", "ingest", "files", NAMED, bad])
    with pytest.raises(SystemExit) as ended:
        main()
    out, err = capsys.readouterr()
    assert ended.value.code == 1
    assert out.splitlines()[1].split() == ["bybit:linear:BTCUSDT:60", "30", "29", "0", "1", "S1"]
    assert "1 bad rows in quarantine" in out
    assert err.startswith(f"error: bybit_linear_{symbol}_60m.csv: no column is known as low.")
    assert "The files after this one were not read. Mend it or leave it out, then run the same command again" in err
    assert mmf("sql", "select count(*) as n from bars", "--format", "csv") == "n\n29\n"


@pytest.mark.parametrize("symbol", ["../../etc", "x'; drop table bars"])
def test_a_hostile_symbol_is_refused(mmf: Run, symbol: str) -> None:
    walk(0, 10).write_parquet("a.parquet")
    options = ("--exchange", "bybit", "--category", "linear", "--interval", "60", "--symbol", symbol)
    assert "is not a symbol: use A-Z, 0-9" in mmf("ingest", "files", "a.parquet", *options, exit_code=2)
    assert not list(Path("mmf_data").rglob("*.parquet"))


def test_a_file_that_does_not_tell_its_series_asks_for_options(mmf: Run) -> None:
    walk(0, 10).write_parquet("a.parquet")
    error = mmf("ingest", "files", "a.parquet", "--symbol", "BTCUSDT", exit_code=2)
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
