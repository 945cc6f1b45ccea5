"""Builds of the 195 columns of `core`, each measured in a fresh process; prints one JSON line.

python -m tests.benchmarks.builds whole|workers|one_bar|reading FILE FOLDER N_BARS
"""

import json
import multiprocessing
import resource
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import polars as pl

from mmf.bars import Series
from mmf.features.lags import LAGS
from mmf.features.registry import feature_set
from mmf.pipeline.build import Job, build_features, build_many
from mmf.pipeline.executors import Processes
from mmf.pipeline.ingest import ingest
from mmf.pipeline.plan import plan_build
from mmf.pipeline.scan import read_features
from tests.pipeline.sources import ListSource
from warehouse import Warehouse
from warehouse.query import connect

CORE = feature_set("core")
SERIES = Series("binance", "spot", "BTCUSDT", "1")
WARM = Series("binance", "spot", "WARM", "1")
WARM_BARS = 400
N_NEW_BARS = 60
N_RUNS = 5

Figures = dict[str, float]


@dataclass(frozen=True)
class Bars:
    """The last `n` bars of a file."""

    file: Path
    n: int

    def read(self) -> pl.DataFrame:
        """Read the file and keep its end."""
        return pl.read_parquet(self.file)[-self.n :]


def whole(warehouse: Warehouse, bars: Bars) -> Figures:
    """A first build in this process; a child holds and ingests the bars, so that their memory does not count."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as child:
        child.submit(_fill, warehouse.root, bars).result()
    build_features(warehouse, WARM, CORE)
    planned = plan_build(warehouse, [Job(SERIES, CORE)])
    wall, cpu = _timed(lambda: build_features(warehouse, SERIES, CORE))
    return {
        "us_a_bar": wall / bars.n * 1e6,
        "cpu_us_a_bar": cpu / bars.n * 1e6,
        "peak_mib": _peak_mib(),
        "planned_mib": planned.peak_mib,
    }


def workers(warehouse: Warehouse, source: Bars) -> Figures:
    """The same work by one and by two processes, both warm, in turn; the least of two runs each."""
    bars = source.read()
    seconds: dict[int, list[float]] = {1: [], 2: []}
    with Processes(1) as one, Processes(2) as two:
        for n_run in range(3):
            for n, executor in ((1, one), (2, two)):
                jobs = [Job(Series("binance", "spot", f"RUN{n_run}W{n}S{place}", "1"), CORE) for place in range(2)]
                part = bars[:WARM_BARS] if n_run == 0 else bars
                for job in jobs:
                    _ingest(warehouse, job.series, part)
                wall, _ = _timed(lambda jobs=jobs, executor=executor: build_many(warehouse, jobs, executor=executor))
                if n_run:
                    seconds[n].append(wall)
    return {"one_s": min(seconds[1]), "two_s": min(seconds[2]), "gain": min(seconds[1]) / min(seconds[2])}


def one_bar(warehouse: Warehouse, source: Bars) -> Figures:
    """Ingest one new bar and bring the features up to it, again and again."""
    bars = source.read()
    n = bars.height - N_NEW_BARS
    _ingest(warehouse, SERIES, bars[:n])
    build_features(warehouse, SERIES, CORE)
    _add(warehouse, bars[n : n + 1])
    times, cpu_times, sizes = [], [], []
    for place in range(n + 1, bars.height):
        before = warehouse.disk_bytes("bars") + warehouse.disk_bytes("features")
        wall, cpu = _timed(lambda place=place: _add(warehouse, bars[place : place + 1]))
        times.append(wall)
        cpu_times.append(cpu)
        sizes.append(warehouse.disk_bytes("bars") + warehouse.disk_bytes("features") - before)
    return {
        "median_ms": median(times) * 1e3,
        "cpu_ms": median(cpu_times) * 1e3,
        "slowest_ms": max(times) * 1e3,
        "largest_kb": max(sizes) / 1e3,
    }


def reading(warehouse: Warehouse, source: Bars) -> Figures:
    """All logical columns of two years of hours through `read_features`, and three lagged columns through SQL."""
    bars = source.read()
    _ingest(warehouse, SERIES, bars)
    build_features(warehouse, SERIES, CORE)
    short = Series("binance", "spot", "SHORT", "1")
    _ingest(warehouse, short, bars[-17_520:])
    build_features(warehouse, short, CORE)
    frame = read_features(warehouse, short, "core")
    query = "select avg(rsi_14_lag_3), avg(hurst_200_lag_1), avg(macd_lag_13) from features.core_lagged"
    with warehouse.pin() as snapshot, connect(snapshot, lags=LAGS) as connection:
        sql_s = [
            _timed(lambda: connection.sql(query + " where symbol = 'BTCUSDT'").fetchall())[0] for _ in range(N_RUNS)
        ]
    scan_s = [_timed(lambda: read_features(warehouse, short, "core"))[0] for _ in range(N_RUNS)]
    return {"n_columns": frame.width, "scan_s": min(scan_s), "sql_s": min(sql_s)}


# ------------------------------------------------------------------------------------


def _timed(work: Callable[[], object]) -> tuple[float, float]:
    """Seconds on the clock, and of the processor in this process."""
    began, began_cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - began, time.process_time() - began_cpu


def _fill(root: Path, source: Bars) -> None:
    bars = source.read()
    with Warehouse.open(root) as warehouse:
        _ingest(warehouse, SERIES, bars)
        _ingest(warehouse, WARM, bars[:WARM_BARS])


def _ingest(warehouse: Warehouse, series: Series, bars: pl.DataFrame) -> None:
    step = 50_000  # as an exchange sends them
    ingest(warehouse, ListSource(tuple(bars[first : first + step] for first in range(0, bars.height, step))), series)


def _add(warehouse: Warehouse, bar: pl.DataFrame) -> None:
    ingest(warehouse, ListSource((bar,)), SERIES)
    build_features(warehouse, SERIES, CORE)


def _peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


@contextmanager
def _new_warehouse(folder: Path) -> Iterator[Warehouse]:
    with TemporaryDirectory(dir=folder) as root, Warehouse.open(Path(root) / "w", create=True) as warehouse:
        yield warehouse


MEASURES: dict[str, Callable[[Warehouse, Bars], Figures]] = {
    measure.__name__: measure for measure in (whole, workers, one_bar, reading)
}

if __name__ == "__main__":
    name, file, scratch, n_bars = sys.argv[1:]
    with _new_warehouse(Path(scratch)) as opened:
        figures = MEASURES[name](opened, Bars(Path(file), int(n_bars)))
    sys.stdout.write(json.dumps(figures) + "\n")
