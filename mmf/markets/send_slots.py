"""The instant from which the next request to a host may be sent, shared by threads and by processes of a user."""

import fcntl
import os
import re
import struct
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Self

FOLDER_VARIABLE = "MMF_PACING_DIR"

_FORMAT = struct.Struct("<d")
_FARTHEST_S = 120.0  # nobody is held for so long: a later instant was written before the machine was started anew


class SendSlot:
    """Exclusive hold of the next instant, as a context manager; `next_s` is valid, and may be set, within it.

    Parameters
    ----------
    path : Path, optional
        File that holds the instant for all processes; without it, or where it cannot be opened, this process is alone.

    Attributes
    ----------
    next_s : float
        Seconds of the monotonic clock, which is the same for all processes of a machine.

    Notes
    -----
    The kernel gives the lock of a killed process back, and no process holds an instant ahead of its turn: nothing is
    left behind. One hold costs three microseconds. Processes of different users, or machines behind one address, do
    not see each other; nor does a process that was forked off with the slot open.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.next_s = float("-inf")
        self._threads = threading.Lock()
        self._descriptor = None if path is None else _opened(path)
        if self._descriptor is not None:
            with self:
                if self.next_s > time.monotonic() + _FARTHEST_S:
                    self.next_s = float("-inf")

    def __enter__(self) -> Self:
        self._threads.acquire()
        if self._descriptor is not None:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX)
            content = os.pread(self._descriptor, _FORMAT.size, 0)
            self.next_s = _FORMAT.unpack(content)[0] if len(content) == _FORMAT.size else float("-inf")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._descriptor is not None:
            os.pwrite(self._descriptor, _FORMAT.pack(self.next_s), 0)
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)
        self._threads.release()


def slot_path(host: str, limit: int, window_s: float, /) -> Path | None:
    """Return the file that processes of this user share for a host and a limit of it.

    It lies in `$MMF_PACING_DIR`, else in `mmf/pacing` of the user's cache; None for a user without a home.
    """
    name = f"{re.sub(r'[^A-Za-z0-9.]+', '-', host)}-{limit}-in-{window_s:g}s"
    if folder := os.environ.get(FOLDER_VARIABLE):
        return Path(folder) / name
    cache = _user_cache()
    return None if cache is None else cache / "mmf" / "pacing" / name


# ------------------------------------------------------------------------------------


def _user_cache() -> Path | None:
    if folder := os.environ.get("XDG_CACHE_HOME"):
        return Path(folder)
    try:
        return Path.home() / ".cache"
    except RuntimeError:  # neither HOME nor an entry for the uid, as in many a container
        return None


def _opened(path: Path) -> int | None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError:  # a home that is read-only, or none at all
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:  # another process has it for a moment: so it can be locked
        return descriptor
    except OSError:  # a file system without locks
        os.close(descriptor)
        return None
    fcntl.flock(descriptor, fcntl.LOCK_UN)
    return descriptor
