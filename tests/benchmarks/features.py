"""The promises about feature tables: each figure, what it is beside, and the goal."""

import json
import os
import subprocess
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table

SHORT, MIDDLE, LONG = 17_520, 300_000, 1_300_000  # two years of hours; bars of 1m


def print_features(console: Console, bars: Path, folder: Path, /) -> None:
    """Measure everything in fresh processes, one after the other, and print a table."""
    speeds = _measure("tests.benchmarks.columns", str(bars))
    small, large = (_build("whole", bars, folder, n) for n in (MIDDLE, LONG))
    few, many = (_build("one_bar", bars, folder, n) for n in (SHORT, LONG))
    workers = _build("workers", bars, folder, LONG)
    reading = _build("reading", bars, folder, LONG)
    table = Table("what", "figure", "goal", "beside", "ratio", box=None)
    table.add_row(
        "chaos block, us a bar",
        f"{speeds['chaos']:.2f}",
        "0.6",
        f"plain pandas {speeds['chaos_pandas']:.0f}",
        f"1/{speeds['chaos_pandas'] / speeds['chaos']:,.0f}",
    )
    table.add_row(
        "195 base columns, us a bar",
        f"{speeds['columns']:.2f}",
        "2.5",
        f"plain pandas {speeds['columns_pandas']:.0f}",
        f"1/{speeds['columns_pandas'] / speeds['columns']:,.0f}",
    )
    table.add_row(
        "columns that TA-Lib has, us a bar",
        f"{speeds['like_talib']:.2f}",
        "1.2 x",
        f"TA-Lib {speeds['talib']:.2f}",
        f"{speeds['like_talib'] / speeds['talib']:.2f}",
    )
    table.add_row(
        "the same, written: us a bar",
        f"{large['us_a_bar']:.2f}",
        "4",
        f"computed only {speeds['columns']:.2f}; CPU of both threads {large['cpu_us_a_bar']:.2f}",
        f"{large['us_a_bar'] / speeds['columns']:.2f}",
    )
    table.add_row(
        f"peak MiB, {LONG:,} bars",
        f"{large['peak_mib']:.0f}",
        "1,024",
        f"{MIDDLE:,} bars {small['peak_mib']:.0f}; planned {large['planned_mib']:.0f}",
        f"{large['peak_mib'] / small['peak_mib']:.2f}",
    )
    table.add_row(
        "two worker processes, s",
        f"{workers['two_s']:.1f}",
        "1/1.7",
        f"one {workers['one_s']:.1f}",
        f"1/{workers['gain']:.2f}",
    )
    table.add_row(
        f"one new bar after {LONG:,}, ms",
        f"{many['median_ms']:.0f}",
        "150",
        f"after {SHORT:,} {few['median_ms']:.0f}",
        f"{many['median_ms'] / few['median_ms']:.2f}",
    )
    table.add_row("files written for it, kB", f"{many['largest_kb']:.0f}", "1,000", "", "")
    table.add_row(
        f"{reading['n_columns'] - 3:,.0f} columns of {SHORT:,} bars, s", f"{reading['scan_s']:.2f}", "0.3", "", ""
    )
    table.add_row(f"three lagged columns of {LONG:,} bars in SQL, s", f"{reading['sql_s']:.2f}", "0.5", "", "")
    console.print(table)


# ------------------------------------------------------------------------------------


def _build(name: str, bars: Path, folder: Path, n_bars: int) -> dict[str, float]:
    return _measure("tests.benchmarks.builds", name, str(bars), str(folder), str(n_bars))


def _measure(module: str, *arguments: str) -> dict[str, float]:
    threads = "1" if module.endswith("columns") or "whole" in arguments else str(os.cpu_count())
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        env=os.environ | {"POLARS_MAX_THREADS": threads},
    )
    return json.loads(done.stdout)
