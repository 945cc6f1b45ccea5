import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from mmf.bars import BAR_SCHEMA, Series
from tests.exchange.client import fetch
from tests.exchange.server import LoopbackExchange, Market
from tests.exchange.truth import JANUARY_2024_MS, walk_bars, walk_funding

MINUTE_MS, HOUR_MS = 60_000, 3_600_000
HOURLY = Series("bybit", "linear", "BTCUSDT", "60")
KLINE = "/v5/market/kline"
BTC = {"category": "linear", "symbol": "BTCUSDT", "interval": "60"}

# A recorded answer of 2023-06-24, cut to its three newest rows.
RECORDED = (
    b'{"retCode":0,"retMsg":"OK","result":{"symbol":"BTCUSDT","category":"linear","list":['
    b'["1687589640000","30709.9","30710.4","30709.9","30710.3","3.655","112245.7381"],'
    b'["1687589580000","30707.9","30710","30704.7","30709.9","21.984","675041.8648"],'
    b'["1687589520000","30708","30714.7","30705","30707.9","33.378","1025097.6459"]]},'
    b'"retExtInfo":{},"time":1687589705000}'
)


@pytest.fixture(scope="module")
def exchange() -> Iterator[LoopbackExchange]:
    """3,000 hours, of which 17 s of the next have gone by."""
    with LoopbackExchange([Market(HOURLY, walk_bars(3_000), funding=walk_funding(375))]) as exchange:
        yield exchange


def bars_of(payload: dict[str, Any]) -> pl.DataFrame:
    """The seven-column rows of a recorded answer as bars."""
    rows = [[int(row[0]), *map(float, row[1:])] for row in payload["result"]["list"]]
    return (
        pl.DataFrame(rows, orient="row", schema=dict.fromkeys(BAR_SCHEMA, pl.Float64))
        .cast({"open_time": pl.Int64})
        .select(pl.col(name).cast(kind) for name, kind in BAR_SCHEMA.items())
    )


def hours(exchange: LoopbackExchange, **query: object) -> list[int]:
    """The bar numbers of a page, as hours since the first bar."""
    rows = fetch(exchange.url, KLINE, **BTC, **query).json["result"]["list"]
    return [(int(row[0]) - JANUARY_2024_MS) // HOUR_MS for row in rows]


def at(hour: float) -> int:
    return JANUARY_2024_MS + int(hour * HOUR_MS)


def test_klines_are_the_recorded_bytes() -> None:
    series = Series("bybit", "linear", "BTCUSDT", "1")
    market = Market(series, bars_of(json.loads(RECORDED)), forming=False)
    with LoopbackExchange([market], now_ms=1_687_589_705_000) as exchange:
        assert fetch(exchange.url, KLINE, category="linear", symbol="BTCUSDT", interval="1", limit=3).body == RECORDED


@pytest.mark.real_bars
@pytest.mark.parametrize(
    ("name", "interval"),
    [
        ("bybit_v5_kline_linear_BTCUSDT_1_limit5_2023-06-24", "1"),
        ("bybit_v5_kline_linear_BTCUSDT_60_limit2_forming_2026-08-15", "60"),
        ("bybit_v5_kline_linear_BTCUSDT_D_start_end_limit3_2023-02-27", "D"),
    ],
)
def test_recorded_answers_come_back_byte_for_byte(real_bars: Path, name: str, interval: str) -> None:
    recorded = (real_bars / "payloads" / f"{name}.json").read_bytes().strip()
    bars = bars_of(json.loads(recorded))
    series = Series("bybit", "linear", "BTCUSDT", interval)
    with LoopbackExchange([Market(series, bars)]) as exchange:  # at a time when all of them have closed
        end_ms = int(bars["open_time"].dt.epoch("ms").max())
        body = fetch(exchange.url, KLINE, symbol="BTCUSDT", interval=interval, category="linear", end=end_ms).body
    ours, theirs = body.rpartition(b"}")[0], recorded.rpartition(b"}")[0]
    assert ours.rpartition(b":")[0] == theirs.rpartition(b":")[0]  # the clock stands elsewhere


@pytest.mark.real_bars
def test_the_listing_has_the_members_of_the_recorded_one(real_bars: Path, exchange: LoopbackExchange) -> None:
    file = real_bars / "payloads" / "bybit_v5_instruments_info_linear_BTCUSDT_2023-10-02.json"
    recorded = json.loads(file.read_bytes())
    ours = fetch(exchange.url, "/v5/market/instruments-info", category="linear").json
    assert list(ours) == list(recorded)
    assert list(ours["result"]) == list(recorded["result"])
    kinds = [{key: type(value) for key, value in each["result"]["list"][0].items()} for each in (ours, recorded)]
    assert list(kinds[0].items()) == list(kinds[1].items())


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"limit": 2}, [3_000, 2_999]),  # the first row is forming
        ({}, list(range(3_000, 2_800, -1))),
        ({"start": at(2_998)}, [3_000, 2_999, 2_998]),
        ({"start": at(10), "end": at(12)}, [12, 11, 10]),  # both inclusive
        ({"start": at(10.5), "end": at(12) - 1}, [11, 10]),  # an unaligned start: the bar that it falls into
        ({"start": at(10), "limit": 2}, [11, 10]),  # a start alone: the oldest from there
        ({"start": at(10), "end": at(50), "limit": 2}, [50, 49]),  # with an end: the newest up to it
        ({"end": at(1)}, [1, 0]),
        ({"end": at(0) - 1}, []),
        ({"start": at(3_001)}, []),
        ({"start": at(3_000)}, [3_000]),
        ({"start": at(2_000), "end": at(2_999), "limit": 1_000}, list(range(2_999, 1_999, -1))),
        ({"start": at(2_001), "end": at(9_999), "limit": 1_000}, list(range(3_000, 2_000, -1))),
        ({"start": at(2_000), "end": at(9_999), "limit": 1_000}, list(range(3_000, 2_000, -1))),
    ],
)
def test_pages(exchange: LoopbackExchange, query: dict[str, int], expected: list[int]) -> None:
    assert hours(exchange, **query) == expected


def test_pages_by_range_hold_the_truth_to_the_last_bit(exchange: LoopbackExchange) -> None:
    pages = [
        bars_of(fetch(exchange.url, KLINE, **BTC, start=at(first), end=at(first + 999), limit=1_000).json)
        for first in range(0, 3_000, 1_000)
    ]
    assert pl.concat(pages).sort("open_time").equals(walk_bars(3_000))


def test_the_forming_bar_changes_with_each_request_and_is_not_in_the_truth(exchange: LoopbackExchange) -> None:
    first, second = (fetch(exchange.url, KLINE, **BTC, limit=2).json["result"]["list"] for _ in range(2))
    assert first[0][0] == second[0][0] == str(at(3_000))
    assert first[0] != second[0]
    assert first[1] == second[1]
    assert exchange.served(HOURLY).height == 3_000


def test_a_forming_bar_of_the_truth_ends_as_the_truth() -> None:
    truth = walk_bars(10)
    with LoopbackExchange([Market(HOURLY, truth)], now_ms=at(9.5)) as exchange:
        forming = bars_of(fetch(exchange.url, KLINE, **BTC, limit=1).json)
        assert forming["open_time"].item() == truth["open_time"][9]
        assert forming["volume"].item() < truth["volume"][9]
        assert exchange.served(HOURLY).equals(truth.head(9))
        exchange.set_now(at(10))
        assert bars_of(fetch(exchange.url, KLINE, **BTC, end=at(9), limit=1).json).equals(truth.tail(1))


def test_no_bar_forms_in_a_hole_or_where_it_is_switched_off() -> None:
    with_hole = walk_bars(10).filter(pl.int_range(pl.len()) != 5)
    quiet = Series("bybit", "linear", "ETHUSDT", "60")
    markets = [Market(HOURLY, with_hole), Market(quiet, walk_bars(5), forming=False)]
    with LoopbackExchange(markets, now_ms=at(5.5)) as exchange:
        assert hours(exchange, limit=2) == [4, 3]
        rows = fetch(exchange.url, KLINE, category="linear", symbol="ETHUSDT", interval="60").json["result"]["list"]
        assert int(rows[0][0]) == at(4)


@pytest.mark.parametrize(
    ("query", "message"),
    [
        (BTC | {"symbol": "NOPEUSDT"}, "Not supported symbols"),
        (BTC | {"category": "inverse"}, "Not supported symbols"),
        (BTC | {"category": "margin"}, "params error: category invalid"),
        (BTC | {"interval": "61"}, "Invalid period!"),
        (BTC | {"limit": 1_001}, "params error: limit invalid"),
        (BTC | {"start": "soon"}, "params error: start invalid"),
        (BTC | {"start": 2, "end": 1}, "params error: start is after end"),
    ],
)
def test_bad_parameters_answer_10001_with_status_200(
    exchange: LoopbackExchange, query: dict[str, object], message: str
) -> None:
    reply = fetch(exchange.url, KLINE, **query)
    expected = {"retCode": 10001, "retMsg": message, "result": {}, "retExtInfo": {}, "time": exchange.now_ms}
    assert (reply.status, reply.json) == (200, expected)


def test_an_interval_not_served_is_an_empty_list(exchange: LoopbackExchange) -> None:
    reply = fetch(exchange.url, KLINE, **(BTC | {"interval": "D"})).json
    assert (reply["retCode"], reply["result"]["list"]) == (0, [])


def test_a_symbol_delisted_half_way() -> None:
    markets = [Market(HOURLY, walk_bars(10), launch_ms=at(-5))]
    with LoopbackExchange(markets, now_ms=at(9.5)) as exchange:
        assert hours(exchange, limit=2) == [9, 8]
        exchange.delist(HOURLY, at(7))
        assert hours(exchange, limit=2) == [6, 5]
        assert exchange.served(HOURLY).height == 7
        assert fetch(exchange.url, "/v5/market/instruments-info", category="linear").json["result"]["list"] == []
        listing = fetch(exchange.url, "/v5/market/instruments-info", category="linear", status="Closed")
        entry = listing.json["result"]["list"][0]
        assert (entry["status"], entry["launchTime"], entry["deliveryTime"]) == ("Closed", str(at(-5)), str(at(7)))


def test_the_listing_turns_pages() -> None:
    symbols = ["AUSDT", "BUSDT", "CUSDT"]
    markets = [Market(Series("bybit", "linear", symbol, "60"), walk_bars(2)) for symbol in symbols]
    seen, cursor = [], ""
    with LoopbackExchange(markets) as exchange:
        for _ in range(2):
            query = {"category": "linear", "limit": 2} | ({"cursor": cursor} if cursor else {})
            result = fetch(exchange.url, "/v5/market/instruments-info", **query).json["result"]
            seen += [entry["symbol"] for entry in result["list"]]
            cursor = result["nextPageCursor"]
    assert (seen, cursor) == (symbols, "")


def test_spot_tells_no_date_of_listing_and_inverse_settles_in_its_coin() -> None:
    spot, inverse = Series("bybit", "spot", "BTCUSDT", "60"), Series("bybit", "inverse", "BTCUSD", "60")
    with LoopbackExchange([Market(spot, walk_bars(2)), Market(inverse, walk_bars(2))]) as exchange:
        of_spot = fetch(exchange.url, "/v5/market/instruments-info", category="spot").json["result"]
        of_inverse = fetch(exchange.url, "/v5/market/instruments-info", category="inverse").json["result"]["list"][0]
    assert "nextPageCursor" not in of_spot
    assert "launchTime" not in of_spot["list"][0]
    assert (of_inverse["baseCoin"], of_inverse["quoteCoin"], of_inverse["settleCoin"]) == ("BTC", "USD", "BTC")


def test_funding_is_newest_first_and_at_most_200_rows(exchange: LoopbackExchange) -> None:
    truth = walk_funding(375)
    query = {"category": "linear", "symbol": "BTCUSDT", "limit": 200}
    result = fetch(exchange.url, "/v5/market/funding/history", **query).json["result"]
    times = [int(entry["fundingRateTimestamp"]) for entry in result["list"]]
    assert times == truth["funding_time"].dt.epoch("ms").tail(200).reverse().to_list()
    assert [float(entry["fundingRate"]) for entry in result["list"]] == truth["rate"].tail(200).reverse().to_list()
    assert list(result["list"][0]) == ["symbol", "fundingRate", "fundingRateTimestamp"]
    two = fetch(exchange.url, "/v5/market/funding/history", **query, startTime=at(8), endTime=at(16)).json["result"]
    assert [int(entry["fundingRateTimestamp"]) for entry in two["list"]] == [at(16), at(8)]
    alone = fetch(exchange.url, "/v5/market/funding/history", **query, startTime=at(8)).json
    assert alone["retCode"] == 10001


def test_the_time_is_the_exchanges_own(exchange: LoopbackExchange) -> None:
    reply = fetch(exchange.url, "/v5/market/time").json
    assert reply["time"] == at(3_000) + 17_000
    assert reply["result"]["timeSecond"] == str((at(3_000) + 17_000) // 1_000)
