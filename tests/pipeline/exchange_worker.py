"""Fetch a series from an exchange; made to be killed at any instant and started again.

python -m tests.pipeline.exchange_worker FOLDER URL
"""

import sys
from pathlib import Path

from mmf.bars import Series
from mmf.markets.bybit import BybitSource
from mmf.markets.source import ALL_TIME
from mmf.pipeline.exchange import refresh
from tests.exchange.truth import JANUARY_2024_MS
from warehouse import Warehouse

SERIES = Series("bybit", "linear", "BTCUSDT", "1")


def fetch(folder: Path, url: str) -> None:
    with Warehouse.open(folder, create=True) as warehouse:
        refresh(warehouse, BybitSource(url), SERIES, (JANUARY_2024_MS, ALL_TIME[1]))


if __name__ == "__main__":
    sys.stdout.write("started\n")
    sys.stdout.flush()
    fetch(Path(sys.argv[1]), sys.argv[2])
