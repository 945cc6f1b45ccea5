from pathlib import Path

import pytest

from tests.pipeline.exchange_kills import N_SERVED, kill_downloads
from tests.pipeline.kills import finish_and_compare, kill_repeatedly


@pytest.mark.slow
def test_a_killed_ingest_or_build_leaves_the_last_snapshot_whole(tmp_path: Path) -> None:
    kills = list(kill_repeatedly(tmp_path / "killed", 12, seed=5))
    assert kills[-1].snapshot > 0  # some work was done between the kills, or nothing was tested
    finish_and_compare(tmp_path / "killed", tmp_path / "fresh")


@pytest.mark.slow
def test_a_killed_download_is_completed_by_a_rerun(tmp_path: Path) -> None:
    kills = list(kill_downloads(tmp_path, 12, seed=3))
    n_midway = sum(0 < kill.n_bars < N_SERVED for kill in kills)
    assert n_midway >= 2  # the kills fell into the work, not before or after it
