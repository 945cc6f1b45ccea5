"""`mmf evaluate`, from a run to tables, in a temporary folder."""

import json
from pathlib import Path

import polars as pl
import pytest

from tests.cli.runner import Run

SETTINGS = """
[market]
exchange = "simulated"
days = 90
[features]
lags = [1]
[experts]
use = ["stress"]
[tensor_flex]
use = false
"""


@pytest.fixture
def run_id(mmf: Run) -> str:
    Path("mmf.toml").write_text(SETTINGS, encoding="utf-8")
    mmf("ingest", "simulated", "--bars", "7300")
    return json.loads(mmf("run", "--offline", "--json"))["run_id"]


def test_evidence_is_shown_and_asked_of_in_sql(mmf: Run, run_id: str) -> None:
    shown = mmf(
        "evaluate", "--walk-forward", "2", "--combinations", "--blocks", "3", "--noise-floor", "1", "--workers", "1"
    )
    for line in (
        "Walk-forward: the whole pipeline trained anew before each stretch of time",
        "All folds joined: ",
        "about 30 of them independent",
        "Verdict on all folds",
        "Combinatorial purged cross-validation",
        "they simulate no trading",
        "Noise floor: the same pipeline on 2 surrogates of the run's own bars",
        "not part of it",
    ):
        assert line in shown
    told = json.loads(mmf("evaluate", run_id, "--walk-forward", "2", "--combinations", "--blocks", "3", "--json"))
    assert told["run_id"] == run_id
    assert [fold["fold"] for fold in told["walk_forward"]["folds"]] == [1, 2]
    assert told["walk_forward"]["verdict"]["answer"] in {"edge", "no edge", "inconclusive"}
    assert [line["blocks"] for line in told["combinations"]] == ["1 2", "1 3", "2 3"]
    folds = pl.read_parquet(f"artifacts/runs/{run_id}/tables/folds.parquet")
    listed = mmf("sql", "select fold, pr_auc from folds order by fold", "--format", "csv").splitlines()
    assert [float(line.split(",")[1]) for line in listed[1:]] == pytest.approx(folds["pr_auc"].to_list())
    kinds = mmf("sql", "noise_floor", "--format", "csv").splitlines()
    assert [line.split(",")[1] for line in kinds[1:]] == ["iid", "martingale"]
    page = Path(f"artifacts/runs/{run_id}/report.html").read_text(encoding="utf-8")
    assert "mmf evaluate" not in page  # nothing is left to ask for


def test_what_cannot_be_evaluated_says_what_to_do(mmf: Run, run_id: str) -> None:
    assert "ask for --walk-forward 8, --combinations or --noise-floor 20" in mmf("evaluate", exit_code=2)
    assert "no run 'nobody'" in mmf("evaluate", "nobody", "--walk-forward", "2", exit_code=2)
    assert "cannot be cut into 2000 folds" in mmf("evaluate", "--walk-forward", "2000", exit_code=1)
    Path("mmf.toml").write_text(SETTINGS.replace("lags", 'file = "none.py"\nlags'), encoding="utf-8")
    assert "there is no feature file" in mmf("evaluate", "--noise-floor", "1", exit_code=2)
