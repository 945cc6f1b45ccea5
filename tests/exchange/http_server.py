"""As much of HTTP/1.1 as a client of a market data API meets: GET, keep-alive, late answers, broken ones."""

import asyncio
import threading
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from types import TracebackType
from typing import Self

JSON = "application/json; charset=utf-8"
STAND_STILL_S = 30.0


@dataclass(frozen=True)
class Answer:
    """What goes back for one request.

    `date_ms` becomes the Date header. `cut_at` closes the connection after so many bytes of the body, 0 before any
    byte of the answer. `late_s` comes on top of the server's latency.
    """

    body: bytes
    status: int = 200
    content_type: str = JSON
    headers: tuple[tuple[str, str], ...] = ()
    cut_at: int | None = None
    late_s: float = 0.0

    @property
    def is_dropped(self) -> bool:
        return self.cut_at == 0

    def encode(self) -> bytes:
        phrase = HTTPStatus(self.status).phrase
        lines = [f"HTTP/1.1 {self.status} {phrase}", f"Content-Type: {self.content_type}"]
        lines += [f"Content-Length: {len(self.body)}", "Connection: keep-alive"]
        lines += [f"{name}: {value}" for name, value in self.headers]
        body = self.body if self.cut_at is None else self.body[: self.cut_at]
        return "\r\n".join(lines).encode("ascii") + b"\r\n\r\n" + body


class HttpServer:
    """A server in a thread of its own, on a free port of 127.0.0.1.

    Parameters
    ----------
    respond : callable
        Path with query string -> Answer. Called in the server's thread as a request arrives; the answer leaves
        `latency_s()` later, so that any number of requests may overlap.
    """

    def __init__(self, respond: Callable[[str], Answer], latency_s: Callable[[], float], *, port: int = 0) -> None:
        self.respond = respond
        self.latency_s = latency_s
        self.port = port
        self.connections: set[_Connection] = set()
        self.errors: list[Exception] = []  # raised when the context ends: a client might take them for a dropped line

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="loopback-exchange", daemon=True)
        self._thread.start()
        self._server = asyncio.run_coroutine_threadsafe(self._open(), self._loop).result(STAND_STILL_S)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(STAND_STILL_S)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(STAND_STILL_S)
        self._loop.close()
        if self.errors and error is None:
            raise self.errors[0]

    async def _open(self) -> asyncio.Server:
        server = await self._loop.create_server(lambda: _Connection(self), "127.0.0.1", self.port, backlog=1_024)
        self.port = server.sockets[0].getsockname()[1]
        return server

    async def _close(self) -> None:
        self._server.close()
        for connection in tuple(self.connections):
            connection.transport.abort()
        while self.connections:
            await asyncio.sleep(0)
        await self._server.wait_closed()


# ------------------------------------------------------------------------------------


class _Connection(asyncio.Protocol):
    """One client. Its requests are answered in turn: no client of ours pipelines."""

    transport: asyncio.Transport

    def __init__(self, server: HttpServer) -> None:
        self.server = server
        self.unread = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.server.connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self.server.connections.discard(self)

    def data_received(self, data: bytes) -> None:
        *heads, self.unread = (self.unread + data).split(b"\r\n\r\n")
        for head in heads:
            target = head.split(b" ", 2)[1].decode("ascii")
            try:
                answer = self.server.respond(target)
            except Exception as error:
                self.server.errors.append(error)
                raise
            delay_s = self.server.latency_s() + answer.late_s
            if delay_s > 0.0:
                asyncio.get_running_loop().call_later(delay_s, self.send, answer)
            else:
                self.send(answer)

    def send(self, answer: Answer) -> None:
        if self.transport.is_closing():
            return
        if not answer.is_dropped:
            self.transport.write(answer.encode())
        if answer.cut_at is not None:
            self.transport.close()
