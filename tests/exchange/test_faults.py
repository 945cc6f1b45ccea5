from collections.abc import Callable
from http.client import IncompleteRead, RemoteDisconnected
from json import JSONDecodeError
from pathlib import Path
from urllib.error import URLError

import pytest

from mmf.bars import Series
from tests.exchange.client import Reply, fetch
from tests.exchange.faults import KINDS, REFUSALS, SPOILS, Faults
from tests.exchange.rate_limit import RateLimit
from tests.exchange.refusals import GEO_PAGE, GEO_TEXT
from tests.exchange.server import LoopbackExchange, Market
from tests.exchange.truth import walk_bars

BYBIT = Series("bybit", "linear", "BTCUSDT", "60")
BINANCE = Series("binance", "um", "BTCUSDT", "60")
MARKETS = [Market(BYBIT, walk_bars(50)), Market(BINANCE, walk_bars(50))]
KLINE = "/v5/market/kline"


def ask_bybit(exchange: LoopbackExchange) -> Reply:
    return fetch(exchange.url, KLINE, category="linear", symbol="BTCUSDT", interval="60", end=1 << 50, limit=20)


def ask_binance(exchange: LoopbackExchange) -> Reply:
    return fetch(exchange.url, "/fapi/v1/klines", symbol="BTCUSDT", interval="1h", limit=20)


def code_of(reply: Reply) -> int | None:
    return reply.json["retCode"] if reply.body.startswith(b"{") and b"retCode" in reply.body else None


@pytest.mark.parametrize(
    ("kind", "status", "code"),
    [
        ("too_many", 200, 10006),
        ("too_many_reset", 200, 10006),
        ("timed_out", 200, 10016),
        ("unknown_symbol", 200, 10001),
        ("ip_ban", 403, 10018),
        ("geo_block", 403, None),
        ("geo_block_text", 403, None),
        ("unavailable", 500, None),
    ],
)
def test_refusals_of_bybit_come_once_each(kind: str, status: int, code: int | None) -> None:
    faults = Faults(limit=None, **{kind: 1})
    with LoopbackExchange(MARKETS, faults=faults) as exchange:
        refused, sound = ask_bybit(exchange), ask_bybit(exchange)
        assert (refused.status, code_of(refused)) == (status, code)
        assert (sound.status, code_of(sound)) == (200, 0)
        assert faults.hits == {kind: 1}
        reset = refused.headers["X-Bapi-Limit-Reset-Timestamp"]
        assert reset == (str(exchange.now_ms + 50) if kind == "too_many_reset" else None)


@pytest.mark.parametrize(
    ("kind", "status", "code"),
    [
        ("too_many", 429, -1003),
        ("timed_out", 408, -1007),
        ("unknown_symbol", 400, -1121),
        ("ip_ban", 418, -1003),
        ("geo_block", 451, 0),
    ],
)
def test_refusals_of_binance(kind: str, status: int, code: int) -> None:
    with LoopbackExchange(MARKETS, faults=Faults(**{kind: 1})) as exchange:
        refused = ask_binance(exchange)
        assert (refused.status, refused.json["code"]) == (status, code)
        assert (refused.headers["Retry-After"] is not None) == (status in {418, 429})
        assert ask_binance(exchange).status == 200


@pytest.mark.real_bars
@pytest.mark.parametrize(
    ("file", "kind"),
    [
        ("bybit_error_10001_not_supported_symbols.http200.json", "unknown_symbol"),
        ("bybit_error_10006_too_many_visits.documented.json", "too_many"),
        ("bybit_error_10016_request_timeout.http200.json", "timed_out"),
    ],
)
def test_error_bodies_are_the_recorded_ones(real_bars: Path, file: str, kind: str) -> None:
    recorded = (real_bars / "payloads" / file).read_bytes().strip()
    with LoopbackExchange(MARKETS, faults=Faults(**{kind: 1})) as exchange:
        assert ask_bybit(exchange).body.rpartition(b":")[0] == recorded.rpartition(b":")[0]


@pytest.mark.parametrize("body", [GEO_PAGE, GEO_TEXT])
def test_the_geo_block_is_no_json(body: bytes) -> None:
    with pytest.raises(JSONDecodeError):
        _ = Reply(403, None, body).json
    assert b"block access from your country" in body


def test_server_errors_take_turns() -> None:
    with LoopbackExchange(MARKETS, faults=Faults(unavailable=4)) as exchange:
        assert [ask_bybit(exchange).status for _ in range(5)] == [500, 502, 503, 504, 200]


def test_an_ip_ban_lasts_for_its_time_and_a_shortened_one_ends() -> None:
    with LoopbackExchange(MARKETS, faults=Faults(ip_ban=1)) as exchange:
        assert [ask_bybit(exchange).status for _ in range(3)] == [403, 403, 403]
        assert ask_binance(exchange).status == 200
        assert exchange.n_bans == 1
    with LoopbackExchange(MARKETS, faults=Faults(ip_ban=1, limit=RateLimit(ban_s=0.0))) as exchange:
        assert [ask_bybit(exchange).status for _ in range(2)] == [403, 200]


def test_more_requests_than_the_limit_are_a_ban() -> None:
    with LoopbackExchange(MARKETS, faults=Faults(limit=RateLimit(10, window_s=3_600.0))) as exchange:
        assert [ask_bybit(exchange).status for _ in range(12)] == [200] * 10 + [403] * 2
        assert exchange.busiest_window(3_600.0) == 12
        exchange.faults.limit = None
        assert exchange.n_bans == 1


def test_a_connection_dropped_before_the_answer() -> None:
    with LoopbackExchange(MARKETS, faults=Faults(dropped=1)) as exchange:
        with pytest.raises((RemoteDisconnected, URLError)):
            ask_bybit(exchange)
        assert ask_bybit(exchange).status == 200
        assert [request.status for request in exchange.requests] == [0, 200]


def test_a_connection_cut_amid_the_body() -> None:
    with LoopbackExchange(MARKETS, faults=Faults(cut=1)) as exchange:
        with pytest.raises(IncompleteRead) as raised:
            ask_bybit(exchange)
        assert len(raised.value.partial) > 100
        assert code_of(ask_bybit(exchange)) == 0


@pytest.mark.parametrize("kind", ["truncated", "not_json"])
@pytest.mark.parametrize("ask", [ask_bybit, ask_binance])
def test_a_whole_answer_that_does_not_parse(kind: str, ask: Callable[[LoopbackExchange], Reply]) -> None:
    with LoopbackExchange(MARKETS, faults=Faults(**{kind: 1})) as exchange:
        reply = ask(exchange)
        assert (reply.status, int(reply.headers["Content-Length"])) == (200, len(reply.body))
        with pytest.raises(JSONDecodeError):
            _ = reply.json


@pytest.mark.parametrize("kind", SPOILS)
@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("ask", [ask_bybit, ask_binance])
def test_spoiled_pages(kind: str, seed: int, ask: Callable[[LoopbackExchange], Reply]) -> None:
    markets = [Market(market.series, market.bars, forming=False) for market in MARKETS]
    with LoopbackExchange(markets, faults=Faults(seed=seed, **{kind: 1})) as exchange:
        spoiled, sound = (rows_of(ask(exchange)) for _ in range(2))
    assert len(sound) == len(set(sound)) == 20
    match kind:
        case "duplicated":
            assert set(spoiled) == set(sound)
            assert 20 < len(spoiled) <= 23
        case "disordered":
            assert sorted(spoiled) == sorted(sound)
            assert spoiled != sound
        case "empty":
            assert spoiled == []
        case "lossy":
            assert spoiled == [row for row in sound if row in set(spoiled)]
            assert 10 <= len(spoiled) < 20


def rows_of(reply: Reply) -> list[tuple[str, ...]]:
    rows = reply.json["result"]["list"] if isinstance(reply.json, dict) else reply.json
    return [tuple(row) for row in rows]


def test_a_probability_is_drawn_for_each_request_and_repeats_with_its_seed() -> None:
    def statuses(seed: int) -> list[int]:
        with LoopbackExchange(MARKETS, faults=Faults(seed=seed, unavailable=0.3)) as exchange:
            for _ in range(60):
                ask_bybit(exchange)
            return [request.status for request in exchange.requests]

    first = statuses(1)
    assert 5 < sum(status >= 500 for status in first) < 35
    assert statuses(1) == first
    assert statuses(2) != first


def test_a_plan_goes_before_the_switches_and_a_path_narrows_both() -> None:
    faults = Faults(plan=("too_many", None, "timed_out"), unknown_symbol=1, path="kline")
    with LoopbackExchange(MARKETS, faults=faults) as exchange:
        assert code_of(fetch(exchange.url, "/v5/market/time")) == 0
        assert [code_of(ask_bybit(exchange)) for _ in range(5)] == [10006, 0, 10016, 10001, 0]


def test_switches_turn_while_the_exchange_runs() -> None:
    with LoopbackExchange(MARKETS) as exchange:
        assert code_of(ask_bybit(exchange)) == 0
        exchange.faults.timed_out = 1
        assert [code_of(ask_bybit(exchange)) for _ in range(2)] == [10016, 0]
        exchange.faults = Faults(too_many=1)
        assert [code_of(ask_bybit(exchange)) for _ in range(2)] == [10006, 0]


def test_every_kind_is_a_switch_and_is_told_in_the_docstring() -> None:
    for kind in KINDS:
        assert getattr(Faults(), kind) == 0
        assert f"\n    {kind}  " in str(Faults.__doc__)
    assert set(REFUSALS) < set(KINDS)
    with pytest.raises(ValueError, match="plan holds \\['typo'\\]"):
        Faults(plan=("typo",))
