import asyncio
import json

import httpx2
import pytest

from mmf.errors import CallError
from mmf.markets.errors import BannedError, BlockedError, ExchangeError
from mmf.markets.http import (
    HttpClient,
    HttpOptions,
    SlowDownError,
    TryAgainError,
    check_base_url,
    check_status,
    quote,
    read_json,
)
from mmf.markets.pacing import Pacer
from tests.exchange.http_server import Answer, HttpServer
from tests.markets.patience import QUICK, virtual_pacer


def answered(status: int, body: bytes = b"{}", **headers: str) -> httpx2.Response:
    request = httpx2.Request("GET", "https://api.example.com/x")
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    return httpx2.Response(status, content=body, headers=named, request=request)


def read(response: httpx2.Response) -> object:
    check_status(response, instead="walk")
    return read_json(response)


def get_all(url: str, paths: list[str], *, pacer: Pacer | None = None, options: HttpOptions = QUICK) -> list[object]:
    """What comes back for each path, asked at once: the body or the error."""

    async def ask() -> list[object]:
        async with HttpClient(url, pacer=pacer or virtual_pacer(), options=options) as client:
            return await asyncio.gather(*(client.get(path, {}, read) for path in paths), return_exceptions=True)

    return asyncio.run(ask())


@pytest.mark.parametrize(
    ("response", "error", "message"),
    [
        (answered(500), TryAgainError, "HTTP 500"),
        (answered(408), TryAgainError, "HTTP 408"),
        (answered(429), SlowDownError, "too many requests"),
        (answered(418, Retry_After="30"), SlowDownError, "too many requests"),
        (answered(429, Retry_After="120"), BannedError, "Wait 2 minutes"),
        (answered(418, Retry_After="259200"), BannedError, "Wait 72.0 hours"),
        (answered(403), BannedError, "Wait 10 minutes .* run the command again"),
        (answered(403, b"{\n error:The Amazon CloudFront"), BlockedError, "no use; walk, or klines from files"),
        (answered(451), BlockedError, "HTTP 451"),
        (answered(301), ExchangeError, "HTTP 301.*--base-url"),
        (answered(404, b"gone"), ExchangeError, "HTTP 404: 'gone'"),
    ],
)
def test_a_status_tells_what_to_do(response, error, message):
    with pytest.raises(error, match=message) as raised:
        check_status(response, instead="walk")
    assert raised.type is error


def test_a_ban_says_in_seconds_how_long_it_lasts():
    with pytest.raises(BannedError) as raised:
        check_status(answered(418, Retry_After="120"), instead="walk")
    assert raised.value.wait_s == 120.0


def test_more_statuses_may_be_answers():
    check_status(answered(404), instead="walk", answers=(200, 404))


def test_messages_quote_the_text_of_a_page_on_one_line():
    assert quote(answered(500, b"<html>\n<h1>502   Bad\nGateway</h1>")) == "'502 Bad Gateway'"
    assert quote(answered(500, b"")) == "an empty body"
    assert len(quote(answered(500, b"x" * 10_000))) < 130


def test_half_a_json_is_asked_again():
    with pytest.raises(TryAgainError, match="not JSON"):
        read_json(answered(200, b'{"a": 1'))


@pytest.mark.parametrize("url", ["", "ftp://x", "https://", "https://x?y=1", "x.com", "http://x:port"])
def test_what_is_no_address_is_refused(url):
    with pytest.raises(CallError, match="base URL"):
        check_base_url(url)


def test_a_base_url_may_have_a_path_and_loses_its_last_slash():
    assert check_base_url("http://localhost:8000/proxy/") == "http://localhost:8000/proxy"


def test_no_more_requests_are_under_way_than_allowed_and_connections_are_kept():
    busy, most, n_connections = 0, 0, set()

    def respond(_: str) -> Answer:
        nonlocal busy, most
        busy += 1
        most = max(most, busy)
        n_connections.add(len(server.connections))
        return Answer(b"1")

    def latency_s() -> float:
        nonlocal busy
        busy -= 1
        return 0.002

    with HttpServer(respond, latency_s) as server:
        options = HttpOptions(n_in_flight=5)
        assert get_all(server.url, ["/"] * 60, options=options) == [1] * 60
    assert max(n_connections) <= 5
    assert most <= 5


def test_after_a_ban_of_one_request_nobody_of_this_host_sends_another():
    seen = []

    def respond(target: str) -> Answer:
        seen.append(target)
        return Answer(b"{}", 403) if target == "/3" else Answer(b"1")

    pacer = virtual_pacer()
    with HttpServer(respond, lambda: 0.0) as server:
        options = HttpOptions(n_in_flight=1)
        results = get_all(server.url, [f"/{i}" for i in range(9)], pacer=pacer, options=options)
        assert results[:3] == [1, 1, 1]
        assert all(isinstance(result, BannedError) and result.wait_s == 600.0 for result in results[3:])
        assert seen == ["/0", "/1", "/2", "/3"]
        assert get_all(server.url, ["/again"], pacer=pacer) == [1]  # a new client may find out whether it is over


def test_too_many_requests_hold_everybody_for_as_long_as_was_said():
    answers = iter([Answer(b"{}", 429, headers=(("Retry-After", "40"),))])
    arrived = []

    def respond(_: str) -> Answer:
        arrived.append(pacer._clock())
        return next(answers, Answer(b"1"))

    pacer = virtual_pacer()
    with HttpServer(respond, lambda: 0.0) as server:
        assert get_all(server.url, ["/"] * 4, pacer=pacer, options=HttpOptions(n_in_flight=1)) == [1] * 4
    assert arrived[0] < 1.0
    assert min(arrived[1:]) >= 40.0


def test_every_attempt_is_used_and_then_the_reason_is_told():
    n = 0

    def respond(_: str) -> Answer:
        nonlocal n
        n += 1
        return Answer(json.dumps("tired").encode(), 503)

    with HttpServer(respond, lambda: 0.0) as server:
        [error] = get_all(server.url, ["/x"])
    assert isinstance(error, ExchangeError)
    assert f"{server.url}/x failed 8 times in a row" in str(error)
    assert "tired" in str(error)
    assert n == 8
