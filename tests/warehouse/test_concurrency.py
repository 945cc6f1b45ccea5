import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from threading import Thread

import pytest

from tests.warehouse import concurrent_work
from tests.warehouse.frames import KEY, OTHER, closes, publish_bars, stored_files
from tests.warehouse.kill_worker import SPAWN
from warehouse import Warehouse
from warehouse.errors import BusyError


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A warehouse with one bar at price 0."""
    with Warehouse.open(tmp_path / "data", create=True) as warehouse:
        publish_bars(warehouse, 0, 1, price=0.0)
    return tmp_path / "data"


@contextmanager
def _process(work: Callable[[Path, Connection], None], root: Path) -> Iterator[Connection]:
    here, there = SPAWN.Pipe()
    process = SPAWN.Process(target=work, args=(root, there))
    process.start()
    there.close()
    try:
        yield here
    finally:
        here.close()
        process.kill()
        process.join()


def _run_all(*works: tuple[Callable[..., None], tuple[object, ...]]) -> None:
    processes = [SPAWN.Process(target=work, args=arguments) for work, arguments in works]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
        assert process.exitcode == 0


def test_two_writers_of_one_series_take_turns_and_nothing_is_lost(root: Path) -> None:
    _run_all(*[(concurrent_work.count_up, (root, 8))] * 2)
    with Warehouse.open(root) as warehouse, warehouse.pin() as snapshot:
        assert (snapshot.id, closes(snapshot)) == (17, [16.0])


def test_writers_of_other_bars_do_not_lose_each_others_commits(root: Path) -> None:
    _run_all(*[(concurrent_work.grow, (root, first, 8, 2)) for first in (0, 1)])
    with Warehouse.open(root) as warehouse, warehouse.pin() as snapshot:
        assert snapshot.id == 17
        assert [file.start for file in snapshot.files("bars", OTHER)] == list(range(16))


def test_readers_go_on_while_a_writer_commits_and_gc_runs(root: Path) -> None:
    with _process(concurrent_work.read_on, root) as reader, Warehouse.open(root) as warehouse:
        price = 0.0
        while price < 30 or not warehouse.database.value("select count(*) from leases"):
            price += 1
            publish_bars(warehouse, 0, 1, price=price)
            warehouse.expire(0)
            warehouse.collect(grace_s=0)
        reader.send("end")
        n_reads, last = reader.recv()
        assert n_reads > 0
        assert 0 <= last <= price


def test_gc_leaves_the_files_of_another_process_alone(root: Path) -> None:
    with _process(concurrent_work.hold_pin, root) as reader, Warehouse.open(root) as warehouse:
        assert reader.recv() == 1
        publish_bars(warehouse, 0, 1, price=1.0)
        publish_bars(warehouse, 0, 1, price=2.0)
        warehouse.expire(0)
        warehouse.collect(grace_s=0)
        reader.send("read")
        assert reader.recv() == [0.0]
        assert len(stored_files(root)) == 2


def test_a_second_writer_names_the_process_that_it_waited_for(root: Path) -> None:
    with _process(concurrent_work.hold_lock, root) as holder, Warehouse.open(root) as warehouse:
        assert holder.recv() == "held"
        pid = (root / "locks" / "bars--bybit--linear--BTCUSDT--60.lock").read_text()
        assert int(pid) != os.getpid()
        with (
            pytest.raises(BusyError, match=f"table bars bybit .* is being written by process {pid}; waited 0 s"),
            warehouse.writing("bars", KEY, wait_s=0),
        ):
            pass
        with warehouse.writing("bars", OTHER, wait_s=0), warehouse.writing("features", KEY, wait_s=0):
            pass


def test_the_kernel_releases_the_lock_of_a_killed_writer(root: Path) -> None:
    with _process(concurrent_work.hold_lock, root) as holder:
        assert holder.recv() == "held"
    with Warehouse.open(root) as warehouse, warehouse.writing("bars", KEY, wait_s=0):
        pass


def test_threads_may_share_a_warehouse(root: Path) -> None:
    with Warehouse.open(root) as warehouse:
        failures: list[BaseException] = []

        def work() -> None:
            try:
                for _ in range(5):
                    with warehouse.writing("bars", KEY):
                        with warehouse.pin() as snapshot:
                            price = closes(snapshot)[0]
                        publish_bars(warehouse, 0, 1, price=price + 1)
            except BaseException as error:  # noqa: BLE001 - shown by the assert below
                failures.append(error)

        threads = [Thread(target=work) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert failures == []
        with warehouse.pin() as snapshot:
            assert closes(snapshot) == [15.0]
