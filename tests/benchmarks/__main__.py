"""`just bench [NAME...]`: the table that the README quotes.

Every row is a whole process beside a named baseline that runs in turn with it, so that the ratio holds when the
machine's speed drifts. With $MMF_REAL_BARS the bars are real ones, else simulated.
"""

import os
import shutil
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.benchmarks.backfill import measure_backfill
from tests.benchmarks.cnn import measure_cnn
from tests.benchmarks.council import print_council
from tests.benchmarks.features import print_features
from tests.benchmarks.prediction import measure_prediction, told
from tests.benchmarks.processes import Cost, middle, run

N_RUNS = 3
MMF = str(Path(sys.executable).with_name("mmf"))
ONE_MINUTE_FILE = "binance_spot_BTCUSDT_1m.parquet"
SERIES = "binance:spot:BTCUSDT:1"


@dataclass(frozen=True)
class Row:
    """One line of the table: a command, its baseline, and the folder in which both begin."""

    name: str
    command: Sequence[str]
    baseline_name: str
    baseline: Sequence[str]
    start_from: str = "bars"
    is_cold: bool = False


def python(code: str) -> list[str]:
    """A process that runs a line of Python."""
    return [sys.executable, "-c", code]


ROWS = (
    Row("help", [MMF, "--help"], "import typer, rich", python("import typer, rich.console, rich.table, rich.progress")),
    Row(
        "ingest 1.3 M bars",
        [MMF, "ingest", "files", ONE_MINUTE_FILE],
        "polars: read and write the file",
        python(f"import polars as pl; pl.read_parquet('{ONE_MINUTE_FILE}').write_parquet('copy.parquet')"),
    ),
    Row(
        "SQL: three columns of 1.3 M bars",
        [MMF, "sql", "select avg(close), max(high), sum(volume) from bars"],
        "polars: the same from one file",
        python(
            "import polars as pl; print(pl.scan_parquet('binance_spot_BTCUSDT_1m.parquet').select("
            "pl.mean('close'), pl.max('high'), pl.sum('volume')).collect())"
        ),
        start_from="ingested",
    ),
    Row(
        "features of 1.3 M bars",
        [MMF, "features", "build", SERIES],
        "pandas: means and deviations, W = 3 to 200",
        python(
            "import pandas as pd; f = pd.read_parquet('binance_spot_BTCUSDT_1m.parquet')\n"
            "for w in (3, 5, 8, 13, 14, 21, 34, 55, 89, 144, 200):\n"
            "    f[f'mean_{w}'] = f['close'].rolling(w).mean(); f[f'std_{w}'] = f['close'].rolling(w).std()\n"
        ),
        start_from="ingested",
    ),
    Row(
        "demo, nothing compiled yet",
        [MMF, "demo"],
        "import torch, sklearn, numba",
        python("import torch, sklearn, numba"),
        is_cold=True,
    ),
)


def main(names: Sequence[str]) -> None:
    chosen = [row for row in ROWS if not names or any(name in row.name for name in names)]
    with tempfile.TemporaryDirectory() as folder:
        starts = prepare(Path(folder)) if chosen else {}
        table = Table("what", "wall s", "CPU s", "peak MiB", "baseline", "wall s", "wall ratio", box=None)
        for row in chosen:
            ours, theirs = measure(row, starts[row.start_from], Path(folder))
            figures = (f"{ours.wall_s:.2f}", f"{ours.cpu_s:.2f}", f"{ours.peak_mib:,.0f}")
            table.add_row(
                row.name, *figures, row.baseline_name, f"{theirs.wall_s:.2f}", f"{ours.wall_s / theirs.wall_s:.2f}"
            )
    console = Console(width=150)
    console.print(table)
    if not names or any(name in "feature tables" for name in names):
        with tempfile.TemporaryDirectory() as folder:
            print_features(console, prepare(Path(folder))["bars"] / ONE_MINUTE_FILE, Path(folder))
    if not names or any(name in "council" for name in names):
        print_council(console)
    if not names or any(name in "cnn" for name in names):
        cost = measure_cnn()
        console.print(
            f"\nTemporal CNN, an epoch of equal rows: {cost.one_pass_s:.2f} s of CPU in one pass, "
            f"{cost.windows_s:.2f} s on windows laid out ({cost.ratio:.0f} x); inputs of {cost.one_pass_mib:.1f} and "
            f"{cost.windows_mib:,.0f} MiB",
            highlight=False,
        )
    if not names or any(name in "prediction" for name in names):
        console.print(f"\n{told(measure_prediction())}", highlight=False)
    if not names or any(name in "backfill" for name in names):
        with tempfile.TemporaryDirectory() as folder:
            done = measure_backfill(MMF, Path(folder))
        console.print(
            f"\nbackfill of {done.n_stored:,} 1m bars: {done.n_requests:,} requests in {done.request_span_s:.1f} s, "
            f"{done.share_of_allowed:.0%} of the allowed rate "
            f"(busiest 5 s: {done.busiest_5s} of 600, {done.n_bans} bans); "
            f"{done.wall_s:.1f} s in all\nreading meanwhile: median {done.read_ms:.0f} ms, slowest "
            f"{done.slowest_read_ms:.0f} ms; afterwards {done.idle_read_ms:.0f} ms",
            highlight=False,
        )


def prepare(folder: Path) -> dict[str, Path]:
    """Folders to begin from: `bars` holds a file of 1m bars, `ingested` a warehouse with them too."""
    bars, ingested = folder / "bars", folder / "ingested"
    bars.mkdir()
    if real := os.environ.get("MMF_REAL_BARS"):
        shutil.copyfile(Path(real) / "klines" / ONE_MINUTE_FILE, bars / ONE_MINUTE_FILE)
    else:
        config = "MarketConfig(interval='1', n_bars=1_306_000, edge='none')"
        code = f"from mmf.markets.simulated import *; SimulatedMarket({config})"
        run(python(f"{code}.bars('BTCUSDT').write_parquet('{ONE_MINUTE_FILE}')"), folder=bars)
    shutil.copytree(bars, ingested)
    run([MMF, "ingest", "files", ONE_MINUTE_FILE], folder=ingested)
    return {"bars": bars, "ingested": ingested}


def measure(row: Row, start: Path, folder: Path) -> tuple[Cost, Cost]:
    """Medians of the command and of its baseline, run in turn from fresh copies of the folder."""
    costs: tuple[list[Cost], list[Cost]] = ([], [])
    for _ in range(N_RUNS):
        for command, kept in zip((row.command, row.baseline), costs, strict=True):
            scratch = folder / "scratch"
            shutil.copytree(start, scratch)
            os.environ["NUMBA_CACHE_DIR"] = str(scratch / "numba" if row.is_cold else folder / "numba")
            kept.append(run(command, folder=scratch))
            shutil.rmtree(scratch)
    return middle(costs[0]), middle(costs[1])


if __name__ == "__main__":
    main(sys.argv[1:])
