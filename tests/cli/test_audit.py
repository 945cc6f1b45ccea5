import json
from pathlib import Path

import polars as pl
import pytest

from tests.cli.runner import Run
from tests.pipeline.finished_runs import COLUMNS, Place, finished, rewrite


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Place:
    return finished(tmp_path_factory.mktemp("told") / "run")


@pytest.fixture
def place(made: Place, tmp_path: Path, mmf: Run) -> Place:
    """The run in the folder of the command, whose mmf.toml names its feature set."""
    names = ", ".join(f'"{name}"' for name in COLUMNS)
    (tmp_path / "mmf.toml").write_text(
        f'warehouse = "run/w"\nartifacts = "run/artifacts"\n[features]\nset = "few"\n[features.sets]\nfew = [{names}]\n'
    )
    return made.copy(tmp_path / "run")


def test_a_replay_that_is_the_same_ends_well_and_one_that_differs_with_1(mmf: Run, place: Place) -> None:
    assert f"{place.run_id} came out the same: 11 of 11 things compared." in mmf("replay")
    told = json.loads(mmf("replay", place.run_id, "--json"))
    assert told["answer"] == "same"
    assert {line["status"] for line in told["lines"]} == {"same"}
    place.write_card({"table_state": "few@v1@S99"})
    mmf("replay", "latest", exit_code=1)


def test_an_audit_names_its_page_and_ends_with_1_on_a_leak(mmf: Run, place: Place, tmp_path: Path) -> None:
    shown = mmf("audit", "--shifts", "0")
    assert "incomplete" in shown
    assert f"Audit: run/artifacts/runs/{place.run_id}/audit.html" in shown
    assert (place.folder / "tables" / "audit.parquet").exists()
    rewrite(place.folder / "predictions.parquet", label=pl.lit(1.0))
    output = tmp_path / "mine.html"
    mmf("audit", place.run_id, "--shifts", "0", "--json", "--output", str(output), exit_code=1)
    assert "leak found" in output.read_text(encoding="utf-8")
    assert json.loads((place.folder / "audit.json").read_text())["answer"] == "leak found"


@pytest.mark.parametrize("command", ["replay", "audit"])
def test_a_run_that_is_not_there_is_misuse(mmf: Run, place: Place, command: str) -> None:
    assert "there is no run 'nosuch'" in mmf(command, "nosuch", exit_code=2)
