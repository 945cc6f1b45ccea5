"""Fixtures that several parts of the suite share."""

import os
from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("mmf", deadline=None, derandomize=True, print_blob=True)
settings.load_profile("mmf")


@pytest.fixture(scope="session")
def real_bars() -> Path:
    """Folder of real klines; skips where `$MMF_REAL_BARS` is unset."""
    folder = os.environ.get("MMF_REAL_BARS")
    if not folder:
        pytest.skip("MMF_REAL_BARS is unset: no real klines here")
    return Path(folder)
