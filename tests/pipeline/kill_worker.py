"""Ingest and build a fixed history step by step; made to be killed at any instant and started again.

python -m tests.pipeline.kill_worker FOLDER
"""

import sys
from pathlib import Path

import polars as pl

from mmf.features.build import compute_chunk
from mmf.features.registry import feature_set
from mmf.pipeline.build import build_features
from mmf.pipeline.ingest import ingest
from tests.pipeline.sources import SERIES, ListSource, walk
from warehouse import Warehouse

FIRST_BAR = 16_000  # the history crosses a chunk's end, so compaction runs too
N_BARS = 1_200
STEP = 60


def history() -> pl.DataFrame:
    return walk(FIRST_BAR, N_BARS)


def work(folder: Path) -> None:
    """Bring in `STEP` bars at a time and build features after each; say when done."""
    with Warehouse.open(folder, create=True) as warehouse:
        for stop in range(STEP, N_BARS + 1, STEP):
            ingest(warehouse, ListSource((history()[:stop],)), SERIES)
            build_features(warehouse, SERIES, feature_set("core"))


def load_kernels() -> None:
    """Load the compiled kernels, so that a kill falls into the work and not into this."""
    bars = history()[:300]
    compute_chunk(feature_set("core"), bars, interval=SERIES.grid, n_own=bars.height)


if __name__ == "__main__":
    load_kernels()
    sys.stdout.write("started\n")
    sys.stdout.flush()
    work(Path(sys.argv[1]))
    sys.stdout.write("done\n")
