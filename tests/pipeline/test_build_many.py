import os
import signal
import threading
from collections.abc import Generator, Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mmf.bars import Series
from mmf.errors import CallError, DataError
from mmf.features.build import content_hashes
from mmf.features.record import Computation
from mmf.features.registry import FeatureSet
from mmf.pipeline.build import Job, Progress, build_many, stale_chunks
from mmf.pipeline.chunk_task import ChunkDone, ChunkTask
from mmf.pipeline.executors import Executor, Processes, Serial
from tests.pipeline.small_builds import CUT, SERIES, SMALL, expected, feature, files, put, stored
from tests.warehouse.frames import full_disk
from warehouse import Warehouse
from warehouse.errors import StorageFullError
from warehouse.files import FileSystem, local_file_system

HISTORY = dict.fromkeys(range(30, 300), 0)  # chunks 0 to 3 closed, 44 bars of chunk 4
OTHER = replace(SERIES, symbol="OTHER")
DAILY = Series("simulated", "linear", "SMALL", "D")


def builds(warehouse: Warehouse, *, executor: Executor | None = None, **options: object) -> list[tuple[int, int]]:
    """Bar numbers of what was computed."""
    return list(build_many(warehouse, [Job(SERIES, SMALL)], executor=executor, cut=CUT, **options)[0].computed)


def failing(close: np.ndarray) -> dict[str, np.ndarray]:
    raise ZeroDivisionError("no such price")


def dying(close: np.ndarray) -> dict[str, np.ndarray]:
    if threading.current_thread() is threading.main_thread() and os.environ.get("MMF_TEST_DIES"):
        os.kill(os.getpid(), signal.SIGKILL)
    return {"dying": close}


def set_of(name: str, function) -> FeatureSet:
    return FeatureSet(name, (feature(name, Computation.kernel(function, "close"), lookback=0),))


def test_a_first_build_writes_closed_chunks_whole_and_the_open_one_in_two(warehouse: Warehouse) -> None:
    put(warehouse, HISTORY)
    assert builds(warehouse) == [(0, 64), (64, 128), (128, 192), (192, 256), (256, 296), (296, 304)]
    assert stored(warehouse).equals(expected(HISTORY))


def test_one_new_bar_computes_one_piece(warehouse: Warehouse) -> None:
    put(warehouse, HISTORY)
    builds(warehouse)
    bars = dict(HISTORY)
    for number in range(300, 330):
        bars[number] = 0
        put(warehouse, bars)
        assert builds(warehouse) == [(number // 8 * 8, number // 8 * 8 + 8)]
    assert stored(warehouse).equals(expected(bars))


class WithoutBars:
    """Fails where a task would read bars."""

    n_workers = 1

    def run(self, tasks: Iterable[ChunkTask], /, *, in_flight: int | None = None) -> Generator[ChunkDone, None, None]:
        assert [task.name for task in tasks] == []
        yield from ()


def test_what_the_catalog_settles_is_not_read(warehouse: Warehouse) -> None:
    put(warehouse, HISTORY)
    builds(warehouse)
    assert builds(warehouse, executor=WithoutBars()) == []


def test_rewritten_files_of_equal_bars_are_read_once_and_nothing_is_computed(warehouse: Warehouse) -> None:
    put(warehouse, dict.fromkeys(range(30, 120), 0))
    put(warehouse, HISTORY)  # chunk 1 closes and stays in pieces
    builds(warehouse)
    put(warehouse, HISTORY, compacts=True)
    assert builds(warehouse) == []
    assert builds(warehouse, executor=WithoutBars()) == []


@pytest.mark.parametrize("n_done", range(1, 6))
def test_an_interrupted_build_keeps_what_was_done(warehouse: Warehouse, n_done: int) -> None:
    put(warehouse, HISTORY)

    def interrupt(progress: Progress) -> None:
        if progress.n_chunks_done == n_done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        builds(warehouse, on_progress=interrupt)
    with warehouse.pin() as snapshot:
        assert len(files(snapshot)) in {0, 6}  # no reader sees half a version
    computed = builds(warehouse)
    assert {start // 64 for start, _ in computed} == set(range(n_done, 5))
    assert stored(warehouse).equals(expected(HISTORY))


def test_an_interrupted_build_gives_back_its_locks_and_pins(warehouse: Warehouse) -> None:
    put(warehouse, HISTORY)
    with pytest.raises(KeyboardInterrupt):
        builds(warehouse, on_progress=lambda _: (_ for _ in ()).throw(KeyboardInterrupt))
    assert warehouse.database.value("select count(*) from leases") == 0
    with warehouse.writing("features", SERIES.key, wait_s=0):
        pass


def test_several_series_intervals_and_sets_in_one_call(warehouse: Warehouse) -> None:
    tiny = FeatureSet("tiny", SMALL.features[:1])
    put(warehouse, HISTORY)
    put(warehouse, dict.fromkeys(range(100), 0), series=OTHER)
    daily = dict.fromkeys(range(70), 0)
    put(warehouse, daily, series=replace(DAILY, interval="60", symbol="DAILY"))
    jobs = [Job(OTHER, SMALL), Job(SERIES, tiny), Job(SERIES, SMALL), Job(replace(SERIES, symbol="DAILY"), tiny)]
    reports = build_many(warehouse, jobs, cut=CUT)
    assert [(r.series.symbol, r.version, r.n_rows) for r in reports] == [
        ("OTHER", "small@v1", 100),
        ("SMALL", "tiny@v1", 270),
        ("SMALL", "small@v1", 270),
        ("DAILY", "tiny@v1", 70),
    ]
    assert stored(warehouse, version="tiny@v1").equals(expected(HISTORY, tiny))
    assert stored(warehouse, series=OTHER).equals(expected(dict.fromkeys(range(100), 0)))


def test_a_finished_table_is_published_though_another_fails(warehouse: Warehouse) -> None:
    put(warehouse, HISTORY)
    put(warehouse, HISTORY, series=OTHER)
    with pytest.raises(DataError, match=r"failing@v1 of simulated:linear:SMALL:60, chunk .*ZeroDivisionError: no such"):
        build_many(warehouse, [Job(OTHER, SMALL), Job(SERIES, set_of("failing", failing))], cut=CUT)
    assert stored(warehouse, series=OTHER).equals(expected(HISTORY))


def test_progress_tells_rows_and_time_left(warehouse: Warehouse) -> None:
    put(warehouse, HISTORY)
    told: list[Progress] = []
    builds(warehouse, on_progress=told.append)
    assert [(p.n_chunks_done, p.n_rows_done) for p in told] == [(0, 0), (1, 34), (2, 98), (3, 162), (4, 226), (5, 270)]
    assert {(p.n_chunks, p.n_rows) for p in told} == {(5, 270)}
    assert told[0].eta_s is None
    assert told[-1].eta_s == 0
    assert replace(told[1], seconds=17.0, n_rows_done=90).eta_s == 34.0


def test_without_anything_due_progress_is_told_once(warehouse: Warehouse) -> None:
    put(warehouse, HISTORY)
    builds(warehouse)
    told: list[Progress] = []
    builds(warehouse, on_progress=told.append)
    assert [(p.n_chunks_done, p.n_chunks) for p in told] == [(0, 0)]


@pytest.fixture(scope="module")
def processes() -> Iterable[Processes]:
    with Processes(2) as opened:
        yield opened


def test_processes_give_what_this_process_gives(warehouse: Warehouse, processes: Processes, tmp_path: Path) -> None:
    put(warehouse, HISTORY)
    computed = builds(warehouse, executor=processes)
    with Warehouse.open(tmp_path / "serial", create=True) as serial:
        put(serial, HISTORY)
        assert builds(serial, executor=Serial()) == computed
        assert content_hashes(stored(serial)) == content_hashes(stored(warehouse))
    assert builds(warehouse, executor=processes) == []


def test_an_error_in_a_process_names_series_and_chunk(warehouse: Warehouse, processes: Processes) -> None:
    put(warehouse, HISTORY)
    with pytest.raises(DataError, match=r"failing@v1 of simulated:linear:SMALL:60, chunk \d \(bars \d+ on\): ZeroDiv"):
        build_many(warehouse, [Job(SERIES, set_of("failing", failing))], executor=processes, cut=CUT)
    assert builds(warehouse, executor=processes)  # the processes are still there


def test_a_killed_process_is_told_and_publishes_nothing(warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch) -> None:
    put(warehouse, HISTORY)
    monkeypatch.setenv("MMF_TEST_DIES", "1")
    with Processes(1) as executor, pytest.raises(DataError, match="a worker process was killed"):
        build_many(warehouse, [Job(SERIES, set_of("dying", dying))], executor=executor, cut=CUT)
    with warehouse.pin() as snapshot:
        assert files(snapshot, version="dying@v1") == []


def test_a_pool_without_processes_is_refused() -> None:
    with pytest.raises(CallError, match="at least one worker process, got 0"):
        Processes(0)


def test_every_file_is_durable_before_it_is_recorded(tmp_path: Path) -> None:
    """Watch the disk and the catalog: no name of a file reaches the catalog before its bytes and its name are safe."""
    disk, open_paths, safe, synced = local_file_system(), {}, set(), set()

    def create(path: Path) -> int:
        descriptor = disk.create(path)
        open_paths[descriptor] = path
        return descriptor

    def fsync(descriptor: int) -> None:
        disk.fsync(descriptor)
        synced.add(open_paths[descriptor])

    def rename(source: Path, target: Path) -> None:
        assert source in synced
        disk.rename(source, target)
        renamed.append(target)

    def fsync_folder(path: Path) -> None:
        disk.fsync_folder(path)
        safe.update(target.name for target in renamed if target.parent == path)

    renamed: list[Path] = []
    watched = FileSystem(create=create, write=disk.write, fsync=fsync, rename=rename, fsync_folder=fsync_folder)
    with Warehouse.open(tmp_path / "w", create=True, file_system=watched) as warehouse:
        put(warehouse, HISTORY)
        named: list[str] = []

        def on_statement(text: str) -> None:
            if "insert into files" in text:
                name = text.partition(".parquet")[0].rpartition("/")[2] + ".parquet"
                assert name in safe, f"{name} was recorded before it was safe"
                named.append(name)

        faults: list[BaseException] = []
        warehouse.database.on_statement(lambda text: _kept(faults, on_statement, text))
        builds(warehouse)
        assert faults == []
        assert len(named) == 6


def _kept(faults: list[BaseException], listener, text: str) -> None:
    """SQLite swallows what a listener raises."""
    try:
        listener(text)
    except AssertionError as error:
        faults.append(error)


def test_a_full_disk_is_told_and_what_was_done_stays(tmp_path: Path) -> None:
    with Warehouse.open(tmp_path / "w", create=True) as warehouse:
        put(warehouse, HISTORY)
    with (
        Warehouse.open(tmp_path / "w", file_system=full_disk(1_000)) as warehouse,
        pytest.raises(StorageFullError, match="disk is full"),
    ):
        builds(warehouse)
    with Warehouse.open(tmp_path / "w") as warehouse:
        assert len(builds(warehouse)) == 6


def test_a_file_that_is_gone_is_computed_again(warehouse: Warehouse) -> None:
    put(warehouse, HISTORY)
    builds(warehouse)
    with warehouse.pin() as snapshot:
        (warehouse.root / files(snapshot)[2].path).unlink()
    assert builds(warehouse) == [(128, 192)]
    assert stored(warehouse).equals(expected(HISTORY))


@pytest.mark.parametrize(("number", "n_stale"), [(40, 2), (130, 1), (299, 1), (255, 2), (24, 2), (300, 1), (330, 1)])
def test_stale_chunks_are_those_that_read_a_changed_bar(warehouse: Warehouse, number: int, n_stale: int) -> None:
    put(warehouse, HISTORY)
    builds(warehouse)
    put(warehouse, HISTORY | {number: 1})
    with warehouse.pin() as snapshot:
        assert stale_chunks(warehouse, snapshot, SERIES, SMALL, "small@v1", start=0, cut=CUT) == n_stale
        assert stale_chunks(warehouse, snapshot, SERIES, SMALL, "small@v1", start=320, cut=CUT) == (number == 330)


def test_an_old_snapshot_is_judged_by_its_own_bars_and_files(warehouse: Warehouse) -> None:
    snapshots = []
    for bars in (dict.fromkeys(range(30, 120), 0), HISTORY, HISTORY | {100: 1}, HISTORY):
        put(warehouse, bars)
        snapshots.append(build_many(warehouse, [Job(SERIES, SMALL)], cut=CUT)[0].snapshot)
    for number in snapshots:
        with warehouse.pin(number) as snapshot:
            assert stale_chunks(warehouse, snapshot, SERIES, SMALL, "small@v1", start=0, cut=CUT) == 0


def test_without_features_every_chunk_is_stale(warehouse: Warehouse) -> None:
    put(warehouse, HISTORY)
    with warehouse.pin() as snapshot:
        assert stale_chunks(warehouse, snapshot, SERIES, SMALL, "small@v1", start=0, cut=CUT) == 5


def test_bars_cut_otherwise_are_refused(warehouse: Warehouse) -> None:
    put(warehouse, HISTORY)
    odd = replace(CUT, layout=replace(CUT.layout, chunk=40))
    with pytest.raises(DataError, match="span two chunks of 40"):
        build_many(warehouse, [Job(SERIES, SMALL)], cut=odd)


def test_a_build_keeps_to_the_memory_limit_or_refuses(warehouse: Warehouse) -> None:
    put(warehouse, HISTORY)
    with pytest.raises(CallError, match=r"takes about \d+ MiB, and the limit is 10 MiB"):
        builds(warehouse, max_memory_mib=10)
    assert len(builds(warehouse, max_memory_mib=4_000)) == 6
