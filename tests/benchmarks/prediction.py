"""What a saved run takes to predict one new bar: read its rows, refine them, ask experts and gate."""

import sys
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from mmf.features.registry import feature_set
from mmf.markets.simulated import MarketConfig, SimulatedMarket
from mmf.pipeline.build import build_features
from mmf.pipeline.config import TrainConfig
from mmf.pipeline.ingest import ingest
from mmf.pipeline.predict import LoadedRun, predict
from mmf.pipeline.run import run
from mmf.pipeline.state import resolve_state
from tests.pipeline.sources import SERIES, ListSource
from warehouse import Warehouse

N_BARS = 23_000  # two years of hours, and what their features remember
N_NEW_BARS = 20


@dataclass(frozen=True)
class PredictionCost:
    """Milliseconds: of one prediction on the clock and of the processor, its slowest, and with the bar's features."""

    wall_ms: float
    cpu_ms: float
    slowest_ms: float
    with_features_ms: float
    load_ms: float
    n_columns: int


def measure_prediction(*, n_bars: int = N_BARS, n_new: int = N_NEW_BARS) -> PredictionCost:
    """Train on a simulated market, then let bars arrive one by one: build their features, and predict each."""
    bars = SimulatedMarket(MarketConfig(n_bars=n_bars)).bars(SERIES.symbol)
    core = feature_set("core")
    with TemporaryDirectory() as folder, Warehouse.open(Path(folder) / "w", create=True) as warehouse:
        ingest(warehouse, ListSource((bars[:-n_new],)), SERIES)
        build_features(warehouse, SERIES, core)
        state = resolve_state(warehouse, SERIES, "core")
        _, saved = run(warehouse, state, TrainConfig(), artifacts=Path(folder) / "artifacts")
        began = time.perf_counter()
        loaded = LoadedRun.load(saved.folder)
        load_s = time.perf_counter() - began
        walls, cpus, wholes = [], [], []
        for place in range(bars.height - n_new, bars.height):
            began = time.perf_counter()
            ingest(warehouse, ListSource((bars[place : place + 1],)), SERIES)
            build_features(warehouse, SERIES, core)
            with warehouse.pin() as snapshot:
                began_alone, began_cpu = time.perf_counter(), time.process_time()
                predict(snapshot, loaded)
                walls.append(time.perf_counter() - began_alone)
                cpus.append(time.process_time() - began_cpu)
            wholes.append(time.perf_counter() - began)
    # the first one warms caches
    return PredictionCost(
        wall_ms=median(walls[1:]) * 1e3,
        cpu_ms=median(cpus[1:]) * 1e3,
        slowest_ms=max(walls[1:]) * 1e3,
        with_features_ms=median(wholes[1:]) * 1e3,
        load_ms=load_s * 1e3,
        n_columns=len(loaded.columns),
    )


def told(cost: PredictionCost) -> str:
    """The line that `just bench` prints."""
    return (
        f"one new bar from a loaded run of {cost.n_columns} columns: {cost.wall_ms:.0f} ms (CPU {cost.cpu_ms:.0f} ms, "
        f"slowest {cost.slowest_ms:.0f} ms); with bar and features stored {cost.with_features_ms:.0f} ms; "
        f"loading the run {cost.load_ms:.0f} ms"
    )


if __name__ == "__main__":
    sys.stdout.write(told(measure_prediction()) + "\n")
