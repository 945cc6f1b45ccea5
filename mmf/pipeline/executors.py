"""Where tasks are computed, the chunks of a build or the parts of an evaluation: in this process, or in several.

An executor knows nothing of features or of the catalog: it runs tasks that name their inputs by the paths of immutable
files and that write their results durably. One for a cluster has the same one method; the caller alone records and
commits what comes back.
"""

import multiprocessing
import os
import signal
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, ThreadPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import wait as wait_for_exit
from threading import Thread
from types import TracebackType
from typing import Protocol, Self, TypeVar

from mmf.errors import CallError, DataError

Done = TypeVar("Done")
Done_co = TypeVar("Done_co", covariant=True)


class Staged(Protocol[Done_co]):
    """A result that is computed and not written yet."""

    def store(self) -> Done_co:
        """Write it durably, and return what the sender wants to know of it."""
        ...


class Task(Protocol[Done_co]):
    """Work that may be sent to another process that sees the same files."""

    def compute(self) -> Staged[Done_co]:
        """Compute; nothing is written yet."""
        ...


class Executor(Protocol):
    """Runs tasks.

    Attributes
    ----------
    n_workers : int
        Count of processes that compute, for estimates of time and memory.
    """

    @property
    def n_workers(self) -> int:
        """Count of processes that compute."""
        ...

    def run(self, tasks: Iterable[Task[Done]], /, *, in_flight: int | None = None) -> Generator[Done, None, None]:
        """Yield the result of each task, in any order, once its files are durable.

        Parameters
        ----------
        tasks : iterable of Task
            Drawn only as workers become free.
        in_flight : int, optional
            Most tasks to hold in memory at a time.

        Raises
        ------
        Exception
            The first error of a task. Tasks not begun are dropped, then and when the iterator is closed early.
        """
        ...


class Serial:
    """Computes in the calling process; a thread writes one result while the next is computed."""

    n_workers = 1

    def run(self, tasks: Iterable[Task[Done]], /, *, in_flight: int | None = None) -> Generator[Done, None, None]:
        """See `Executor.run`; results come in the order of the tasks."""
        n_behind = 1 if in_flight is None else min(1, in_flight - 1)
        with ThreadPoolExecutor(1, thread_name_prefix="mmf-disk") as disk:
            writing: deque[Future[Done]] = deque()
            for task in tasks:
                try:
                    staged = task.compute()
                except BaseException:  # Ctrl-C too: what was computed before shall count
                    while writing:
                        yield writing.popleft().result()
                    raise
                writing.append(disk.submit(staged.store))
                while len(writing) > n_behind:
                    yield writing.popleft().result()
            while writing:
                yield writing.popleft().result()


class Processes:
    """Computes in processes of its own, which stay warm until `close`; use it as a context manager.

    Parameters
    ----------
    n_workers : int
        Count of processes.
    prepare : callable, optional
        Called once in each process before any task, such as to load a file of user features. It must be picklable.

    Raises
    ------
    CallError
        `n_workers` is less than one.
    """

    def __init__(self, n_workers: int, /, *, prepare: Callable[[], object] | None = None) -> None:
        if n_workers < 1:
            raise CallError(f"work needs at least one worker process, got {n_workers}.")
        self.n_workers = n_workers
        self._pool = ProcessPoolExecutor(
            n_workers,
            mp_context=multiprocessing.get_context("spawn"),  # a fork would copy the locks of other libraries' threads
            initializer=_begin,
            initargs=(prepare,),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the processes; tasks at work finish first."""
        self._pool.shutdown(cancel_futures=True)

    def run(self, tasks: Iterable[Task[Done]], /, *, in_flight: int | None = None) -> Generator[Done, None, None]:
        """See `Executor.run`; results come as they finish.

        Raises
        ------
        DataError
            A process died, such as from lack of memory.
        """
        # one task more than there are processes, so that none of them waits for this one
        limit = self.n_workers + 1 if in_flight is None else in_flight
        running: set[Future[Done]] = set()
        try:
            for task in tasks:
                running.add(self._pool.submit(_work, task))
                if len(running) >= limit:
                    yield from _finished(running)
            while running:
                yield from _finished(running)
        except BrokenProcessPool as error:
            raise DataError(
                "a worker process was killed, most likely for lack of memory. What was finished stays: do the same "
                "again with fewer workers (or, for a build, a lower --max-memory)."
            ) from error
        finally:
            for future in running:
                future.cancel()
            wait(running)


# ------------------------------------------------------------------------------------


def _finished(running: set[Future[Done]]) -> Iterator[Done]:
    """Wait for the next results; where one is an error, first yield those of all tasks at work."""
    done, _ = wait(running, return_when=FIRST_COMPLETED)
    if any(future.exception() for future in done):
        done, _ = wait(running)
    running -= done
    for future in sorted(done, key=lambda future: future.exception() is not None):
        yield future.result()


def _work(task: Task[Done]) -> Done:
    return task.compute().store()


def _begin(prepare: Callable[[], object] | None) -> None:
    """Leave Ctrl-C to the parent, which lets this process finish its task, and end with the parent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    Thread(target=_end_with_parent, name="mmf-parent", daemon=True).start()
    if prepare is not None:
        prepare()


def _end_with_parent() -> None:
    if (parent := multiprocessing.parent_process()) is not None:
        wait_for_exit([parent.sentinel])
        os._exit(1)
