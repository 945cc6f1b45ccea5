"""Feature tables of made-up numbers, written as a build writes them."""

from collections.abc import Sequence

import numpy as np
import polars as pl

from mmf.bars import BAR_SCHEMA, Series
from warehouse import Warehouse

FEATURES = ("f_0", "f_1", "f_2", "f_3")


def table(series: Series, numbers: Sequence[int], *, seed: int = 0, features: Sequence[str] = FEATURES) -> pl.DataFrame:
    """One row a bar number; every fifth value or so is null."""
    values = np.random.default_rng(seed).standard_normal((len(features), len(numbers))).astype(np.float32)
    values[values > 0.8] = np.nan
    times = pl.Series("open_time", [series.grid.open_time_ms(number) for number in numbers], pl.Int64)
    return pl.DataFrame(
        [
            times.cast(BAR_SCHEMA["open_time"]),
            *(pl.Series(name, column, nan_to_null=True) for name, column in zip(features, values, strict=True)),
            pl.Series("missing_bars", np.arange(len(numbers)) % 3, pl.Int32),
            pl.Series("is_warm", np.arange(len(numbers)) >= 5),
        ]
    )


def publish(
    warehouse: Warehouse, series: Series, frame: pl.DataFrame, /, *, version: str = "core@v1", file_bars: int = 16
) -> int:
    """Put a table into the newest snapshot in place of what it holds, in files of so many bar numbers."""
    commit = warehouse.begin(f"{version} of {series}")
    with warehouse.pin() as snapshot:
        for file in snapshot.files("features", series.key, version=version):
            commit.remove(file)
    number = series.grid.bar_number_expr()
    for (place,), part in frame.group_by((number // file_bars).alias("file"), maintain_order=True):
        start = int(place) * file_bars
        commit.write(
            "features", series.key, part, start=start, stop=start + file_bars, version=version, codec="features"
        )
    return commit.publish()
