"""The plainest client: one request, one reply, whatever its status."""

from dataclasses import dataclass
from email.message import Message
from json import loads
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import urlopen

TIMEOUT_S = 20.0


@dataclass(frozen=True)
class Reply:
    status: int
    headers: Message
    body: bytes

    @property
    def json(self) -> Any:
        return loads(self.body)


def fetch(base_url: str, path: str, /, **query: object) -> Reply:
    """GET; raises what urllib raises where the connection breaks, but no error for a status."""
    url = f"{base_url}{path}" + (f"?{urlencode(query)}" if query else "")
    try:
        with urlopen(url, timeout=TIMEOUT_S) as reply:
            return Reply(reply.status, reply.headers, reply.read())
    except HTTPError as error:
        with error:
            return Reply(error.code, error.headers, error.read())
