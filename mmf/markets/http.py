"""The one HTTP engine of all exchanges: paced, bounded, patient, and silent once the exchange says stop."""

import asyncio
import json
import random
import re
import ssl
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx2
import stamina

from mmf.errors import CallError
from mmf.markets.errors import BannedError, BlockedError, ExchangeError, OutOfReachError
from mmf.markets.pacing import Pacer

T = TypeVar("T")

_LONGEST_HOLD_S = 90.0
_QUOTED_CHARS = 120


@dataclass(frozen=True)
class HttpOptions:
    """How to talk to a host.

    Attributes
    ----------
    n_in_flight : int
        Requests under way at once; 64 of them keep 120 a second going up to half a second of latency.
    timeout_s : float
        For connecting, and for each part of an answer.
    n_attempts : int
        How often one request is sent before its failure is reported.
    first_wait_s, longest_wait_s, jitter_s : float
        Wait before the second attempt, doubled from one to the next up to the longest, each with up to `jitter_s`
        added so that requests which failed together do not come back together.
    """

    n_in_flight: int = 64
    timeout_s: float = 10.0
    n_attempts: int = 8
    first_wait_s: float = 0.25
    longest_wait_s: float = 5.0
    jitter_s: float = 0.5


class TryAgainError(Exception):
    """An answer that says nothing about the question; the same request may succeed."""


class SlowDownError(TryAgainError):
    """The exchange asks for fewer requests; nothing is sent for `wait_s` seconds, or as long as a retry waits."""

    def __init__(self, reason: str, *, wait_s: float | None = None) -> None:
        super().__init__(reason)
        self.wait_s = wait_s


class HttpClient:
    """GET requests to one host, as an asynchronous context manager.

    Parameters
    ----------
    base_url : str
        Such as `https://api.bybit.com`.
    pacer : Pacer
        Shared by everybody who talks to that host.
    options : HttpOptions
        Bounds and patience.
    """

    def __init__(self, base_url: str, *, pacer: Pacer, options: HttpOptions) -> None:
        self.base_url = base_url
        self._pacer = pacer
        self._old_ban = pacer.ban  # not ours: asking again is how to find out whether it is over
        self._options = options
        self._room = asyncio.Semaphore(options.n_in_flight)
        self._queue = asyncio.Lock()  # one waits for the pacer, the others for their place in the line
        self._client = httpx2.AsyncClient(
            base_url=base_url,
            verify=_ssl_context(),
            timeout=httpx2.Timeout(options.timeout_s, pool=None),
            limits=httpx2.Limits(
                max_connections=options.n_in_flight, max_keepalive_connections=options.n_in_flight, keepalive_expiry=15
            ),
        )

    async def __aenter__(self) -> Self:
        await self._client.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._client.__aexit__(kind, error, trace)

    async def get(
        self, path: str, params: Mapping[str, str | int], read: Callable[[httpx2.Response], T], *, cost: int = 1
    ) -> T:
        """Send a request until `read` makes something of the answer.

        Parameters
        ----------
        path : str
            Below the base URL.
        params : mapping
            The query.
        read : callable
            Turns a response into the result, or raises `TryAgainError`, `SlowDownError` or an `ExchangeError`.
        cost : int
            What the request counts towards the limit of the pacer.

        Raises
        ------
        OutOfReachError
            No attempt got an answer.
        ExchangeError
            As `read` raised it, or the last attempt failed too.
        """
        retries = stamina.retry_context(
            on=_backoff,
            attempts=self._options.n_attempts,
            timeout=None,
            wait_initial=self._options.first_wait_s,
            wait_max=self._options.longest_wait_s,
            wait_jitter=self._options.jitter_s,
        )
        try:
            async for attempt in retries:
                with attempt, self._heeding(attempt.next_wait):
                    return read(await self._send(path, params, cost))
        except httpx2.TransportError as error:
            raise OutOfReachError(self._gave_up(path, error)) from error
        except (TryAgainError, httpx2.RequestError) as error:
            raise ExchangeError(self._gave_up(path, error)) from error
        raise AssertionError("unreachable: the last attempt returns or raises")

    async def _send(self, path: str, params: Mapping[str, str | int], cost: int) -> httpx2.Response:
        # The room comes first: a request that had its turn must go out at once, or turns would bunch up behind it.
        async with self._room:
            async with self._queue:
                await self._pacer.turn(cost)
            if (ban := self._pacer.ban) is not None and ban is not self._old_ban:
                raise BannedError(str(ban), wait_s=ban.wait_s)
            return await self._client.get(path, params=dict(params))

    @contextmanager
    def _heeding(self, next_wait_s: float) -> Iterator[None]:
        """Let an answer that asks for fewer requests, or for none, stop those of everybody."""
        try:
            yield
        except SlowDownError as error:
            self._pacer.hold(max(error.wait_s or 0.0, next_wait_s * random.uniform(1, 2)))  # noqa: S311
            raise
        except BannedError as error:
            self._pacer.ban = error
            raise

    def _gave_up(self, path: str, error: Exception) -> str:
        reason = str(error) or type(error).__name__
        if isinstance(error, httpx2.ConnectError):
            return (
                f"{self.base_url} cannot be reached: {reason}. Check the network and --base-url; bars can also come "
                "from files (mmf ingest files)."
            )
        return (
            f"{self.base_url}{path} failed {self._options.n_attempts} times in a row, the last time with: {reason}. "
            "What was fetched before is kept; run the command again later."
        )


def check_base_url(url: str, /) -> str:
    """Return a base URL without its last slash.

    Raises
    ------
    CallError
        It is not an http or https URL with a host and without query.
    """
    try:
        parsed = httpx2.URL(url)
    except httpx2.InvalidURL as error:
        raise CallError(f"base URL {url!r} is not a URL: {error}. Give one such as https://api.bybit.com.") from error
    if parsed.scheme not in {"http", "https"} or not parsed.host or parsed.query or parsed.fragment:
        raise CallError(f"base URL {url!r} is not an http(s) address. Give one such as https://api.bybit.com.")
    return url.rstrip("/")


def check_status(response: httpx2.Response, /, *, instead: str, answers: tuple[int, ...] = (200,)) -> None:
    """Raise unless the status tells that the body is an answer.

    Parameters
    ----------
    response : httpx2.Response
        Of any exchange.
    instead : str
        What else can be used where the exchange does not serve this place.
    answers : tuple of int
        Statuses whose body is an answer; Binance says with 400 what it did not like.

    Raises
    ------
    BannedError
        403 with a JSON body, or 418 and 429 with a longer Retry-After than is worth waiting for.
    BlockedError
        403 with any other body (CloudFront, a firewall) or 451.
    SlowDownError, TryAgainError
        418 or 429; 408 or any 5xx.
    ExchangeError
        Any other status that is not one of `answers`.
    """
    host = response.request.url.host
    match response.status_code:
        case status if status in answers:
            return
        case 403 if _is_json(response):
            raise _banned(host, wait_s=600.0, quoted=quote(response))
        case 403 | 451 as status:
            raise BlockedError(
                f"{host} does not serve this place (HTTP {status}: {quote(response)}). Asking again is of no use; "
                f"{instead}, or klines from files (mmf ingest files)."
            )
        case 418 | 429 as status:
            wait_s = _retry_after_s(response)
            if wait_s is not None and wait_s > _LONGEST_HOLD_S:
                raise _banned(host, wait_s=wait_s, quoted=quote(response))
            raise SlowDownError(f"HTTP {status}, too many requests", wait_s=wait_s)
        case status if status >= 500 or status == 408:
            raise TryAgainError(f"HTTP {status}: {quote(response)}")
        case status:
            raise ExchangeError(f"{response.request.url} answered HTTP {status}: {quote(response)}. Check --base-url.")


def read_json(response: httpx2.Response, /) -> Any:
    """Return the JSON of a body.

    Raises
    ------
    TryAgainError
        The body is no JSON: cut off on its way, or a page of some proxy.
    """
    try:
        return json.loads(response.content)
    except ValueError as error:
        raise TryAgainError(f"the answer is not JSON but {quote(response)}") from error


def quote(response: httpx2.Response, /) -> str:
    """Return the beginning of a body on one line and without HTML tags, for messages."""
    text = re.sub("<[^>]*>", " ", response.content[: 8 * _QUOTED_CHARS].decode("utf-8", errors="replace"))
    text = " ".join(text.split())
    return repr(text[:_QUOTED_CHARS]) if text else "an empty body"


# ------------------------------------------------------------------------------------


@cache
def _ssl_context() -> ssl.SSLContext:
    return httpx2.create_ssl_context()  # 20 ms, too much for each of six hundred symbols


def _backoff(error: Exception) -> bool | float:
    """Tell stamina whether to try again, and for `SlowDownError` that the pacer does the waiting."""
    if isinstance(error, SlowDownError):
        return 0.0
    return isinstance(error, (TryAgainError, httpx2.RequestError))


def _banned(host: str, *, wait_s: float, quoted: str) -> BannedError:
    span = f"{wait_s / 60:.0f} minutes" if wait_s < 7_200 else f"{wait_s / 3_600:.1f} hours"
    return BannedError(
        f"{host} has banned this address for too many requests ({quoted}). Every request was stopped. Wait {span} "
        "before anything is sent from this address, then run the command again: it goes on where it stopped.",
        wait_s=wait_s,
    )


def _is_json(response: httpx2.Response) -> bool:
    try:
        json.loads(response.content)
    except ValueError:
        return False
    return True


def _retry_after_s(response: httpx2.Response) -> float | None:
    text = response.headers.get("Retry-After", "")
    return float(text) if text.isdecimal() else None
