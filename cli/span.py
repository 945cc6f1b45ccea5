"""The range of time that a command asks an exchange for."""

from dataclasses import dataclass
from datetime import UTC, datetime

from mmf.errors import CallError

DEFAULT_DAYS = 730
DAY_MS = 86_400_000


@dataclass(frozen=True)
class Span:
    """What range of time was asked for; all open means: from the first stored bar, or the default days."""

    days: int | None = None
    start: datetime | None = None
    end: datetime | None = None
    is_all: bool = False

    def __post_init__(self) -> None:
        chosen = [self.days is not None, self.start is not None or self.end is not None, self.is_all]
        if sum(chosen) > 1:
            raise CallError("--days, --start/--end and --all-history exclude one another. Give one of them.")
        if self.start and self.end and self.start >= self.end:
            raise CallError(f"--start {self.start} is not before --end {self.end}.")
        if self.end and _ms(self.end) <= 0:
            raise CallError(f"--end {self.end} does not lie after 1970-01-01; no exchange has bars before that.")

    def range_ms(self, *, first_stored_ms: int | None, now_ms: int) -> tuple[int, int]:
        """Return the half-open range of open_time; open-ended where no end was given, since the exchange knows now.

        An end alone that does not lie after the first stored bar asks for the default days before it.
        """
        from mmf.markets.source import ALL_TIME

        stop_ms = _ms(self.end) if self.end else ALL_TIME[1]
        if self.is_all:
            return ALL_TIME[0], stop_ms
        if self.start:
            if _ms(self.start) > now_ms:
                raise CallError(f"--start {self.start} lies in the future; no exchange has bars there.")
            return max(_ms(self.start), ALL_TIME[0]), stop_ms
        if self.days is None and first_stored_ms is not None and first_stored_ms < stop_ms:
            return first_stored_ms, stop_ms
        start_ms = min(now_ms, stop_ms) - (self.days or DEFAULT_DAYS) * DAY_MS
        return max(start_ms, ALL_TIME[0]), stop_ms


# ------------------------------------------------------------------------------------


def _ms(time_: datetime) -> int:
    return int(time_.replace(tzinfo=time_.tzinfo or UTC).timestamp() * 1000)
