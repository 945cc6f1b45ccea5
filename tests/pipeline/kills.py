"""Kill the worker at random instants and look at what it left."""

import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from mmf.bars import BAR_SCHEMA
from mmf.features.build import content_hashes
from mmf.features.registry import feature_set
from mmf.pipeline.build import build_features
from mmf.pipeline.ingest import ingest
from mmf.pipeline.tables import stored_bars
from tests.pipeline.kill_worker import N_BARS, STEP, history, work
from tests.pipeline.sources import SERIES, ListSource
from warehouse import SeriesKey, Snapshot, Warehouse

KEY = SeriesKey(*SERIES.key)
CORE = feature_set("core")
LONGEST_LIFE_S = 1.2


@dataclass(frozen=True)
class Kill:
    """One kill: after how long, and what the last snapshot then held."""

    after_s: float
    snapshot: int
    n_bars: int
    n_feature_rows: int


def kill_repeatedly(folder: Path, n_kills: int, *, seed: int) -> Iterator[Kill]:
    """Start the worker, kill it after a random while, check the warehouse; again and again, in one folder."""
    clock = random.Random(seed)
    for _ in range(n_kills):
        after_s = clock.uniform(0, LONGEST_LIFE_S)
        with subprocess.Popen(
            [sys.executable, "-m", "tests.pipeline.kill_worker", str(folder)], stdout=subprocess.PIPE, text=True
        ) as worker:
            assert worker.stdout is not None
            assert worker.stdout.readline() == "started\n"
            try:
                worker.wait(after_s)
            except subprocess.TimeoutExpired:
                worker.send_signal(signal.SIGKILL)
        yield check(folder, after_s)


def check(folder: Path, after_s: float = 0.0) -> Kill:
    """Assert that the last snapshot reads back whole and holds a true prefix of the history."""
    if not (folder / "catalog.sqlite").exists():
        return Kill(after_s, 0, 0, 0)
    with Warehouse.open(folder) as warehouse, warehouse.pin() as snapshot:
        for table, version in (("bars", ""), ("features", "core@v1")):
            for file in snapshot.files(table, KEY, version=version):
                assert sha256((folder / file.path).read_bytes()).hexdigest() == file.sha256
        n_bars = _check_bars(snapshot)
        return Kill(after_s, snapshot.id, n_bars, _check_features(snapshot, n_bars))


def finish_and_compare(folder: Path, fresh: Path) -> None:
    """Let the worker finish; everything equals what an undisturbed build of the whole history holds."""
    work(folder)
    with Warehouse.open(fresh, create=True) as warehouse:
        ingest(warehouse, ListSource((history(),)), SERIES)
        build_features(warehouse, SERIES, CORE)
    assert _contents(folder) == _contents(fresh)


# ------------------------------------------------------------------------------------


def _check_bars(snapshot: Snapshot) -> int:
    if not snapshot.files("bars", KEY):
        return 0
    bars = stored_bars(snapshot, SERIES).select(*BAR_SCHEMA)
    assert bars.height % STEP == 0  # a commit holds a whole batch or nothing of it
    assert bars.equals(history()[: bars.height])
    return bars.height


def _check_features(snapshot: Snapshot, n_bars: int) -> int:
    if not snapshot.files("features", KEY, version="core@v1"):
        return 0
    times = snapshot.scan("features", KEY, version="core@v1").select("open_time").collect()["open_time"]
    assert times.equals(history()["open_time"][: len(times)])
    assert n_bars - len(times) in {0, STEP}
    return len(times)


def _contents(folder: Path) -> dict[str, str]:
    with Warehouse.open(folder) as warehouse, warehouse.pin() as snapshot:
        bars = stored_bars(snapshot, SERIES).select(*BAR_SCHEMA)
        features = snapshot.scan("features", KEY, version="core@v1").select("open_time", *CORE.columns).collect()
    assert bars.height == N_BARS
    return content_hashes(bars) | {f"feature {k}": v for k, v in content_hashes(features).items()}
