"""What the processes of the concurrency tests do."""

from multiprocessing.connection import Connection
from pathlib import Path

from tests.warehouse.frames import KEY, OTHER, bars, closes, publish_bars
from warehouse import Warehouse


def count_up(root: Path, times: int) -> None:
    """Read the price under the lock of the series, add one, commit."""
    with Warehouse.open(root) as warehouse:
        for _ in range(times):
            with warehouse.writing("bars", KEY):
                with warehouse.pin() as snapshot:
                    price = closes(snapshot)[0]
                publish_bars(warehouse, 0, 1, price=price + 1)


def grow(root: Path, first: int, times: int, step: int) -> None:
    """Add files of one bar to a series without a lock; every bar number is this process's own."""
    with Warehouse.open(root) as warehouse:
        for number in range(first, first + times * step, step):
            commit = warehouse.begin()
            commit.write("bars", OTHER, bars([number]), start=number, stop=number + 1)
            commit.publish()


def read_on(root: Path, pipe: Connection) -> None:
    """Read pinned snapshots until told to end; answer how many, all whole and none older than the one before."""
    n_reads, last = 0, 0
    with Warehouse.open(root) as warehouse:
        while not pipe.poll():
            with warehouse.pin() as snapshot:
                prices = closes(snapshot)
                assert len(set(prices)) == 1
                assert prices[0] >= last
                last = prices[0]
            n_reads += 1
    pipe.send((n_reads, last))


def hold_lock(root: Path, pipe: Connection) -> None:
    """Hold the lock of a series until told to end."""
    with Warehouse.open(root) as warehouse, warehouse.writing("bars", KEY):
        pipe.send("held")
        pipe.recv()


def hold_pin(root: Path, pipe: Connection) -> None:
    """Pin the latest snapshot, and read it when told to."""
    with Warehouse.open(root) as warehouse, warehouse.pin() as snapshot:
        pipe.send(snapshot.id)
        pipe.recv()
        pipe.send(closes(snapshot))
