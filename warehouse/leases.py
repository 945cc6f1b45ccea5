"""Leases on snapshots: a reader's request to gc, renewed by a heartbeat.

They need not outlive a power cut, which ends their readers too.
"""

import logging
import os
import socket
from collections.abc import Callable
from threading import Event, Lock, Thread

from warehouse.database import Database
from warehouse.errors import BusyError, LeaseLostError

LEASE_S = 60.0

_log = logging.getLogger(__name__)


class Leases:
    """The leases of one open warehouse, all renewed by one thread.

    A lease that was not renewed for `LEASE_S` seconds counts for nothing: its process died, or slept.

    Parameters
    ----------
    database : Database
        The catalog.
    now_ms : callable
        Clock, UTC in ms.
    """

    def __init__(self, database: Database, /, *, now_ms: Callable[[], int]) -> None:
        self._database = database
        self._now_ms = now_ms
        self._held: set[int] = set()
        self._lost: set[int] = set()
        self._guard = Lock()
        self._stop = Event()
        self._thread: Thread | None = None

    def acquire(self, snapshot_id: int, /) -> int:
        """Insert a lease within the caller's transaction, which found the snapshot."""
        now_ms = self._now_ms()
        self._database.run(
            """
            insert into leases (snapshot_id, holder, acquired_at_ms, expires_at_ms)
            values ($snapshot_id, $holder, $now_ms, $expires_ms)
            """,
            snapshot_id=snapshot_id,
            holder=f"{socket.gethostname()}:{os.getpid()}",
            now_ms=now_ms,
            expires_ms=now_ms + int(LEASE_S * 1000),
        )
        lease_id = self._database.value("select last_insert_rowid()")
        with self._guard:
            self._held.add(lease_id)
            if self._thread is None:
                self._thread = Thread(target=self._keep_beating, name="warehouse-leases", daemon=True)
                self._thread.start()
        return lease_id

    def release(self, lease_id: int, /) -> None:
        """Give a lease back; one that `close` gave back already is no matter."""
        with self._guard:
            if lease_id not in self._held:
                return
            self._held.discard(lease_id)
            self._lost.discard(lease_id)
        with self._database.transaction(is_durable=False):
            self._database.run("delete from leases where lease_id = $lease_id", lease_id=lease_id)

    def require(self, lease_id: int, /) -> None:
        """Raise LeaseLostError where the lease expired and gc took it away."""
        if lease_id in self._lost:
            raise LeaseLostError(
                f"the lease on this snapshot missed its heartbeats for {LEASE_S:.0f} s and gc took it away; its files "
                "may be gone. Pin a snapshot again."
            )

    def beat(self) -> None:
        """Renew every lease held; one that gc took away counts as lost."""
        with self._guard:
            held = sorted(self._held)
        if not held:
            return
        expires_ms = self._now_ms() + int(LEASE_S * 1000)
        with self._database.transaction(is_durable=False):
            for lease_id in held:
                n_renewed = self._database.run(
                    "update leases set expires_at_ms = $expires_ms where lease_id = $lease_id",
                    expires_ms=expires_ms,
                    lease_id=lease_id,
                )
                if n_renewed == 0:
                    self._lost.add(lease_id)

    def close(self) -> None:
        """Give back all leases and end the thread."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
        for lease_id in sorted(self._held):
            self.release(lease_id)

    def _keep_beating(self) -> None:
        while not self._stop.wait(LEASE_S / 4):
            try:
                self.beat()
            except BusyError as error:
                _log.warning("heartbeat missed, trying again: %s", error)
