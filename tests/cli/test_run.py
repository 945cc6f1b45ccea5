import json
from pathlib import Path

import polars as pl
import pytest

from tests.cli.runner import Run

SECTIONS = (
    "[1] DATA",
    "[2] FEATURES AND COUNCIL",
    "[3] TENSOR-FLEX",
    "[4] MIXED MODE TRAINING (Mixture-of-Experts)",
    "Meta-Controller recommends: {'n_estimators':",
    "[5] SYSTEM VITAL SIGNS",
    "Gating Network Params",
    "Trend Expert Nodes",
    "Range Memory Units",
    "Stress Coefficients",
    "TOTAL AI PARAMETERS",
    "[MoE] Gating Shares",
    "[6] OUT-OF-SAMPLE SCORES",
    "volatility only",
)
DEMO = ("demo", "--days", "110")


def test_the_demo_does_the_whole_job(mmf: Run) -> None:
    shown = mmf(*DEMO)
    places = [shown.find(section) for section in SECTIONS]
    assert -1 not in places
    assert places == sorted(places)
    [page] = Path("artifacts/runs").glob("*/report.html")
    assert shown.splitlines()[-1].split() == ["report", str(page)]
    assert "Whom the gate trusts" in page.read_text(encoding="utf-8")
    predictions = pl.read_parquet("artifacts/money_machine_snapshot.parquet")
    experts = ("trend", "range", "stress", "cnn")
    assert predictions.columns[:5] == ["open_time", "symbol", "close", "label", "probability"]
    assert {f"{e}_{what}" for e in experts for what in ("probability", "weight")} <= set(predictions.columns)
    assert predictions["label"].null_count() == 36  # the newest bars, whose horizon is not over
    assert (
        predictions.select(pl.sum_horizontal(f"{e}_weight" for e in experts)).to_series().is_between(0.999, 1.001).all()
    )


def test_the_same_demo_twice_gives_the_same_hashes(mmf: Run) -> None:
    first, second = (json.loads(mmf(*DEMO, "--json")) for _ in range(2))
    assert first["run_id"] != second["run_id"]
    assert first["hashes"] == second["hashes"]
    (version, snapshot), (same_version, later) = (card["table_state"].split("@S") for card in (first, second))
    assert version == same_version == "core@v1"
    assert int(later) >= int(snapshot)  # a run is a commit too
    assert len(list(Path("artifacts/runs").glob("*/report.html"))) == 2
    listed = mmf("runs", "list")
    assert first["run_id"] in listed
    assert second["run_id"] in listed
    assert "PR-AUC" in mmf("runs", "show", "latest")
    stored = mmf("sql", "select count(*) from predictions group by run_id", "--format", "csv").splitlines()[1:]
    assert stored == [str(first["rows"]["judged"]["count"])] * 2
    votes = mmf("sql", "select count(distinct run_id) as n, count(*) from council_votes", "--format", "csv")
    assert votes.splitlines()[1].startswith("2,")


def test_training_reads_the_table_state_it_is_given(mmf: Run) -> None:
    series = "simulated:linear:BTCUSDT:60"
    mmf("ingest", "simulated", "--bars", "7800")
    [built] = json.loads(mmf("features", "build", series, "--json"))
    mmf("ingest", "simulated", "--bars", "7900")
    card = json.loads(mmf("train", series, "--features", built["state"], "--days", "100", "--json"))
    assert card["table_state"] == built["state"]
    assert card["rows"]["judged"]["last"] < "2022-11-22"  # bar 7,800, not 7,900


def test_a_run_without_data_names_the_commands_that_bring_it(mmf: Run) -> None:
    assert "mmf ingest" in mmf("run", "--offline", exit_code=1)
    mmf("ingest", "simulated", "--bars", "500")
    assert "mmf ingest files PATH --exchange bybit" in mmf("run", "--offline", exit_code=1)


def test_too_few_bars_are_refused_with_the_count(mmf: Run) -> None:
    mmf("ingest", "simulated", "--bars", "1500")
    error = mmf("run", "--exchange", "simulated", "--offline", exit_code=1)
    assert "leaves 1087 rows after the first 413" in error


def test_runs_from_413_on_say_how_many_rows_are_not_warm(mmf: Run) -> None:
    mmf("ingest", "simulated", "--bars", "2600")
    assert "rows lack the full memory" in mmf("run", "--exchange", "simulated", "--offline")


@pytest.mark.real_bars
@pytest.mark.slow
def test_two_real_years_end_with_a_predictions_file_and_honest_scores(mmf: Run, real_bars: Path) -> None:
    mmf("ingest", "files", str(real_bars / "klines" / "bybit_linear_BTCUSDT_60m.parquet"))
    card = json.loads(mmf("run", "--offline", "--json"))
    assert card["rows"]["training"]["count"] == 13_951
    assert card["rows"]["not_warm"] == 0
    assert card["rows"]["judged"]["last"] == "2024-12-31 23:00"
    predictions = pl.read_parquet("artifacts/money_machine_snapshot.parquet")
    assert predictions.height == card["rows"]["judged"]["count"]
    scores = card["scores"]["mixture"]
    assert scores["n"] == predictions.height - 36
    # nobody finds an edge in hourly bars with three plain experts: a high score here is a leak
    assert 0.4 < scores["roc_auc"] < 0.62
