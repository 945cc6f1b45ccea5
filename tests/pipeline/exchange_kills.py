"""Kill a download at random instants; what is stored is always true, and a rerun fetches the rest."""

import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from mmf.bars import BAR_SCHEMA
from mmf.pipeline.tables import stored_bars
from tests.exchange.server import LoopbackExchange, Market
from tests.exchange.truth import walk_bars
from tests.pipeline.exchange_worker import SERIES, fetch
from warehouse import SeriesKey, Warehouse

N_BARS = 250_000
OUTAGE_BARS = 80
N_SERVED = N_BARS - OUTAGE_BARS
KILLS_A_DOWNLOAD = 4
LATENCY_S = 0.02
LIFE_S = (0.4, 2.4)


@dataclass(frozen=True)
class Killed:
    """One kill: after how long, and how many bars were stored then."""

    after_s: float
    n_bars: int


def kill_downloads(folder: Path, n_kills: int, *, seed: int) -> Iterator[Killed]:
    """Kill downloads, a fresh one after every few kills; each is at last let finish and compared with the truth."""
    clock = random.Random(seed)
    bars = walk_bars(N_BARS, interval="1", seed=seed)
    bars = pl.concat([bars[:40_000], bars[40_000 + OUTAGE_BARS :]])  # an outage, as every exchange has had
    with LoopbackExchange([Market(SERIES, bars)], latency_s=LATENCY_S) as exchange:
        truth = exchange.served(SERIES).select(*BAR_SCHEMA)
        for round_ in range(-(-n_kills // KILLS_A_DOWNLOAD)):
            root = folder / f"download-{round_}"
            for _ in range(min(KILLS_A_DOWNLOAD, n_kills - round_ * KILLS_A_DOWNLOAD)):
                after_s = clock.uniform(*LIFE_S)
                _start_and_kill(root, exchange.url, after_s)
                yield Killed(after_s, _check_prefix(root, truth))
            fetch(root, exchange.url)
            assert _stored(root).equals(truth)


# ------------------------------------------------------------------------------------


def _start_and_kill(root: Path, url: str, after_s: float) -> None:
    command = [sys.executable, "-m", "tests.pipeline.exchange_worker", str(root), url]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as worker:
        assert worker.stdout is not None
        assert worker.stdout.readline() == "started\n"
        try:
            worker.wait(after_s)
        except subprocess.TimeoutExpired:
            worker.send_signal(signal.SIGKILL)


def _check_prefix(root: Path, truth: pl.DataFrame) -> int:
    """Bars come oldest first, so what is stored is always the beginning of the truth, closed bars only."""
    bars = _stored(root)
    assert bars.equals(truth[: bars.height])
    return bars.height


def _stored(root: Path) -> pl.DataFrame:
    if not (root / "catalog.sqlite").exists():
        return pl.DataFrame(schema=BAR_SCHEMA)
    with Warehouse.open(root) as warehouse, warehouse.pin() as snapshot:
        if not snapshot.files("bars", SeriesKey(*SERIES.key)):
            return pl.DataFrame(schema=BAR_SCHEMA)
        return stored_bars(snapshot, SERIES).select(*BAR_SCHEMA)
