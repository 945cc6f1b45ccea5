from mmf.aliases import read_aliases
from mmf.bars import Series
from mmf.markets.bybit import BybitSource
from mmf.pipeline.listings import refresh_funding, refresh_instruments
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
        gained = refresh_funding(warehouse, source, [BTC, ETH], start_ms=JANUARY_2024_MS, now_ms=now_ms)
        assert gained == {BTC: 300, ETH: 300}
        with warehouse.pin() as snapshot:
            stored = funding_rates(snapshot, *BTC.key[:3])
        assert stored.select("funding_time", "rate").equals(walk_funding(300))
        again = refresh_funding(warehouse, source, [BTC, ETH], start_ms=JANUARY_2024_MS, now_ms=now_ms)
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
