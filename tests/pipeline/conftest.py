"""A warehouse in a temporary folder."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from warehouse import Warehouse


@pytest.fixture
def warehouse(tmp_path: Path) -> Iterator[Warehouse]:
    with Warehouse.open(tmp_path / "warehouse", create=True) as opened:
        yield opened
