import io
import json
import time
from collections.abc import Iterator
from contextlib import redirect_stdout
from pathlib import Path

import polars as pl
import pytest

from mmf.bars import Series
from tests.cli.runner import Run
from tests.exchange.server import LoopbackExchange, Market
from tests.exchange.truth import JANUARY_2024_MS, walk_bars, walk_funding

BTC = Series("bybit", "linear", "BTCUSDT", "60")
ETH = Series("bybit", "linear", "ETHUSDT", "60")
UM = Series("binance", "um", "BTCUSDT", "60")
JANUARY = ("--start", "2024-01-01")


@pytest.fixture
def exchange() -> Iterator[LoopbackExchange]:
    markets = [
        Market(BTC, walk_bars(1_500), launch_ms=JANUARY_2024_MS, funding=walk_funding(100)),
        Market(ETH, walk_bars(1_500, seed=1), launch_ms=JANUARY_2024_MS),
        Market(UM, walk_bars(1_500, seed=2), launch_ms=JANUARY_2024_MS),
    ]
    with LoopbackExchange(markets) as served:
        yield served


@pytest.mark.parametrize("name", ["bybit", "binance"])
def test_an_exchange_fills_the_warehouse_and_a_rerun_finds_nothing_new(
    mmf: Run, exchange: LoopbackExchange, name: str
) -> None:
    command = ("ingest", name, "BTCUSDT", *JANUARY, "--base-url", exchange.url, "--archive-url", exchange.url)
    [report] = json.loads(mmf(*command, "--json"))
    assert report["n_added"] == 1_500
    assert "nothing new" in mmf(*command)


@pytest.mark.parametrize(("name", "series"), [("bybit", [BTC, ETH]), ("binance", [UM])])
def test_a_pattern_is_looked_up_at_the_exchange(
    mmf: Run, exchange: LoopbackExchange, name: str, series: list[Series]
) -> None:
    at = ("--base-url", exchange.url, "--archive-url", exchange.url)
    reports = json.loads(mmf("ingest", name, "*USDT", *JANUARY, *at, "--json"))
    assert [report["series"] for report in reports] == [str(one) for one in series]


@pytest.mark.parametrize("name", ["bybit", "binance"])
def test_the_address_comes_by_flag_else_by_environment_else_by_the_file(
    mmf: Run, exchange: LoopbackExchange, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    nowhere = "http://127.0.0.1:9/nowhere"
    command = ("ingest", name, "BTCUSDT", *JANUARY)
    Path("mmf.toml").write_text(f'[urls]\n{name} = "{exchange.url}"\nbinance_archive = "{exchange.url}"\n')
    assert json.loads(mmf(*command, "--json"))[0]["n_added"] == 1_500
    Path("mmf.toml").write_text(f'[urls]\n{name} = "{nowhere}"\nbinance_archive = "{nowhere}"\n')
    monkeypatch.setenv(f"MMF_{name.upper()}_URL", exchange.url)
    monkeypatch.setenv("MMF_BINANCE_ARCHIVE_URL", exchange.url)
    assert "nothing new" in mmf(*command)
    assert "nothing new" in mmf("ingest")
    monkeypatch.setenv(f"MMF_{name.upper()}_URL", nowhere)
    assert "nothing new" in mmf(*command, "--base-url", exchange.url)


def test_ingest_alone_refreshes_series_of_two_exchanges_at_their_addresses(
    mmf: Run, exchange: LoopbackExchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("BYBIT", "BINANCE", "BINANCE_ARCHIVE"):
        monkeypatch.setenv(f"MMF_{name}_URL", exchange.url)
    mmf("ingest", "bybit", "*USDT", *JANUARY, "--end", "2024-02-01")
    mmf("ingest", "binance", "BTCUSDT", *JANUARY, "--end", "2024-02-01")
    reports = json.loads(mmf("ingest", "--json"))
    assert [report["series"] for report in reports] == [str(UM), str(BTC), str(ETH)]
    assert {report["n_added"] for report in reports} == {1_500 - 31 * 24}


def test_ingest_alone_refreshes_what_is_known(mmf: Run, exchange: LoopbackExchange) -> None:
    stop = ("--end", "2024-02-01")
    mmf("ingest", "bybit", "BTCUSDT", *JANUARY, *stop, "--base-url", exchange.url)
    [report] = json.loads(mmf("ingest", "--base-url", exchange.url, "--json"))
    assert report["n_added"] == 1_500 - 31 * 24


def test_ingest_alone_without_any_series_names_the_first_step(mmf: Run) -> None:
    mmf("ingest", "simulated", "--bars", "10")
    assert "mmf ingest bybit BTCUSDT" in mmf("ingest", exit_code=2)


def test_an_unknown_symbol_is_named(mmf: Run, exchange: LoopbackExchange) -> None:
    assert "NOPEUSDT" in mmf("ingest", "bybit", "NOPEUSDT", *JANUARY, "--base-url", exchange.url, exit_code=1)


def test_one_symbol_that_fails_leaves_the_others_alone(
    mmf: Run, exchange: LoopbackExchange, capsys: pytest.CaptureFixture[str]
) -> None:
    error = mmf("ingest", "bybit", "BTCUSDT", "NOPEUSDT", "ETHUSDT", *JANUARY, "--base-url", exchange.url, exit_code=1)
    assert "failed: bybit:linear:NOPEUSDT:60" in error
    status = json.loads(mmf("data", "status", "--json"))["series"]
    assert [(row["symbol"], row["count_bars"]) for row in status] == [("BTCUSDT", 1_500), ("ETHUSDT", 1_500)]


def test_what_was_said_to_be_absent_can_be_asked_for_again(mmf: Run, exchange: LoopbackExchange) -> None:
    at = ("--base-url", exchange.url)
    first_ms = JANUARY_2024_MS + 700 * 3_600_000
    withheld = exchange.withhold(BTC, first_ms, first_ms + 40 * 3_600_000)
    mmf("ingest", "bybit", "BTCUSDT", *JANUARY, *at)
    assert "Nothing to repair" in mmf("data", "repair", *at)
    exchange.revise(BTC, withheld)  # the exchange fills in its history
    assert "Nothing to repair" in mmf("data", "repair", *at)
    [done] = json.loads(mmf("data", "repair", "--again", *at, "--json"))
    assert (done["n_asked"], done["n_found"]) == (40, 40)


def test_a_recheck_finds_an_old_restatement(mmf: Run, exchange: LoopbackExchange) -> None:
    command = ("ingest", "bybit", "BTCUSDT", *JANUARY, "--base-url", exchange.url, "--json")
    mmf(*command)
    restated = walk_bars(1_500)[100:101]
    exchange.revise(BTC, restated.with_columns(volume=restated["volume"] * 2, turnover=restated["turnover"] * 2))
    assert json.loads(mmf(*command))[0]["n_revised"] == 0
    assert json.loads(mmf(*command, "--recheck"))[0]["n_revised"] == 1


def test_funding_is_filled_backwards_too(mmf: Run, exchange: LoopbackExchange) -> None:
    command = ("ingest", "funding", "bybit", "BTCUSDT", "--base-url", exchange.url, "--json")
    age_days = (time.time() - JANUARY_2024_MS / 1_000) / 86_400
    late, all_ = (
        json.loads(mmf(*command, "--days", str(int(age_days) - before)))[0]["new rates"] for before in (20, -5)
    )
    assert 0 < late < 100
    assert late + all_ == 100


def test_a_run_brings_its_series_up_to_date_first(mmf: Run, exchange: LoopbackExchange) -> None:
    """There are too few bars to train on, but they have come."""
    mmf("run", "BTCUSDT", "--days", "3000", "--base-url", exchange.url, exit_code=1)
    assert json.loads(mmf("data", "status", "--json"))["series"][0]["count_bars"] == 1_500


def test_funding_and_universe_land_in_sql(mmf: Run, exchange: LoopbackExchange) -> None:
    mmf("ingest", "funding", "bybit", "BTCUSDT", "--days", "3000", "--base-url", exchange.url)
    mmf("ingest", "universe", "bybit", "--base-url", exchange.url)
    assert json.loads(mmf("sql", "select count(*) as n from funding", "--format", "json")) == [{"n": 100}]
    day = "select symbol from universe_at(timestamptz '2024-02-01') order by symbol"
    assert mmf("sql", day, "--format", "csv").split() == ["symbol", "BTCUSDT", "ETHUSDT"]


def test_check_repair_and_revisions(mmf: Run, exchange: LoopbackExchange) -> None:
    at = ("--base-url", exchange.url)
    mmf("ingest", "bybit", "ETHUSDT", *JANUARY, *at)
    mmf("ingest", "bybit", "BTCUSDT", *JANUARY, "--end", "2024-01-10", *at)
    mmf("ingest", "bybit", "BTCUSDT", "--start", "2024-01-12", *at)
    shown = mmf("data", "check")
    assert "lost" in shown
    assert "ETHUSDT 60 traded meanwhile" in shown
    assert json.loads(mmf("data", "repair", *at, "--json")) == [
        {"series": str(BTC), "n_asked": 48, "n_found": 48, "n_bad": 0}
    ]
    assert json.loads(mmf("data", "check", "--json"))["holes"] == []
    assert "No bar was restated" in mmf("data", "revisions")
    restated = walk_bars(1_500)[1_499:].with_columns(volume=walk_bars(1_500)[1_499:]["volume"] * 2)
    exchange.revise(BTC, restated)
    mmf("ingest", "bybit", "BTCUSDT", *at)
    assert json.loads(mmf("data", "revisions", str(BTC), "--json"))[0]["revision"] == 0


@pytest.mark.real_bars
def test_two_intervals_of_real_bars_differ_where_binance_restated_them(mmf: Run, real_bars: Path) -> None:
    names = ("binance_um_BTCUSDT_5m", "binance_um_BTCUSDT_60m")
    mmf("ingest", "files", *(str(real_bars / "klines" / f"{name}.parquet") for name in names))
    found = json.loads(mmf("data", "compare", "binance:um:BTCUSDT:60", "binance:um:BTCUSDT:5", "--json"))
    hours = {row["open_time"][:13] for row in found["differences"]}
    assert {"2025-01-14 15", "2025-01-29 01"} <= hours
    assert len(hours) < 6 < found["bars compared"]


@pytest.mark.real_bars
def test_the_real_march_of_2023_loads_whole_and_its_outage_is_one(mmf: Run, real_bars: Path) -> None:
    series = Series("binance", "spot", "BTCUSDT", "1")
    march = pl.read_parquet(real_bars / "klines" / "binance_spot_BTCUSDT_1m.parquet").filter(
        pl.col("open_time").dt.strftime("%Y-%m") == "2023-03"
    )
    with LoopbackExchange([Market(series, march)]) as exchange:
        span = ("--start", "2023-03-01", "--end", "2023-04-01", "--base-url", exchange.url)
        archive = ("--archive-url", exchange.url)
        mmf("ingest", "binance", "BTCUSDT", "--category", "spot", "--interval", "1", *span, *archive)
    zips = sorted(map(str, (real_bars / "archives").glob("BTCUSDT-1m-*.zip")))
    options = ("--exchange", "binance", "--category", "spot")
    [report] = json.loads(mmf("ingest", "files", *zips, *options, "--json"))
    assert (report["n_rows"], report["n_unchanged"]) == (44_560, 44_560)  # the zips hold the same, to the last digit
    [hole] = json.loads(mmf("data", "check", "--json"))["holes"]
    assert (hole["first_missing"][:16], hole["last_missing"][:16]) == ("2023-03-24 12:40", "2023-03-24 13:59")
    assert (hole["n_missing"], hole["verdict"]) == (80, "exchange outage")


def test_an_end_before_the_first_stored_bar_asks_for_the_days_before_it(mmf: Run, exchange: LoopbackExchange) -> None:
    at = ("--base-url", exchange.url)
    mmf("ingest", "bybit", "BTCUSDT", "--start", "2024-02-01", *at)
    [report] = json.loads(mmf("ingest", "bybit", "BTCUSDT", "--end", "2024-01-11", *at, "--json"))
    assert report["n_added"] == 10 * 24


@pytest.mark.parametrize("span", [("--days", "99999999"), ("--start", "0001-01-01")])
def test_times_before_1970_do_not_reach_the_exchange(mmf: Run, exchange: LoopbackExchange, span: tuple) -> None:
    mmf("ingest", "bybit", "BTCUSDT", *span, "--base-url", exchange.url)
    assert {request.query["start"] for request in exchange.requests if "start" in request.query} >= {"0"}
    assert not any(request.query.get("start", "").startswith("-") for request in exchange.requests)


def test_an_end_before_1970_is_refused(mmf: Run, exchange: LoopbackExchange) -> None:
    assert "1970" in mmf("ingest", "bybit", "BTCUSDT", "--end", "1960-01-01", "--base-url", exchange.url, exit_code=2)
    assert exchange.requests == []


def test_a_symbol_without_funding_leaves_the_others_alone(mmf: Run, exchange: LoopbackExchange) -> None:
    with redirect_stdout(io.StringIO()) as shown:
        error = mmf(
            *(
                "ingest",
                "funding",
                "bybit",
                "NOPEUSDT",
                "BTCUSDT",
                "--days",
                "3000",
                "--base-url",
                exchange.url,
                "--json",
            ),
            exit_code=1,
        )
    assert [row["new rates"] for row in json.loads(shown.getvalue())] == [100]
    assert "failed: bybit:linear:NOPEUSDT" in error
