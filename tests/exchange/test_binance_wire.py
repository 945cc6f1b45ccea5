from collections.abc import Iterator

import polars as pl
import pytest

from mmf.bars import BAR_SCHEMA, Series
from tests.exchange.client import fetch
from tests.exchange.faults import Faults
from tests.exchange.server import LoopbackExchange, Market
from tests.exchange.truth import JANUARY_2024_MS, walk_bars, walk_funding

HOUR_MS = 3_600_000
FUTURES = Series("binance", "um", "BTCUSDT", "60")
SPOT = Series("binance", "spot", "BTCUSDT", "60")
BTC = {"symbol": "BTCUSDT", "interval": "1h"}


@pytest.fixture(scope="module")
def exchange() -> Iterator[LoopbackExchange]:
    markets = [Market(FUTURES, walk_bars(3_000), funding=walk_funding(375)), Market(SPOT, walk_bars(3_000, seed=1))]
    with LoopbackExchange(markets, faults=Faults(weight_per_min=None)) as exchange:
        yield exchange


def at(hour: float) -> int:
    return JANUARY_2024_MS + int(hour * HOUR_MS)


def hours(exchange: LoopbackExchange, path: str, **query: object) -> list[int]:
    return [(row[0] - JANUARY_2024_MS) // HOUR_MS for row in fetch(exchange.url, path, **BTC, **query).json]


@pytest.mark.parametrize(
    ("path", "series", "expected"),
    [
        (
            "/fapi/v1/klines",
            FUTURES,
            (
                b'[[1730073600000,"67992.70","68094.60","67804.70","67835.20","5179.117",1730077199999,'
                b'"351923638.03910",36254,"2589.5585","175961819.01955","0"]]'
            ),
        ),
        (
            "/api/v3/klines",
            SPOT,
            (
                b'[[1730073600000,"67992.70000000","68094.60000000","67804.70000000","67835.20000000","5179.11700000",'
                b'1730077199999,"351923638.03910000",36254,"2589.55850000","175961819.01955000","0"]]'
            ),
        ),
    ],
)
def test_a_bar_has_twelve_fields_of_their_own_widths(path: str, series: Series, expected: bytes) -> None:
    row = (1_730_073_600_000, 67992.7, 68094.6, 67804.7, 67835.2, 5179.117, 351923638.0391)
    bars = pl.DataFrame([row], orient="row", schema=BAR_SCHEMA)
    with LoopbackExchange([Market(series, bars, forming=False)]) as exchange:
        assert fetch(exchange.url, path, **BTC).body == expected


@pytest.mark.parametrize(
    ("path", "query", "expected"),
    [
        ("/fapi/v1/klines", {"limit": 2}, [2_999, 3_000]),  # the last row is forming
        ("/fapi/v1/klines", {}, list(range(2_501, 3_001))),
        ("/fapi/v1/klines", {"startTime": at(10), "endTime": at(12)}, [10, 11, 12]),  # both inclusive
        ("/fapi/v1/klines", {"startTime": at(9.5), "endTime": at(12) - 1}, [10, 11]),
        ("/fapi/v1/klines", {"startTime": at(10), "endTime": at(50), "limit": 2}, [10, 11]),  # the oldest
        ("/fapi/v1/klines", {"endTime": at(50), "limit": 2}, [49, 50]),
        ("/fapi/v1/klines", {"startTime": at(0), "limit": 1_500}, list(range(1_500))),
        ("/api/v3/klines", {"startTime": at(0), "limit": 1_000}, list(range(1_000))),
        ("/api/v3/klines", {"startTime": at(2_998)}, [2_998, 2_999, 3_000]),
        ("/api/v3/klines", {"startTime": at(2_998), "limit": 2}, [2_998, 2_999]),
        ("/api/v3/klines", {"startTime": at(3_001)}, []),
    ],
)
def test_pages(exchange: LoopbackExchange, path: str, query: dict[str, int], expected: list[int]) -> None:
    assert hours(exchange, path, **query) == expected


def test_the_time_is_in_the_date_header_alone(exchange: LoopbackExchange) -> None:
    reply = fetch(exchange.url, "/fapi/v1/klines", **BTC, limit=1)
    assert reply.headers["Date"] == "Sun, 05 May 2024 00:00:17 GMT"
    assert fetch(exchange.url, "/api/v3/time").json == {"serverTime": at(3_000) + 17_000}


@pytest.mark.parametrize(
    ("path", "query", "code"),
    [
        ("/fapi/v1/klines", {"symbol": "NOPEUSDT", "interval": "1h"}, -1121),
        ("/fapi/v1/klines", {"symbol": "BTCUSDT", "interval": "60"}, -1120),
        ("/fapi/v1/klines", BTC | {"limit": 1_501}, -1130),
        ("/api/v3/klines", BTC | {"limit": 1_001}, -1130),
        ("/api/v3/klines", BTC | {"startTime": "soon"}, -1100),
        ("/fapi/v1/klines", BTC | {"limit": "many"}, -1100),
    ],
)
def test_bad_parameters_answer_400(exchange: LoopbackExchange, path: str, query: dict[str, object], code: int) -> None:
    reply = fetch(exchange.url, path, **query)
    assert (reply.status, reply.json["code"]) == (400, code)


def test_futures_tell_when_a_symbol_was_listed_and_delisted() -> None:
    with LoopbackExchange([Market(FUTURES, walk_bars(9), launch_ms=at(-1)), Market(SPOT, walk_bars(9))]) as exchange:
        entry = fetch(exchange.url, "/fapi/v1/exchangeInfo").json["symbols"][0]
        assert (entry["status"], entry["onboardDate"], entry["baseAsset"]) == ("TRADING", at(-1), "BTC")
        exchange.delist(FUTURES, at(5))
        entry = fetch(exchange.url, "/fapi/v1/exchangeInfo").json["symbols"][0]
        assert (entry["status"], entry["deliveryDate"]) == ("SETTLING", at(5))
        assert hours(exchange, "/fapi/v1/klines", startTime=at(3)) == [3, 4]
        spot = fetch(exchange.url, "/api/v3/exchangeInfo").json["symbols"][0]
        assert "onboardDate" not in spot
        assert spot["status"] == "TRADING"


def test_funding_is_oldest_first(exchange: LoopbackExchange) -> None:
    truth = walk_funding(375)
    entries = fetch(exchange.url, "/fapi/v1/fundingRate", symbol="BTCUSDT", startTime=at(0), limit=1_000).json
    assert [entry["fundingTime"] for entry in entries] == truth["funding_time"].dt.epoch("ms").to_list()
    assert [float(entry["fundingRate"]) for entry in entries] == truth["rate"].to_list()
    newest = fetch(exchange.url, "/fapi/v1/fundingRate", symbol="BTCUSDT").json
    assert [entry["fundingTime"] for entry in newest] == [entry["fundingTime"] for entry in entries[-100:]]
    assert fetch(exchange.url, "/api/v3/fundingRate", symbol="BTCUSDT").status == 404


def test_weights_add_up_until_429() -> None:
    with LoopbackExchange([Market(FUTURES, walk_bars(9))], faults=Faults(weight_per_min=16)) as exchange:
        limits = [1_500, 1_000, 99, 99]
        replies = [fetch(exchange.url, "/fapi/v1/klines", **BTC, limit=limit) for limit in limits]
        assert [reply.headers["X-MBX-USED-WEIGHT-1M"] for reply in replies] == ["10", "15", "16", "17"]
        assert [reply.status for reply in replies] == [200, 200, 200, 429]
        assert replies[-1].headers["Retry-After"] == "1"
        assert fetch(exchange.url, "/api/v3/time").status == 200  # spot counts for itself
