import json
from dataclasses import replace

import pytest

from mmf.aliases import read_aliases
from mmf.bars import Series
from mmf.markets.binance import BinanceSource
from mmf.markets.bybit import BybitSource
from mmf.markets.errors import BlockedError, RefusedError
from mmf.pipeline.listings import refresh_funding, refresh_instruments
from tests.exchange.ask import Ask
from tests.exchange.http_server import Answer
from tests.exchange.server import LoopbackExchange, Market
from tests.exchange.truth import JANUARY_2024_MS, walk_bars, walk_funding
from warehouse import Warehouse
from warehouse.funding import funding_rates
from warehouse.instruments import sightings

BTC = Series("bybit", "linear", "BTCUSDT", "60")
ETH = Series("bybit", "linear", "ETHUSDT", "60")
HOUR_MS = 3_600_000


def market(series: Series, n_fundings: int = 300) -> Market:
    return Market(series, walk_bars(2_400), launch_ms=JANUARY_2024_MS, funding=walk_funding(n_fundings))


def test_funding_is_fetched_once(warehouse: Warehouse) -> None:
    with LoopbackExchange([market(BTC), market(ETH)]) as exchange:
        source, now_ms = BybitSource(exchange.url), JANUARY_2024_MS + 2_400 * HOUR_MS
        gained = dict(refresh_funding(warehouse, source, [BTC, ETH], start_ms=JANUARY_2024_MS, now_ms=now_ms))
        assert gained == {BTC: 300, ETH: 300}
        with warehouse.pin() as snapshot:
            stored = funding_rates(snapshot, *BTC.key[:3])
        assert stored.select("funding_time", "rate").equals(walk_funding(300))
        again = dict(refresh_funding(warehouse, source, [BTC, ETH], start_ms=JANUARY_2024_MS, now_ms=now_ms))
        assert again == {BTC: 0, ETH: 0}


def test_what_vanishes_from_the_list_is_remembered(warehouse: Warehouse) -> None:
    with LoopbackExchange([market(BTC), market(ETH)]) as exchange:
        source = BybitSource(exchange.url)
        assert refresh_instruments(warehouse, source, "bybit", "linear", read_aliases(), now_ms=1_000) == 2
        assert refresh_instruments(warehouse, source, "bybit", "linear", read_aliases(), now_ms=2_000) == 0
    with LoopbackExchange([market(ETH)]) as exchange:
        assert refresh_instruments(warehouse, BybitSource(exchange.url), "bybit", "linear", now_ms=3_000) == 1
    gone = sightings(warehouse.database)[-1].instrument
    assert (gone.symbol, gone.status, gone.delisted_ms) == ("BTCUSDT", "Gone", 3_000)
    assert gone.launch_ms == JANUARY_2024_MS


class Lying(LoopbackExchange):
    """Answers some requests for funding with an empty list: by their place in line, or for an instant that they ask."""

    lies: tuple[int, ...] = ()
    silent_ms = 0
    n_asked = 0

    def _sound(self, ask: Ask, kind: str | None) -> Answer:
        answer = super()._sound(ask, kind)
        if "funding" not in ask.path:
            return answer
        self.n_asked += 1
        is_silent = int(ask.query["startTime"]) <= self.silent_ms <= int(ask.query["endTime"])
        if self.n_asked not in self.lies and not is_silent:
            return answer
        if ask.path.startswith("/fapi"):
            return replace(answer, body=b"[]")
        body = json.loads(answer.body)
        body["result"]["list"] = []
        return replace(answer, body=json.dumps(body).encode())


FUNDED = Market(BTC, walk_bars(24 * 900), launch_ms=JANUARY_2024_MS, funding=walk_funding(2_400))


@pytest.mark.parametrize("name", ["bybit", "binance"])
@pytest.mark.parametrize("lie", [1, 2, 3])
def test_one_empty_answer_hides_no_funding(warehouse: Warehouse, name: str, lie: int) -> None:
    series = replace(BTC, exchange=name, category={"bybit": "linear", "binance": "um"}[name])
    with Lying([replace(FUNDED, series=series)]) as exchange:
        exchange.lies = (lie,)
        source = BybitSource(exchange.url) if name == "bybit" else BinanceSource(exchange.url)
        now_ms = JANUARY_2024_MS + 800 * 24 * HOUR_MS
        refreshed = refresh_funding(warehouse, source, [series], start_ms=JANUARY_2024_MS, now_ms=now_ms)
        assert dict(refreshed) == {series: 2_400}


def test_a_gap_between_stored_rates_is_asked_for_again(warehouse: Warehouse) -> None:
    """Two empty answers cannot be told from silence; the next refresh sees the gap that they have left."""
    with Lying([FUNDED]) as exchange:
        exchange.silent_ms = JANUARY_2024_MS + 400 * 24 * HOUR_MS
        n_gained = []
        for _ in range(3):
            now_ms = JANUARY_2024_MS + 800 * 24 * HOUR_MS
            done = refresh_funding(warehouse, BybitSource(exchange.url), [BTC], start_ms=JANUARY_2024_MS, now_ms=now_ms)
            n_gained += dict(done).values()
            exchange.silent_ms = 0
        assert n_gained == [2_200, 200, 0]


def test_a_symbol_without_funding_leaves_the_others_alone_and_a_block_ends_all(warehouse: Warehouse) -> None:
    nope = Series("bybit", "linear", "NOPEUSDT", "60")
    with LoopbackExchange([market(BTC), market(ETH)]) as exchange:
        source, now_ms = BybitSource(exchange.url), JANUARY_2024_MS + 2_400 * HOUR_MS
        done = dict(refresh_funding(warehouse, source, [nope, BTC], start_ms=JANUARY_2024_MS, now_ms=now_ms))
        assert (type(done[nope]), done[BTC]) == (RefusedError, 300)
        exchange.faults.geo_block = 9
        with pytest.raises(BlockedError):
            dict(refresh_funding(warehouse, source, [BTC, ETH], start_ms=JANUARY_2024_MS, now_ms=now_ms))
