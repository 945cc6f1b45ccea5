"""Literal data that the tests of the warehouse share."""

import errno
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl

from warehouse import DataFile, SeriesKey, Snapshot, Warehouse
from warehouse.files import FileSystem, local_file_system

KEY = SeriesKey("bybit", "linear", "BTCUSDT", "60")
OTHER = SeriesKey("binance", "um", "ETHUSDT", "D")
HOUR_MS = 3_600_000
START_MS = 1_700_000_000_000  # of every test clock


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.ms = START_MS

    def __call__(self) -> int:
        return self.ms

    def advance(self, seconds: float) -> None:
        self.ms += int(seconds * 1000)


def times(numbers: list[int] | range) -> pl.Series:
    return pl.Series("open_time", np.array(numbers, dtype=np.int64) * HOUR_MS).cast(pl.Datetime("ms", "UTC"))


def bars(numbers: list[int] | range, price: float = 1.0) -> pl.DataFrame:
    n = len(numbers)
    prices = dict.fromkeys(("open", "high", "low", "close", "volume"), pl.Series([price] * n, dtype=pl.Float64))
    return pl.DataFrame(
        {
            "open_time": times(numbers),
            **prices,
            "turnover": pl.Series([None] * n, dtype=pl.Float64),
            "source": pl.Series(["test"] * n, dtype=pl.String),
            "fetched_at": times(numbers),
            "revision": pl.Series([0] * n, dtype=pl.Int32),
        }
    )


def features(numbers: list[int] | range, n_columns: int = 2, seed: int = 0) -> pl.DataFrame:
    values = np.random.default_rng(seed).standard_normal((n_columns, len(numbers))).astype(np.float32)
    return pl.DataFrame(
        {
            "open_time": times(numbers),
            **{f"f_{i}": values[i] for i in range(n_columns)},
            "missing_bars": pl.Series([0] * len(numbers), dtype=pl.Int32),
            "is_warm": [True] * len(numbers),
        }
    )


def publish_bars(warehouse: Warehouse, start: int, stop: int, price: float = 1.0, key: SeriesKey = KEY) -> int:
    """Put one file of bars into a snapshot, in place of the one that covers the same numbers."""
    commit = warehouse.begin(f"bars {start} to {stop}")
    with warehouse.pin() as snapshot:
        for file in snapshot.files("bars", key, start=start, stop=stop):
            commit.remove(file)
    commit.write("bars", key, bars(range(start, stop), price), start=start, stop=stop)
    return commit.publish()


def closes(snapshot: Snapshot, key: SeriesKey = KEY) -> list[float]:
    return snapshot.scan("bars", key).collect()["close"].to_list()


def stored_files(root: Path) -> set[str]:
    return {path.relative_to(root).as_posix() for path in root.rglob("*.parquet*")}


def paths(files: list[DataFile]) -> set[str]:
    return {file.path for file in files}


def memory_folder() -> str | None:
    """A file system in memory where there is one: for tests that commit hundreds of times and cut no power."""
    return "/dev/shm" if Path("/dev/shm").is_dir() else None


def full_disk(after_bytes: int) -> FileSystem:
    """A disk that takes so many bytes of one file and then no more."""
    written: dict[int, int] = {}

    def write(descriptor: int, data: memoryview) -> int:
        room = after_bytes - written.get(descriptor, 0)
        if room <= 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        n_bytes = os.write(descriptor, data[:room])
        written[descriptor] = written.get(descriptor, 0) + n_bytes
        return n_bytes

    return replace(local_file_system(), write=write)
