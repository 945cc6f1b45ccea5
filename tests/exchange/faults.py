"""Switches: what may go wrong, how often, and what has."""

import random
import threading
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

from tests.exchange.ask import Spoil
from tests.exchange.binance_archives import ArchiveStyle
from tests.exchange.rate_limit import RateLimit

Chance = int | float

# Instead of the answer: an error body, see `tests.exchange.refusals`.
REFUSALS = (
    "too_many",
    "too_many_reset",
    "timed_out",
    "unavailable",
    "ip_ban",
    "geo_block",
    "geo_block_text",
    "unknown_symbol",
)
# The answer arrives broken or late.
BREAKAGES = ("dropped", "cut", "truncated", "not_json", "slow")
# A page of klines arrives whole, with other rows.
SPOILS = ("duplicated", "disordered", "empty", "lossy")
# An archive is not there, or its checksum is another file's.
ARCHIVE_FAULTS = ("no_archive", "bad_checksum")
KINDS = (*REFUSALS, *BREAKAGES, *SPOILS, *ARCHIVE_FAULTS)


@dataclass
class Faults:
    """Every switch may be turned while the exchange runs.

    A switch holds a whole number, the next so many requests that it suits, or a float, the probability of each. Of
    several switches the first in the order below is taken, one a request.

    Attributes
    ----------
    plan : sequence of (str or None)
        Faults of the next requests, one each, before the switches count: `("dropped", None, "too_many")`. One that
        does not suit its request (rows of an error body) passes without effect.
    path : str
        Only requests whose path contains this suffer.
    limit : RateLimit, optional
        Of Bybit; None lifts it.
    weight_per_min : int, optional
        Of Binance's REST, told in X-MBX-USED-WEIGHT-1M; beyond it 429. None lifts it.
    archives : ArchiveStyle
        How archives are written.
    slow_s : float
        What `slow` adds to the latency.
    reset_ms : int
        How far ahead `too_many_reset` promises another try.
    hits : Counter
        How often each fault was dealt.

    Notes
    -----
    too_many            Bybit 10006 without header; Binance 429 with Retry-After
    too_many_reset      Bybit 10006 with X-Bapi-Limit-Reset-Timestamp
    timed_out           Bybit 10016; Binance 408
    unavailable         500, 502, 503, 504 in turn
    ip_ban              Bybit 403 for `limit.ban_s` (this request alone without a limit); Binance 418
    geo_block           Bybit 403 with CloudFront's page; Binance 451
    geo_block_text      Bybit 403 with the short body that is not JSON either
    unknown_symbol      Bybit 10001; Binance 400 with -1121
    dropped             closed before the answer
    cut                 closed amid the body
    truncated           half a body, as if it were whole
    not_json            a maintenance page, HTTP 200
    slow                `slow_s` late
    duplicated          some rows twice
    disordered          rows in another order
    empty               no rows, although there are some
    lossy               a run of rows left out, this time only (holes that last: `LoopbackExchange.withhold`)
    no_archive          404, although the file exists
    bad_checksum        the sum of another file

    Holes, revisions, the forming bar, clock skew and delisting are no chance: they are in the markets and in the
    methods of `tests.exchange.server.LoopbackExchange`.
    """

    seed: int = 0
    plan: Sequence[str | None] = ()
    path: str = ""
    limit: RateLimit | None = field(default_factory=RateLimit)
    weight_per_min: int | None = 2_400
    archives: ArchiveStyle = field(default_factory=ArchiveStyle)
    slow_s: float = 0.2
    reset_ms: int = 50
    too_many: Chance = 0
    too_many_reset: Chance = 0
    timed_out: Chance = 0
    unavailable: Chance = 0
    ip_ban: Chance = 0
    geo_block: Chance = 0
    geo_block_text: Chance = 0
    unknown_symbol: Chance = 0
    dropped: Chance = 0
    cut: Chance = 0
    truncated: Chance = 0
    not_json: Chance = 0
    slow: Chance = 0
    duplicated: Chance = 0
    disordered: Chance = 0
    empty: Chance = 0
    lossy: Chance = 0
    no_archive: Chance = 0
    bad_checksum: Chance = 0
    hits: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        unknown = set(self.plan) - {*KINDS, None}
        if unknown:
            raise ValueError(f"plan holds {sorted(map(str, unknown))}; a fault is one of {KINDS}")
        self._random = random.Random(self.seed)
        self._planned = deque(self.plan)
        self._lock = threading.Lock()

    def draw(self, path: str, suiting: Sequence[str]) -> str | None:
        """The fault of the next request, None for a sound answer."""
        with self._lock:
            if self.path not in path:
                return None
            kind = self._next(suiting)
            if kind is None or kind not in suiting:
                return None
            self.hits[kind] += 1
            return kind

    def spoil(self, kind: str | None) -> Spoil | None:
        """What a fault does to the rows of a page."""
        change = _SPOILS.get(kind or "")
        return partial(change, chance=self._random) if change else None

    def _next(self, suiting: Sequence[str]) -> str | None:
        if self._planned:
            return self._planned.popleft()
        for kind in suiting:
            chance = getattr(self, kind)
            if isinstance(chance, float):
                if chance and self._random.random() < chance:
                    return kind
            elif chance:
                setattr(self, kind, chance - 1)
                return kind
        return None


def faults_of(path: str) -> tuple[str, ...]:
    """The faults that suit a path, in the order in which they are tried."""
    if path == "/":
        return ("unavailable", *BREAKAGES)
    if path.startswith("/data/"):
        return ("unavailable", *BREAKAGES, *ARCHIVE_FAULTS)
    return (*REFUSALS, *BREAKAGES, *(SPOILS if "kline" in path else ()))


# ------------------------------------------------------------------------------------


def _duplicate(rows: list[bytes], chance: random.Random) -> list[bytes]:
    """One to three rows again, right behind themselves or at the end."""
    again = chance.sample(rows, min(len(rows), chance.randint(1, 3)))
    in_place = [copy for row in rows for copy in ((row, row) if row in again else (row,))]
    return chance.choice([in_place, rows + again])


def _disorder(rows: list[bytes], chance: random.Random) -> list[bytes]:
    return chance.sample(rows, len(rows))


def _lose(rows: list[bytes], chance: random.Random) -> list[bytes]:
    first = chance.randrange(len(rows)) if rows else 0
    return rows[:first] + rows[first + chance.randint(1, 10) :]


_SPOILS: dict[str, Callable[..., list[bytes]]] = {
    "duplicated": _duplicate,
    "disordered": _disorder,
    "empty": lambda rows, chance: [],
    "lossy": _lose,
}
