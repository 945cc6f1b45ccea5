import io
import json
from collections.abc import Iterator
from contextlib import redirect_stdout
from pathlib import Path

import polars as pl
import pytest

from mmf.bars import Series
from tests.cli.runner import Run
from tests.exchange.faults import Faults
from tests.exchange.server import LoopbackExchange, Market
from tests.exchange.truth import walk_bars

BTC = Series("bybit", "linear", "BTCUSDT", "60")
ETH = Series("bybit", "linear", "ETHUSDT", "60")
FAULT = "bad bar from bybit: high is below open, close or low"


@pytest.fixture
def exchange() -> Iterator[LoopbackExchange]:
    """ETH without four bars, BTC with one bad one."""
    is_bad = pl.int_range(pl.len()) == 300
    bars = walk_bars(900).with_columns(high=pl.when(is_bad).then(pl.col("low") / 2).otherwise("high"))
    others = walk_bars(900, seed=1)
    with LoopbackExchange([Market(BTC, bars), Market(ETH, pl.concat([others[:500], others[504:]]))]) as served:
        yield served


@pytest.fixture
def filled(mmf: Run, exchange: LoopbackExchange) -> Run:
    mmf("ingest", "bybit", "BTCUSDT", "ETHUSDT", "--start", "2023-12-31", "--base-url", exchange.url)
    return mmf


def lines(text: str) -> list[str]:
    return [" ".join(line.split()) for line in text.splitlines()]


@pytest.mark.parametrize("command", ["status", "check", "repair", "revisions"])
def test_an_empty_warehouse_is_said_to_be_empty_and_how_it_is_filled(
    mmf: Run, exchange: LoopbackExchange, command: str
) -> None:
    mmf("ingest", "bybit", "NOPEUSDT", "--days", "1", "--base-url", exchange.url, exit_code=1)
    shown = mmf("data", command)
    assert shown.startswith("The warehouse holds no bars yet. Bring some in: mmf ingest bybit BTCUSDT")


def test_a_whole_series_has_no_hole(mmf: Run) -> None:
    mmf("ingest", "simulated", "--bars", "50")
    assert mmf("data", "check").startswith("No hole: every bar that ought to be there is stored.")
    assert "Why bars are missing" not in mmf("data", "status")


def test_what_can_be_had_stands_apart_from_what_cannot(filled: Run) -> None:
    shown = lines(filled("data", "check"))
    again, longest, late, outside = (
        next(place for place, line in enumerate(shown) if line.startswith(title))
        for title in (
            "To be asked for again: mmf data repair",
            "Longest holes",
            "Not fetched yet: mmf ingest",
            "Outside",
        )
    )
    assert again < longest < late < outside
    assert shown[again + 2] == f"{BTC} 2024-01-13 12:00 2024-01-13 12:00 1 bad at the source {FAULT}"
    assert shown[longest + 2].startswith(f"{ETH} 2024-01-21 20:00 2024-01-21 23:00 4 no trades BTCUSDT 60 traded")
    assert shown[late + 1] == "series first missing last missing bars"
    assert shown[late + 2].startswith(f"{BTC} 2024-02-07 12:00")
    assert shown[outside + 2].startswith(f"{BTC} 2023-12-31 00:00 2023-12-31 23:00 24 before listing")
    assert "Why bars are missing: mmf data check" in filled("data", "status")


def test_a_script_gets_holes_and_edges_apart(filled: Run) -> None:
    found = json.loads(filled("data", "check", "--json"))
    assert {hole["verdict"] for hole in found["holes"]} == {"bad at the source", "no trades"}
    assert {edge["verdict"] for edge in found["edges"]} == {"before listing", "not fetched yet"}
    assert found["oddities"] == []


def test_repair_tells_the_bad_from_those_that_are_not_there(filled: Run, exchange: LoopbackExchange) -> None:
    at = ("--base-url", exchange.url)
    assert f"{BTC} 1 0 1 0" in lines(filled("data", "repair", *at))
    assert {f"{BTC} 1 0 1 0", f"{ETH} 4 0 0 4"} < set(lines(filled("data", "repair", "--again", *at)))
    exchange.revise(BTC, walk_bars(900)[300:301])
    assert f"{BTC} 1 1 0 0" in lines(filled("data", "repair", *at))
    assert "Nothing to repair" in filled("data", "repair", *at)


def test_a_symbol_that_the_exchange_no_longer_knows_leaves_the_others_alone(
    filled: Run, exchange: LoopbackExchange
) -> None:
    exchange.revise(ETH, walk_bars(900, seed=1)[500:504])
    del exchange.books[BTC]
    error = filled("data", "repair", "--again", "--base-url", exchange.url, exit_code=1)
    assert f"failed: {BTC}: Bybit refused" in error
    holes = json.loads(filled("data", "check", "--json"))["holes"]
    assert [hole["symbol"] for hole in holes] == ["BTCUSDT"]


def test_what_no_exchange_can_be_asked_for_is_not_offered(mmf: Run, tmp_path: Path) -> None:
    cut = pl.concat([walk_bars(300)[:100], walk_bars(300)[110:]])
    cut.write_parquet(tmp_path / "other_linear_BTCUSDT_60m.parquet")
    mmf("ingest", "files", str(tmp_path))
    shown = mmf("data", "check")
    assert "unchecked" in shown
    assert "mmf data repair" not in shown
    assert "Not fetched yet" not in shown


def test_what_was_repaired_before_a_block_is_told(mmf: Run, exchange: LoopbackExchange, tmp_path: Path) -> None:
    exchange.revise(BTC, walk_bars(900))
    for series, seed in ((BTC, 0), (ETH, 1)):
        bars = walk_bars(900, seed=seed)
        cut = pl.concat([bars[: 100 + 100 * seed], bars[120 + 100 * seed :]])
        cut.write_parquet(tmp_path / f"bybit_linear_{series.symbol}_60m.parquet")
    mmf("ingest", "files", str(tmp_path))
    exchange.faults = Faults(plan=[None, "geo_block"], limit=None)
    with redirect_stdout(io.StringIO()) as shown:
        error = mmf("data", "repair", "--base-url", exchange.url, exit_code=1)
    assert f"{BTC} 20 20 0 0" in lines(shown.getvalue())
    assert "does not serve this place" in error
