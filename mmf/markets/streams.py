"""Many requests at once, results in order; and an event loop in a thread behind a plain iterator."""

import asyncio
import atexit
import sys
import threading
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Iterable, Iterator
from concurrent.futures import wait
from contextlib import aclosing, contextmanager
from typing import Any, TypeVar

from mmf.errors import MMFError

S = TypeVar("S")
T = TypeVar("T")

_HEED_S = 0.5


async def in_order(
    items: Iterable[S], work: Callable[[S], Awaitable[T]], /, *, n_ahead: int
) -> AsyncGenerator[T, None]:
    """Yield `work(item)` of each item in order, working on up to `n_ahead` items at once.

    New work begins only as results are taken. The first failure, in the order of items, ends the rest.
    """
    running: deque[asyncio.Future[T]] = deque()
    try:
        for item in items:
            running.append(asyncio.ensure_future(work(item)))
            if len(running) >= n_ahead:
                yield await running.popleft()
        while running:
            yield await running.popleft()
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


async def in_groups(
    items: AsyncGenerator[T, None], /, *, has_room: Callable[[list[T], T], bool]
) -> AsyncGenerator[list[T], None]:
    """Yield runs of items, each as long as `has_room(run, next item)`; a run in hand comes before an error."""
    run: list[T] = []
    async with aclosing(items):
        try:
            async for item in items:
                if run and not has_room(run, item):
                    yield run
                    run = []
                run.append(item)
        except MMFError:
            if run:
                yield run
            raise
    if run:
        yield run


async def collected(items: AsyncGenerator[T, None], /) -> tuple[list[T], MMFError | None]:
    """Return all items, and the known error that ended them early."""
    found: list[T] = []
    async with aclosing(items):
        try:
            async for item in items:
                found.append(item)  # noqa: PERF401  an error must not take what came before it along
        except MMFError as error:
            return found, error
    return found, None


def iterate(items: AsyncGenerator[T, None], /) -> Iterator[T]:
    """Yield the items of an asynchronous generator that runs in a thread of its own.

    Work that it has begun goes on between two items; work that it begins as items are taken waits for that, so a
    consumer that stops taking stops it. Closing the iterator, or an exception in the consumer such as
    KeyboardInterrupt, cancels what is under way and joins the thread; an iterator that nobody closes ends with the
    interpreter.
    """
    with _loop_in_thread() as loop:

        def end() -> None:
            _result(loop, _cancel_all(items))

        atexit.register(end)  # runs while the thread still does
        try:
            while True:
                try:
                    yield _result(loop, anext(items))
                except StopAsyncIteration:
                    return
        finally:
            if not sys.is_finalizing():
                atexit.unregister(end)
                end()


def run(work: Coroutine[Any, Any, T], /) -> T:
    """Run a coroutine to its end, also where an event loop runs already (a notebook)."""
    with _loop_in_thread() as loop:
        try:
            return _result(loop, work)
        finally:
            _result(loop, _cancel_all(None))


# ------------------------------------------------------------------------------------


@contextmanager
def _loop_in_thread() -> Iterator[asyncio.AbstractEventLoop]:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="mmf-http", daemon=True)
    thread.start()
    try:
        yield loop
    finally:
        if not sys.is_finalizing():  # else the thread stands still for good, and waiting for it would never end
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            loop.close()


def _result(loop: asyncio.AbstractEventLoop, work: Awaitable[T]) -> T:
    """Wait for work on the loop of another thread."""

    async def awaited() -> T:
        return await work

    future = asyncio.run_coroutine_threadsafe(awaited(), loop)
    while not wait([future], timeout=_HEED_S).done:
        pass  # a Ctrl-C that came just before the lock was waited for is heeded now; the lock alone would not wake
    return future.result()


async def _cancel_all(items: AsyncGenerator[Any, None] | None) -> None:
    """End every other task of this loop, then the generator, which no task holds any more."""
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    if items is not None:
        await items.aclose()
    await asyncio.get_running_loop().shutdown_asyncgens()
