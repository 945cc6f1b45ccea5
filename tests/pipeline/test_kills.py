from pathlib import Path

import pytest

from tests.pipeline.kills import finish_and_compare, kill_repeatedly


@pytest.mark.slow
def test_a_killed_ingest_or_build_leaves_the_last_snapshot_whole(tmp_path: Path) -> None:
    kills = list(kill_repeatedly(tmp_path / "killed", 12, seed=5))
    assert kills[-1].snapshot > 0  # some work was done between the kills, or nothing was tested
    finish_and_compare(tmp_path / "killed", tmp_path / "fresh")
