"""What every exchange behind a network has in common: clients opened, many series at once, parts made batches."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, aclosing
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from mmf.bars import Interval, Series
from mmf.markets.errors import OutOfReachError
from mmf.markets.pages import Page, Part, merge_answers, missing_of, to_batch, wanted_numbers
from mmf.markets.source import Batch, Fetched, Want
from mmf.markets.streams import collected, in_groups, in_order, iterate, run
from mmf.ranges import Ranges

T = TypeVar("T")
C = TypeVar("C")

_SERIES_AHEAD = 16
_BATCH_PARTS = 32
_BATCH_ROWS = 50_000


class SeriesReader(Protocol):
    """Reads one series of an exchange through clients that are open."""

    def parts(self, numbers: Ranges, *, ended: tuple[int, int] | None = None) -> AsyncGenerator[Part, None]:
        """Yield what there is of ranges of bar numbers, in order; `ended` as `ended_ms` of `Want`, in bar numbers."""
        ...


@dataclass(frozen=True)
class Feed(Generic[C]):
    """The klines of one category of an exchange.

    Attributes
    ----------
    open_clients : callable
        Makes what opens the clients.
    reader_of : callable
        Open clients, series -> its reader.
    now_ms : callable
        The local clock, which stamps `fetched_at`.
    """

    open_clients: Callable[[], AbstractAsyncContextManager[C]]
    reader_of: Callable[[C, Series], SeriesReader]
    now_ms: Callable[[], int]

    def batches(self, want: Want, /) -> Iterator[Batch]:
        """Yield the batches of one want, each of at most 32 answers or 50,000 rows of one source."""
        yield from iterate(self._batches(want))

    def fetch_all(self, wants: Sequence[Want], /) -> Generator[Fetched, None, None]:
        """Yield the batches of each want, in order, 16 at once; see `mmf.markets.source.ExchangeSource`."""
        if wants:
            yield from iterate(self._fetched(wants))

    async def _batches(self, want: Want) -> AsyncGenerator[Batch, None]:
        async with self.open_clients() as clients, aclosing(self._batches_of(want, clients)) as batches:
            async for batch in batches:
                yield batch

    async def _fetched(self, wants: Sequence[Want]) -> AsyncGenerator[Fetched, None]:
        is_over = False

        def until_it_is_over() -> Iterator[Want]:
            for want in wants:
                if is_over:
                    return
                yield want

        async with self.open_clients() as clients:

            async def whole(want: Want) -> Fetched:
                nonlocal is_over
                found = Fetched(want.series, *await collected(self._batches_of(want, clients)))
                is_over = is_over or isinstance(found.error, OutOfReachError)
                return found

            async with aclosing(in_order(until_it_is_over(), whole, n_ahead=_SERIES_AHEAD)) as answers:
                async for fetched in answers:
                    yield fetched

    async def _batches_of(self, want: Want, clients: C) -> AsyncGenerator[Batch, None]:
        series, grid = want.series, want.series.grid
        ended = next(iter(wanted_numbers([want.ended_ms], grid)), None) if want.ended_ms else None
        parts = self.reader_of(clients, series).parts(wanted_numbers(want.ranges, grid), ended=ended)
        async with aclosing(in_groups(parts, has_room=_has_room)) as groups:
            async for group in groups:
                yield to_batch(series, group, fetched_at_ms=self.now_ms())


def ask(open_clients: Callable[[], AbstractAsyncContextManager[C]], work: Callable[[C], Awaitable[T]], /) -> T:
    """Run a coroutine on clients that are open for as long as it lasts."""

    async def with_clients() -> T:
        async with open_clients() as clients:
            return await work(clients)

    return run(with_clients())


async def settled(page: Page, answer: Part, ask_again: Callable[[Page], Awaitable[Part]], grid: Interval, /) -> Part:
    """Ask again while bars are missing and the last answer brought some: what two answers lack does not exist."""
    missing = missing_of(page, answer, grid)
    while missing:
        answer = merge_answers(answer, await ask_again(page))
        before, missing = missing, missing_of(page, answer, grid)
        if missing == before:
            break
    return answer


# ------------------------------------------------------------------------------------


def _has_room(group: list[Part], part: Part) -> bool:
    n_rows = sum(one.rows.height for one in group) + part.rows.height
    return part.source == group[0].source and len(group) < _BATCH_PARTS and n_rows <= _BATCH_ROWS
