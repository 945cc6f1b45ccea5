"""A writer that dies by SIGKILL in the midst of its commits, and the check of what it leaves.

`study` runs any number of deaths; the suite runs a dozen.
"""

import multiprocessing
import os
import random
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Literal, NamedTuple

from tests.warehouse.frames import KEY, bars, paths, stored_files
from warehouse import Warehouse
from warehouse.files import FileSystem, local_file_system
from warehouse.leases import LEASE_S

N_PIECES = 4
PIECE = 64
SPAWN = multiprocessing.get_context("forkserver")
SPAWN.set_forkserver_preload(["tests.warehouse.kill_worker", "pytest"])  # imported once, not by each writer


Death = Literal["disk", "catalog", "any time"]
DEATHS: tuple[Death, ...] = ("disk", "catalog", "any time")
STEPS = {"disk": 60, "catalog": 400, "any time": 1}  # about eight commits of either


class Deaths(NamedTuple):
    """What a study saw: deaths by SIGKILL, snapshots that outlived them, and strays that gc removed."""

    n_deaths: int
    n_snapshots: int
    n_strays: int


def price_of(snapshot_id: int, piece: int) -> float | None:
    """What a piece must hold in a snapshot: S1 wrote piece 1, S2 piece 2, and so on in turn."""
    writer = snapshot_id - (snapshot_id - piece) % N_PIECES
    return float(writer) if writer > 0 else None


def work(root: Path, dies_at: Death, step: int) -> None:
    """Commit for ever; die before an operation of the disk or a statement of the catalog, or wait for the end."""
    countdown = _dies_after(step)
    file_system = _watched(countdown) if dies_at == "disk" else local_file_system()
    with Warehouse.open(root, create=True, file_system=file_system) as warehouse:
        if dies_at == "catalog":
            warehouse.database.on_statement(lambda _: countdown())
        while True:
            _commit_next(warehouse)


def study(root: Path, n_deaths: int, seed: int) -> Deaths:
    """Kill so many writers on one warehouse, one after the other, and check after each.

    They die in turn before an operation of the disk, before a statement of the catalog, and at any time, each drawn
    by the seed.
    """
    draw, n_strays, last = random.Random(seed), 0, 0
    for number in range(n_deaths):
        dies_at = DEATHS[number % len(DEATHS)]
        writer = SPAWN.Process(target=work, args=(root, dies_at, draw.randint(1, STEPS[dies_at])))
        writer.start()
        if dies_at == "any time":
            _wait_for_a_commit(writer, root)
            writer.join(timeout=draw.uniform(0, 0.05))
            writer.kill()
        writer.join()
        assert writer.exitcode == -signal.SIGKILL
        found, strays = check(root, at_least=last)
        last, n_strays = found, n_strays + strays
    return Deaths(n_deaths, last, n_strays)


def check(root: Path, at_least: int) -> tuple[int, int]:
    """Return the latest snapshot and the strays removed, having read all of it."""
    with Warehouse.open(root, create=True) as warehouse, warehouse.pin() as snapshot:
        assert snapshot.id >= at_least
        for file in snapshot.files("bars", KEY):
            data = (root / file.path).read_bytes()
            assert (len(data), sha256(data).hexdigest()) == (file.n_bytes, file.sha256)
        expected = [price_of(snapshot.id, piece) for piece in range(N_PIECES)]
        stored = {file.start // PIECE: file for file in snapshot.files("bars", KEY)}
        assert sorted(stored) == [piece for piece, price in enumerate(expected) if price is not None]
        for piece, file in stored.items():
            frame = snapshot.scan("bars", KEY, start=file.start, stop=file.stop).collect()
            assert frame.equals(_frame(piece, expected[piece] or 0.0))
    with Warehouse.open(root, now_ms=_after_the_leases) as warehouse:
        warehouse.expire(0)
        report = warehouse.collect(grace_s=0)
        with warehouse.pin() as snapshot:
            assert stored_files(root) == paths(snapshot.files("bars"))
        return snapshot.id, report.n_strays


# ------------------------------------------------------------------------------------


def _frame(piece: int, price: float):
    return bars(range(piece * PIECE, (piece + 1) * PIECE), price)


def _after_the_leases() -> int:
    """A clock that runs ahead: the leases of the dead have expired, and their files are old."""
    return time.time_ns() // 1_000_000 + 2 * int(LEASE_S * 1000)


def _commit_next(warehouse: Warehouse) -> None:
    with warehouse.writing("bars", KEY):
        commit = warehouse.begin("next")
        with warehouse.pin() as snapshot:
            number = snapshot.id + 1
            piece = number % N_PIECES
            start, stop = piece * PIECE, (piece + 1) * PIECE
            for file in snapshot.files("bars", KEY, start=start, stop=stop):
                commit.remove(file)
        file = commit.write("bars", KEY, _frame(piece, float(number)), start=start, stop=stop)
        warehouse.finish_chunk(f"piece {piece}", [file], hashes={})
        commit.publish()
        if number % 3 == 0:
            warehouse.expire(0)
            warehouse.collect(grace_s=0)


def _dies_after(step: int) -> Callable[[], None]:
    left = step

    def countdown() -> None:
        nonlocal left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    return countdown


def _watched(countdown: Callable[[], None]) -> FileSystem:
    """The local disk in small writes, so that a file can be cut at several places."""
    disk = local_file_system()

    def write(descriptor: int, data: memoryview) -> int:
        countdown()
        return disk.write(descriptor, data[:2000])

    def fsync(descriptor: int) -> None:
        countdown()
        disk.fsync(descriptor)

    def rename(source: Path, target: Path) -> None:
        countdown()
        disk.rename(source, target)

    def fsync_folder(path: Path) -> None:
        countdown()
        disk.fsync_folder(path)

    return replace(disk, write=write, fsync=fsync, rename=rename, fsync_folder=fsync_folder)


def _wait_for_a_commit(writer: multiprocessing.process.BaseProcess, root: Path) -> None:
    """Wait until the writer is at work: a kill during its start would test nothing."""
    before = len(stored_files(root))
    while len(stored_files(root)) == before:
        writer.join(timeout=0.002)
