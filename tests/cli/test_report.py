import json
from pathlib import Path

import pytest

from tests.cli.runner import Run
from tests.pipeline.test_reports import NEWEST, OLDEST, stored


def test_a_report_is_named_with_the_verdict(mmf: Run, tmp_path: Path) -> None:
    folder = stored(tmp_path, OLDEST)
    printed = mmf("report", "--artifacts", str(tmp_path)).splitlines()
    assert printed == ["Inconclusive: so it is.", f"Report: {folder / 'report.html'}"]
    assert (folder / "report.html").stat().st_size > 1_000_000


def test_output_and_json(mmf: Run, tmp_path: Path) -> None:
    stored(tmp_path, OLDEST, with_tables=False)
    output = tmp_path / "mine.html"
    told = json.loads(mmf("report", OLDEST, "--output", str(output), "--artifacts", str(tmp_path), "--json"))
    assert told["path"] == str(output)
    assert told["runs"] == [
        {"run_id": OLDEST, "answer": "inconclusive", "headline": "Inconclusive: so it is.", "suspicious": []}
    ]
    assert output.exists()


def test_two_runs_are_compared(mmf: Run, tmp_path: Path) -> None:
    for name in (OLDEST, NEWEST):
        stored(tmp_path, name, with_tables=False)
    printed = mmf("report", "--compare", OLDEST, "latest", "--artifacts", str(tmp_path))
    assert f"{NEWEST}: Inconclusive" in printed
    assert f"compare_{OLDEST}_{NEWEST}.html" in printed


@pytest.mark.parametrize(
    ("words", "told"),
    [(("nosuch",), "there is no run 'nosuch'"), ((OLDEST, "--compare", OLDEST, OLDEST), "name one run, or two")],
)
def test_a_wrong_call_is_told_so(mmf: Run, tmp_path: Path, words: tuple[str, ...], told: str) -> None:
    stored(tmp_path, OLDEST, with_tables=False)
    assert told in mmf("report", *words, "--artifacts", str(tmp_path), exit_code=2)
