from pathlib import Path

import pytest

from mmf.errors import CallError
from mmf.pipeline.run_names import run_folder
from tests.pipeline.test_reports import NEWEST, OLDEST, stored


def test_a_run_is_found_by_name_and_the_newest_as_latest(tmp_path: Path) -> None:
    folders = {name: stored(tmp_path, name, with_tables=False) for name in (NEWEST, OLDEST)}
    stored(tmp_path, ".20270101T000000-unfini", with_tables=False)  # a run that is being written
    assert run_folder(tmp_path, OLDEST) == folders[OLDEST]
    assert run_folder(tmp_path, "latest") == folders[NEWEST]
    assert run_folder(tmp_path, "previous") == folders[OLDEST]


@pytest.mark.parametrize("name", ["previous", "20990101T000000-c", "../runs/" + OLDEST, "", ".", "/etc", "latests"])
def test_what_is_no_run_is_refused(tmp_path: Path, name: str) -> None:
    stored(tmp_path, OLDEST, with_tables=False)
    with pytest.raises(CallError, match=f"there is no run .*The newest is {OLDEST}.*mmf runs list"):
        run_folder(tmp_path, name)


def test_without_any_run_the_first_steps_are_named(tmp_path: Path) -> None:
    with pytest.raises(CallError, match="holds none yet: mmf run --offline"):
        run_folder(tmp_path, "latest")
