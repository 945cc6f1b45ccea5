"""The doctor's round over a warehouse that the loopback exchange has filled."""

from collections.abc import Iterator

import polars as pl
import pytest

from mmf.bars import Series
from mmf.markets.bybit import BybitSource
from mmf.markets.errors import BlockedError
from mmf.markets.source import ALL_TIME
from mmf.pipeline.doctor import Examination, examine, repair
from mmf.pipeline.exchange import refresh
from mmf.pipeline.ingest import ingest
from mmf.pipeline.listings import refresh_instruments
from tests.exchange.server import LoopbackExchange, Market
from tests.exchange.truth import JANUARY_2024_MS, walk_bars
from tests.pipeline.sources import ListSource
from warehouse import Warehouse
from warehouse.verdicts import verdicts

HOUR_MS = 3_600_000
FIRST = JANUARY_2024_MS // HOUR_MS
N_BARS = 1_500
BTC = Series("bybit", "linear", "BTCUSDT", "60")
ETH = Series("bybit", "linear", "ETHUSDT", "60")
FROM_JANUARY = (JANUARY_2024_MS, ALL_TIME[1])
BEFORE_JANUARY = (JANUARY_2024_MS - 10 * HOUR_MS, ALL_TIME[1])
FAULT = "high is below open, close or low"


def spoilt(bars: pl.DataFrame, *places: int) -> pl.DataFrame:
    """The same bars, some of them with a high below their low."""
    is_bad = pl.int_range(pl.len()).is_in(places)
    return bars.with_columns(high=pl.when(is_bad).then(pl.col("low") / 2).otherwise("high"))


@pytest.fixture
def exchange() -> Iterator[LoopbackExchange]:
    markets = [
        Market(BTC, spoilt(walk_bars(N_BARS), 300, 301, 500), JANUARY_2024_MS),
        Market(ETH, walk_bars(N_BARS, seed=1), JANUARY_2024_MS),
    ]
    with LoopbackExchange(markets) as served:
        yield served


def at_exchange(exchange: LoopbackExchange, warehouse: Warehouse) -> Examination:
    return examine(warehouse, now_ms=exchange.now_ms, exchanges=["bybit"])


def told(table: pl.DataFrame) -> list[tuple[str, int, int, str, str]]:
    return table.select("symbol", pl.col("start_bar") - FIRST, "n_missing", "verdict", "evidence").rows()


BAD_ONES = [
    ("BTCUSDT", 300, 2, "bad at the source", f"bad bar from bybit: {FAULT}"),
    ("BTCUSDT", 500, 1, "bad at the source", f"bad bar from bybit: {FAULT}"),
]


def test_bad_bars_are_told_and_a_refresh_does_not_ask_for_them_again(
    warehouse: Warehouse, exchange: LoopbackExchange
) -> None:
    source = BybitSource(exchange.url)
    for series in (BTC, ETH):
        refresh(warehouse, source, series, FROM_JANUARY)
    n_before = len(exchange.requests)
    refresh(warehouse, source, BTC, FROM_JANUARY)
    assert len(exchange.requests) - n_before == 1
    assert told(at_exchange(exchange, warehouse).holes) == BAD_ONES
    assert [one.verdict for one in verdicts(warehouse.database, BTC.key)] == ["bad at the source"] * 2


def test_repair_asks_for_bad_bars_and_a_corrected_one_replaces_the_verdict(
    warehouse: Warehouse, exchange: LoopbackExchange
) -> None:
    source = BybitSource(exchange.url)
    refresh(warehouse, source, BTC, FROM_JANUARY)
    [done] = repair(warehouse, lambda _: source, now_ms=0)
    assert (done.n_asked, done.n_found, done.n_bad) == (3, 0, 3)
    exchange.revise(BTC, walk_bars(N_BARS)[300:301])
    [done] = repair(warehouse, lambda _: source, now_ms=0)
    assert (done.n_asked, done.n_found, done.n_bad) == (3, 1, 2)
    assert [row[1:3] for row in told(at_exchange(exchange, warehouse).holes)] == [(301, 1), (500, 1)]
    exchange.revise(BTC, walk_bars(N_BARS))
    [done] = repair(warehouse, lambda _: source, now_ms=0)
    assert (done.n_found, done.n_bad) == (2, 0)
    assert at_exchange(exchange, warehouse).holes.is_empty()
    assert verdicts(warehouse.database, BTC.key) == []


def test_a_bad_bar_that_the_source_has_dropped_is_absent_from_then_on(
    warehouse: Warehouse, exchange: LoopbackExchange
) -> None:
    source = BybitSource(exchange.url)
    refresh(warehouse, source, BTC, FROM_JANUARY)
    refresh(warehouse, source, ETH, FROM_JANUARY)
    exchange.withhold(BTC, JANUARY_2024_MS + 300 * HOUR_MS, JANUARY_2024_MS + 302 * HOUR_MS)
    list(repair(warehouse, lambda _: source, now_ms=0))
    found = told(at_exchange(exchange, warehouse).holes)
    assert found == [("BTCUSDT", 300, 2, "no trades", "ETHUSDT 60 traded meanwhile"), BAD_ONES[1]]


def test_a_bad_bar_of_a_sibling_proves_no_outage(warehouse: Warehouse, exchange: LoopbackExchange) -> None:
    source = BybitSource(exchange.url)
    exchange.withhold(ETH, JANUARY_2024_MS + 500 * HOUR_MS, JANUARY_2024_MS + 501 * HOUR_MS)
    for series in (BTC, ETH):
        refresh(warehouse, source, series, FROM_JANUARY)
    [of_eth] = at_exchange(exchange, warehouse).holes.filter(symbol="ETHUSDT")["evidence"]
    assert "the 1000 bars around it fell silent 0 other times" in of_eth


def test_a_bad_row_of_a_file_explains_its_hole_and_the_exchange_is_asked_all_the_same(
    warehouse: Warehouse, exchange: LoopbackExchange
) -> None:
    ingest(warehouse, ListSource((spoilt(walk_bars(N_BARS), 700, N_BARS - 1),)), BTC)
    found = examine(warehouse, now_ms=0)
    assert told(found.holes) == [("BTCUSDT", 700, 1, "bad at the source", f"bad bar from list:0: {FAULT}")]
    refresh(warehouse, BybitSource(exchange.url), BTC, FROM_JANUARY)
    assert at_exchange(exchange, warehouse).holes.is_empty()


def test_what_is_not_fetched_yet_and_what_lies_before_the_first_bar_is_no_hole(
    warehouse: Warehouse, exchange: LoopbackExchange
) -> None:
    source = BybitSource(exchange.url)
    refresh(warehouse, source, ETH, (BEFORE_JANUARY[0], JANUARY_2024_MS + 1_000 * HOUR_MS))
    found = at_exchange(exchange, warehouse)
    assert found.holes.is_empty()
    older, newer = told(found.edges)
    assert older == ("ETHUSDT", -10, 10, "before listing", "the source has nothing older; no launch is known")
    assert newer == ("ETHUSDT", 1_000, 500, "not fetched yet", "after the newest stored bar")
    assert verdicts(warehouse.database, ETH.key) == []
    refresh_instruments(warehouse, source, "bybit", "linear", now_ms=exchange.now_ms)
    refresh(warehouse, source, ETH, FROM_JANUARY)
    found = at_exchange(exchange, warehouse)
    assert told(found.edges) == [("ETHUSDT", -10, 10, "before listing", "closes before the launch")]


def test_a_delisted_instrument_lacks_nothing_after_its_end(warehouse: Warehouse) -> None:
    end_ms = JANUARY_2024_MS + 200 * HOUR_MS
    market = Market(BTC, walk_bars(200), JANUARY_2024_MS, delisted_ms=end_ms)
    with LoopbackExchange([market], now_ms=end_ms + 100 * HOUR_MS) as exchange:
        source = BybitSource(exchange.url)
        refresh(warehouse, source, BTC, FROM_JANUARY)
        refresh_instruments(warehouse, source, "bybit", "linear", now_ms=exchange.now_ms)
        found = at_exchange(exchange, warehouse)
    assert found.holes.is_empty()
    assert told(found.edges) == [("BTCUSDT", 200, 100, "after delisting", "opens after the delisting")]


def test_nobody_is_told_of_newer_bars_where_nobody_can_be_asked(
    warehouse: Warehouse, exchange: LoopbackExchange
) -> None:
    ingest(warehouse, ListSource((walk_bars(100),)), ETH)
    assert examine(warehouse, now_ms=exchange.now_ms).edges.is_empty()
    assert examine(warehouse, now_ms=exchange.now_ms, exchanges=["binance"]).edges.is_empty()
    assert examine(warehouse, now_ms=exchange.now_ms, exchanges=["bybit"]).edges["n_missing"].to_list() == [1_400]


def test_a_series_of_which_only_bad_bars_came_stops_nothing(warehouse: Warehouse, exchange: LoopbackExchange) -> None:
    source, at_ms = BybitSource(exchange.url), JANUARY_2024_MS + 300 * HOUR_MS
    refresh(warehouse, source, ETH, FROM_JANUARY)
    refresh(warehouse, source, BTC, (at_ms, at_ms + 2 * HOUR_MS))
    found = at_exchange(exchange, warehouse)
    assert (found.n_series, found.holes.is_empty()) == (1, True)


def test_an_empty_warehouse_is_examined_and_has_no_series(warehouse: Warehouse) -> None:
    found = examine(warehouse, now_ms=0, exchanges=["bybit"])
    assert found.n_series == 0
    assert found.holes.is_empty()
    assert found.oddities.columns == ["series", "open_time", "n_bars", "kind", "detail"]
    assert list(repair(warehouse, lambda _: ListSource(()), now_ms=0)) == []


def test_repair_tells_each_series_at_once_and_a_block_ends_it(warehouse: Warehouse, exchange: LoopbackExchange) -> None:
    for series, hole in ((BTC, (100, 120)), (ETH, (200, 220))):
        bars = walk_bars(N_BARS, seed=int(series == ETH))
        ingest(warehouse, ListSource((pl.concat([bars[: hole[0]], bars[hole[1] :]]),)), series)
    exchange.revise(BTC, walk_bars(N_BARS))
    source = BybitSource(exchange.url)
    repairs = repair(warehouse, lambda _: source, now_ms=0)
    done = next(repairs)
    assert (done.series, done.n_asked, done.n_found) == (BTC, 20, 20)
    exchange.faults.geo_block = 9
    with pytest.raises(BlockedError):
        next(repairs)
    assert verdicts(warehouse.database, BTC.key) == []
    exchange.faults.geo_block = 0
    assert [one.series for one in repair(warehouse, lambda _: source, now_ms=0)] == [ETH]
