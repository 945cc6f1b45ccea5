"""Even pacing of requests, so that no window of the exchange ever holds more than it allows."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from functools import cache

from mmf.errors import CallError
from mmf.markets.errors import BannedError
from mmf.markets.send_slots import SendSlot, slot_path

SLACK_S = 0.15  # how far a late request may be made up for
JITTER_S = 0.30  # how much closer together requests may arrive than they were sent

_REST_S = 1.0


class Pacer:
    """Turns at even distances, shared by all threads, event loops and processes that talk to one host.

    A sender that holds to it starts at most `limit` requests in any time of `window_s + jitter_s`, so that at most
    `limit` of them arrive within `window_s` as long as the way of one takes at most `jitter_s` longer than the way
    of another.

    Parameters
    ----------
    limit : int
        Requests, or what they cost together, allowed in a window.
    window_s : float
        Length of the window in seconds.
    slack_s : float
        A turn taken late, since the sender was busy, is made up for up to so much. Without it the oversleeping of
        every wait would add up; with more of it a stall would end in a burst.
    jitter_s : float
        Difference in travel time that is allowed for.
    slot : SendSlot, optional
        Where the instant of the next turn is kept; by default for this pacer alone.
    clock, sleep : callable
        The monotonic clock in seconds, and how to wait for it.

    Notes
    -----
    From one turn to the n-th after it pass at least n * spacing_s - slack_s seconds. With spacing_s = (window_s +
    slack_s + jitter_s) / limit the turn that is `limit` turns later comes only after window_s + jitter_s. A leaky
    bucket (aiolimiter) guarantees only twice the limit, since it lets a full bucket through at once, and it belongs
    to one event loop.
    """

    def __init__(
        self,
        limit: int,
        window_s: float,
        *,
        slack_s: float = SLACK_S,
        jitter_s: float = JITTER_S,
        slot: SendSlot | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        if limit < 1 or window_s <= 0:
            raise CallError(f"a limit of {limit} requests in {window_s} s cannot be paced. Both must be positive.")
        # a little more than the closed form, so that rounding cannot let one request more into a window
        self.spacing_s = (window_s + slack_s + jitter_s) / limit * (1 + 1e-9)
        self.ban: BannedError | None = None  # the last one; whoever sends looks whether it is new
        self._slack_s = slack_s
        self._clock = clock
        self._sleep = sleep
        self._slot = slot or SendSlot()

    async def turn(self, cost: int = 1) -> None:
        """Wait until the next request may be sent, and take that turn; a cost of n makes the next one wait n times.

        With costs up to c a window holds at most `limit + c - 1`.
        """
        while (delay := self._take(cost)) > 0:
            await self._sleep(delay)

    def hold(self, seconds: float, /) -> None:
        """Let nobody have a turn for so long."""
        with self._slot as slot:
            slot.next_s = max(slot.next_s, self._clock() + seconds)

    def _take(self, cost: int) -> float:
        """Take the turn and return 0, or return how long to wait for it."""
        with self._slot as slot:
            now = self._clock()
            if now < slot.next_s:
                return slot.next_s - now
            # After a rest one starts without a burst: the first requests also open connections and arrive late.
            slack_s = self._slack_s if now - slot.next_s <= _REST_S else 0.0
            slot.next_s = max(slot.next_s, now - slack_s) + cost * self.spacing_s
            return 0.0


@cache
def shared_pacer(host: str, limit: int, window_s: float, /) -> Pacer:
    """Return the one pacer of this process for a host and a limit of it; all processes of a user keep it together."""
    return Pacer(limit, window_s, slot=SendSlot(slot_path(host, limit, window_s)))
