"""Limits per IP address: Bybit's sliding window with its ban, and the weights that Binance counts by the minute."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class RateLimit:
    """At most `requests` in any `window_s` seconds, else `ban_s` seconds of HTTP 403."""

    requests: int = 600
    window_s: float = 5.0
    ban_s: float = 600.0


@dataclass
class Gate:
    """What the exchange remembers of its one client."""

    banned_until_s: float = float("-inf")
    n_bans: int = 0
    _arrivals: deque[float] = field(default_factory=deque)

    def admits(self, limit: RateLimit | None, now_s: float) -> bool:
        """Count a request; False while a ban lasts, or from this request on."""
        if now_s < self.banned_until_s:
            return False
        if limit is None:
            return True
        self._arrivals.append(now_s)
        while self._arrivals[0] <= now_s - limit.window_s:
            self._arrivals.popleft()
        if len(self._arrivals) > limit.requests:
            self.ban(limit, now_s)
            return False
        return True

    def ban(self, limit: RateLimit, now_s: float) -> None:
        self.banned_until_s = now_s + limit.ban_s
        self.n_bans += 1
        self._arrivals.clear()


@dataclass
class WeightMeter:
    """The weight of this minute's requests; minutes count from the first request, not by the clock."""

    used: int = 0
    _minute_began_s: float = float("-inf")

    def add(self, weight: int, now_s: float) -> int:
        """Count a request and return the weight used so far."""
        if now_s >= self._minute_began_s + 60.0:
            self.used, self._minute_began_s = 0, now_s
        self.used += weight
        return self.used


def busiest_window(arrivals_s: Sequence[float], /, *, window_s: float = 5.0) -> int:
    """The largest number of arrivals in any half-open window of this length."""
    window: deque[float] = deque()
    most = 0
    for arrival in sorted(arrivals_s):
        window.append(arrival)
        while window[0] <= arrival - window_s:
            window.popleft()
        most = max(most, len(window))
    return most
