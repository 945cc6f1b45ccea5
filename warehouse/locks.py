"""Locks of the operating system between writers; the kernel releases them when a process dies."""

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from warehouse.errors import BusyError

POLL_S = 0.05


@contextmanager
def file_lock(path: Path, /, *, what: str, wait_s: float) -> Iterator[None]:
    """Hold the exclusive lock of a file; its text is the holder's process id.

    Raises
    ------
    BusyError
        Another holder kept it for `wait_s` seconds; the message names its process.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        deadline = time.monotonic() + wait_s
        while not _try_lock(descriptor):
            if time.monotonic() >= deadline:
                raise BusyError(
                    f"{what} is being written by process {_holder(path)}; waited {wait_s:g} s. "
                    "Let it finish, or end it, and try again."
                )
            time.sleep(POLL_S)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)  # its mtime tells since when the lock is held
        yield
    finally:
        os.close(descriptor)


@contextmanager
def shared_lock(path: Path, /) -> Iterator[Callable[[], bool]]:
    """Hold the lock of a file together with others.

    Yields
    ------
    callable() -> bool
        Tells whether nobody else holds it, and if so takes it for this holder alone: others wait to the end. Otherwise
        the share is given up.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        yield lambda: _try_lock(descriptor)
    finally:
        os.close(descriptor)


def held_since_ms(folder: Path, /) -> int | None:
    """Time at which the longest held lock of a folder was taken, None where none is held."""
    held = [path.stat().st_mtime_ns // 1_000_000 for path in folder.glob("*.lock") if _is_held(path)]
    return min(held, default=None)


# ------------------------------------------------------------------------------------


def _try_lock(descriptor: int, kind: int = fcntl.LOCK_EX) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_held(path: Path) -> bool:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        return not _try_lock(descriptor, fcntl.LOCK_SH)
    finally:
        os.close(descriptor)


def _holder(path: Path) -> str:
    return path.read_text() or "unknown"
