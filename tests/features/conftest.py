from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest


@pytest.fixture(scope="session")
def real(real_bars: Path) -> Callable[[str, int], pl.DataFrame]:
    """Give the last n real bars of a series, by file name."""

    def read(name: str, n: int) -> pl.DataFrame:
        return pl.read_parquet(real_bars / "klines" / f"{name}.parquet").tail(n)

    return read
