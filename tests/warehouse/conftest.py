from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.warehouse.frames import Clock
from warehouse import Warehouse


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def warehouse(tmp_path: Path, clock: Clock) -> Iterator[Warehouse]:
    with Warehouse.open(tmp_path / "data", create=True, now_ms=clock) as opened:
        yield opened
