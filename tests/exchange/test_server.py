import http.client
import socket

import polars as pl
import pytest

from mmf.bars import Series
from tests.exchange.client import fetch
from tests.exchange.faults import Faults
from tests.exchange.process import exchange_process
from tests.exchange.server import LoopbackExchange, Market
from tests.exchange.truth import JANUARY_2024_MS, walk_bars

SERIES = Series("bybit", "linear", "BTCUSDT", "60")
HOUR_MS = 3_600_000
KLINE = "/v5/market/kline"
TARGET = f"{KLINE}?category=linear&symbol=BTCUSDT&interval=60&limit=5"


def times_of(exchange: LoopbackExchange) -> list[int]:
    rows = fetch(exchange.url, KLINE, symbol="BTCUSDT", interval="60").json["result"]["list"]
    return [(int(row[0]) - JANUARY_2024_MS) // HOUR_MS for row in reversed(rows)]


def test_requests_are_recorded_as_they_arrive() -> None:
    with LoopbackExchange([Market(SERIES, walk_bars(9))]) as exchange:
        fetch(exchange.url, KLINE, symbol="BTCUSDT", interval="60")
        fetch(exchange.url, "/nowhere/at/all")
    first, second = exchange.requests
    assert (first.path, first.query, first.status) == (KLINE, {"symbol": "BTCUSDT", "interval": "60"}, 200)
    assert (second.path, second.query, second.status) == ("/nowhere/at/all", {}, 404)
    assert first.time_s < second.time_s


def test_one_connection_serves_many_requests() -> None:
    with LoopbackExchange([Market(SERIES, walk_bars(9))]) as exchange:
        line = http.client.HTTPConnection("127.0.0.1", exchange._server.port, timeout=20)
        for _ in range(3):
            line.request("GET", TARGET)
            assert b'"retCode":0' in line.getresponse().read()
        assert len(exchange._server.connections) == 1
        line.close()


def test_an_answer_that_waits_holds_up_no_other() -> None:
    faults = Faults(slow=1, slow_s=3_600.0, path="kline")
    with LoopbackExchange([Market(SERIES, walk_bars(9))], faults=faults) as exchange:
        with socket.create_connection(("127.0.0.1", exchange._server.port), timeout=20) as waiting:
            waiting.sendall(f"GET {TARGET} HTTP/1.1\r\n\r\n".encode("ascii"))
            while not faults.hits:
                fetch(exchange.url, "/api/v3/time")
            assert fetch(exchange.url, TARGET).status == 200
        assert faults.hits == {"slow": 1}


def test_the_truth_may_be_revised_withheld_and_brought_back() -> None:
    truth = walk_bars(10)
    with LoopbackExchange([Market(SERIES, truth, forming=False)]) as exchange:
        exchange.revise(SERIES, truth[4:6].with_columns(pl.col("close") + 0.5))
        assert exchange.served(SERIES)["close"][4:6].to_list() == (truth["close"][4:6] + 0.5).to_list()
        withheld = exchange.withhold(SERIES, JANUARY_2024_MS + 3 * HOUR_MS, JANUARY_2024_MS + 5 * HOUR_MS)
        assert times_of(exchange) == [0, 1, 2, 5, 6, 7, 8, 9]
        exchange.revise(SERIES, withheld)
        assert times_of(exchange) == list(range(10))
        assert exchange.served(SERIES)["close"][4] == truth["close"][4] + 0.5


def test_the_clock_closes_bars() -> None:
    with LoopbackExchange([Market(SERIES, walk_bars(10), forming=False)], now_ms=JANUARY_2024_MS) as exchange:
        assert times_of(exchange) == []
        exchange.set_now(JANUARY_2024_MS + HOUR_MS - 1)
        assert times_of(exchange) == []
        exchange.set_now(JANUARY_2024_MS + HOUR_MS)
        assert times_of(exchange) == [0]
        assert exchange.served(SERIES).height == 1


@pytest.mark.parametrize(
    ("bars", "message"),
    [
        (walk_bars(3).with_columns(turnover=None), "hold nulls"),
        (pl.concat([walk_bars(3), walk_bars(1)]), "open_time twice"),
    ],
)
def test_a_market_refuses_bars_that_no_exchange_could_send(bars: pl.DataFrame, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Market(SERIES, bars)


def test_an_unknown_exchange_is_refused() -> None:
    with pytest.raises(ValueError, match="neither of bybit nor of binance"):
        LoopbackExchange([Market(Series("kraken", "spot", "BTCUSDT", "60"), walk_bars(1))])


def test_an_error_of_the_exchange_itself_is_not_taken_for_a_fault() -> None:
    exchange = LoopbackExchange([Market(SERIES, walk_bars(3))])
    exchange.faults.too_many = "often"
    with pytest.raises(TypeError), exchange, pytest.raises(http.client.RemoteDisconnected):
        fetch(exchange.url, TARGET)


def test_the_exchange_runs_in_a_process_of_its_own() -> None:
    options = ("--bars", "50", "--series", "bybit:linear:BTCUSDT:60", "--limit", "3", "--ban", "0")
    with exchange_process(*options) as exchange:
        codes = [fetch(exchange.url, TARGET).status for _ in range(4)]
    assert codes == [200, 200, 200, 403]
    assert (exchange.seen["n_requests"], exchange.seen["busiest_5s"], exchange.seen["n_bans"]) == (4, 4, 1)
