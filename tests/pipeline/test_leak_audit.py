"""Faults planted in finished runs, and which check sees each."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from mmf import model_store
from mmf.bars import Interval
from mmf.errors import DataError
from mmf.evaluation.leaks import Check, LeakAudit
from mmf.features.registry import UserFeatures, feature_set
from mmf.pipeline.artifacts import save_run
from mmf.pipeline.build import build_features
from mmf.pipeline.ingest import ingest
from mmf.pipeline.judge import judge
from mmf.pipeline.leak_audit import audit_run, save_audit
from mmf.pipeline.ledger import read_ledger
from mmf.pipeline.prepare import Prepared, prepare
from mmf.pipeline.refine import refine
from mmf.pipeline.replay import replay
from mmf.pipeline.stages import RunResult
from mmf.pipeline.state import in_interval, resolve_state
from mmf.pipeline.trading import trade
from mmf.pipeline.train import NOTHING_YET, fit, select, train
from mmf.rows import TrainingRows
from mmf.scheduler import market_state, recommend
from tests.pipeline.finished_runs import COLUMNS, CONFIG, USER, ClosedSource, Place, fill, finished, rewrite
from tests.pipeline.sources import SERIES, walk

LEAKY = '''
import polars as pl
from mmf.features.user import feature

@feature(lookback=0)
def tomorrow():
    """The return of the next bar."""
    return pl.col("close").shift(-1) / pl.col("close") - 1
'''
MODEL = "the stored model says the same"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Place:
    return finished(tmp_path_factory.mktemp("audited") / "run")


@pytest.fixture
def place(run: Place, tmp_path: Path) -> Place:
    """A copy to be tampered with."""
    return run.copy(tmp_path / "copy")


def audited(place: Place, *, user: UserFeatures = USER, n_shifts: int = 0) -> LeakAudit:
    with place.opened() as warehouse:
        return audit_run(warehouse, place.folder, user=user, n_shifts=n_shifts)


def failed(audit: LeakAudit) -> dict[str, Check]:
    return {check.name: check for check in audit.checks if check.status == "fail"}


def skipped(audit: LeakAudit) -> list[str]:
    return [check.name for check in audit.checks if check.status == "skipped"]


def with_fault(
    place: Place,
    change: Callable[[Prepared], Prepared] = lambda prepared: prepared,
    *,
    selects_on: Callable[[Prepared], TrainingRows] = lambda prepared: prepared.training,
    refines_on: Callable[[Prepared], TrainingRows] = lambda prepared: prepared.training,
) -> Place:
    """A run of the same pipeline in which one stage was handed what it must not see."""
    with place.opened() as warehouse:
        state = resolve_state(warehouse, SERIES, place.card["table_state"])
        prepared = change(prepare(warehouse, state, CONFIG, user=USER))
        selected = select(selects_on(prepared), CONFIG)
        refined = refine(refines_on(prepared), selected.columns, state, CONFIG)
        trained = fit(prepared, refined, CONFIG, recommend(market_state(prepared.training)))
        judged = judge(prepared, refined, trained, CONFIG)
        ledger = read_ledger(warehouse, str(SERIES))
        traded = trade(prepared, trained, judged, CONFIG, ledger=ledger, predictions_hash="")
        result = RunResult(CONFIG, prepared, selected, refined, trained, judged, traded, NOTHING_YET)
        return Place(place.root, save_run(warehouse, result, place.artifacts).run_id)


def everything(prepared: Prepared) -> TrainingRows:
    """All labelled rows, past a guard that is lied to."""
    rows = prepared.dataset.rows
    kept = rows.take(~np.isnan(rows.label))
    return TrainingRows.of(kept, known_before_ms=int(kept.label_end_ms.max()))


def test_an_honest_run_is_clean(run: Place) -> None:
    audit = audited(run, n_shifts=2)
    assert [check for check in audit.checks if check.status != "pass"] == []
    assert audit.answer == "clean"
    assert {check.group for check in audit.checks} == {
        *("Record", "Features", "Labels", "Split", "Selection", "Target proxies", "Model")
    }
    assert len(audit.checks) == 19


def test_a_run_that_looks_into_a_longer_interval_is_clean_and_comes_out_the_same(tmp_path: Path) -> None:
    place = Place(tmp_path / "run")
    longer = in_interval(SERIES, Interval("240"))
    config = replace(CONFIG, context=("240",))
    with place.opened() as warehouse:
        bars = walk(0, 3_700)
        ingest(warehouse, ClosedSource((bars,)), SERIES)
        ingest(warehouse, ClosedSource((in_fours(bars),)), longer)
        build_features(warehouse, longer, feature_set("few", USER))
        result = train(warehouse, fill(warehouse), config, user=USER)
        place = Place(place.root, save_run(warehouse, result, place.artifacts).run_id)
        assert replay(warehouse, place.folder, user=USER).answer == "same"
    audit = audited(place)
    assert failed(audit) == {}
    assert skipped(audit) == ["labels of other times teach nothing"]
    assert "4,625 bars" in audit.checks[1].finding


def in_fours(bars: pl.DataFrame) -> pl.DataFrame:
    """Hourly bars as bars of four hours."""
    of = {"open": pl.first, "high": pl.max, "low": pl.min, "close": pl.last, "volume": pl.sum, "turnover": pl.sum}
    longer = bars.group_by_dynamic("open_time", every="4h").agg(function(name) for name, function in of.items())
    return longer.select(bars.columns)


def test_a_leaky_feature_of_ones_own_is_seen_wherever_it_shows(tmp_path: Path) -> None:
    file = tmp_path / "own.py"
    file.write_text(LEAKY)
    user = UserFeatures(file, (("own", (*COLUMNS, "tomorrow")),))
    audit = audited(finished(tmp_path / "run", user=user, set_name="own"), user=user)
    assert audit.answer == "leak found"
    found = failed(audit)
    assert "tomorrow" in found["each feature is blind to later bars"].finding
    assert "tomorrow" in found["the whole table is blind to later bars"].finding
    assert "tomorrow" in found["no column tells the target"].finding
    assert "predictions moved when only later bars changed" in found["predictions are blind to later bars"].finding
    assert "mmf features audit" in found["each feature is blind to later bars"].next_step


def test_a_purge_that_was_switched_off_is_seen(place: Place) -> None:
    def unpurged(prepared: Prepared) -> Prepared:
        rows, start = prepared.dataset.rows, int(prepared.judged.open_time_ms[0])
        kept = rows.take((rows.open_time_ms < start) & ~np.isnan(rows.label))
        training = TrainingRows.of(kept, known_before_ms=int(kept.label_end_ms.max()))  # the guard is lied to
        return replace(prepared, training=training, n_purged=0)

    found = failed(audited(with_fault(place, unpurged)))
    assert "after the judged rows begin" in found["training ends before judging begins"].finding
    assert "training rows" in found["purged as the horizon asks"].finding


def test_a_selection_that_saw_judged_rows_is_seen(place: Place) -> None:
    found = failed(audited(with_fault(place, selects_on=everything)))
    council = found["the council never saw a judged row"]
    assert "only then: " in council.finding or "only now: " in council.finding
    assert not {"training ends before judging begins", "purged as the horizon asks", MODEL} & set(found)


def test_a_refinery_that_saw_judged_rows_is_seen(place: Place) -> None:
    found = failed(audited(with_fault(place, refines_on=everything)))
    assert set(found) == {"the refinery never saw a judged row"}


def test_tampered_predictions_are_seen(place: Place) -> None:
    rewrite(place.folder / "predictions.parquet", probability=1 - pl.col("probability"))
    found = failed(audited(place))
    assert set(found) >= {"the stored predictions are the run's", MODEL}
    assert "probability by" in found[MODEL].finding


def test_labels_that_were_told_early_are_seen(place: Place) -> None:
    rewrite(place.folder / "predictions.parquet", label=pl.col("label").fill_null(1.0))
    found = failed(audited(place))
    assert found["the run used these labels"].finding.startswith("6 of ")


def test_a_model_that_was_altered_is_seen_and_what_needs_it_is_not_guessed(place: Place) -> None:
    file = next((place.folder / "model").rglob("gate*.safetensors"))
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    audit = audited(place)
    assert "was altered" in failed(audit)[MODEL].finding
    assert skipped(audit)[:1] == ["the out-of-fold cut is purged too"]
    assert "predictions are blind to later bars" in skipped(audit)


def test_another_model_with_checksums_of_its_own_is_seen(place: Place) -> None:
    stored = model_store.load(place.folder / "model")
    stored.trader.calibration_ = replace(stored.trader.calibration_, intercept=1.0)
    model_store.save(stored.trader, place.folder / "model", extra=stored.extra)
    assert set(failed(audited(place))) == {MODEL}


def test_bars_and_features_that_were_altered_on_disk_are_seen(place: Place) -> None:
    rewrite(place.stored_file("features", version="few@v1"), hurst_200=pl.col("hurst_200") + 1)
    rewrite(place.stored_file("bars", place=3), fetched_at=pl.lit(0).cast(pl.Datetime("ms", "UTC")))
    found = failed(audited(place))
    assert "fetched before they closed" in found["no bar was forming"].finding
    assert "hurst_200" in found["stored rows are what the bars give"].finding


def test_a_card_that_was_altered_is_seen(place: Place) -> None:
    place.write_card({"scores": {}})
    assert "scores" in failed(audited(place))["the card is the recorded one"].finding


def test_what_cannot_be_computed_again_makes_it_incomplete(run: Place) -> None:
    audit = audited(run, user=UserFeatures(None, (("few", (*COLUMNS, "rsi_21")),)))
    assert audit.answer == "incomplete"
    assert failed(audit) == {}
    assert "the council never saw a judged row" in skipped(audit)
    assert any("added since: rsi_21" in check.finding for check in audit.checks)


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"series": ["a", "b"]}, "only runs of one series can be"),
        ({"hashes": {"predictions": "x"}}, "is older and has no hash of its training_rows. Train anew"),
    ],
)
def test_a_run_that_cannot_be_audited_is_refused(place: Place, changed: dict, told: str) -> None:
    place.write_card(changed)
    with pytest.raises(DataError, match=told):
        audited(place)


def test_the_audit_is_kept_in_the_runs_folder_as_page_json_and_table(place: Place) -> None:
    check = Check("Split", "purged", "fail", "<b> 3 rows", "Train again.")
    audit = LeakAudit(place.run_id, (check, Check("Model", "same", "pass", "all")))
    path = save_audit(audit, place.folder)
    assert path == place.folder / "audit.html"
    assert "&lt;b&gt; 3 rows" in path.read_text(encoding="utf-8")
    assert json.loads((place.folder / "audit.json").read_text())["answer"] == "leak found"
    table = pl.read_parquet(place.folder / "tables" / "audit.parquet")
    assert table.rows() == [("Split: purged", "fail", "<b> 3 rows"), ("Model: same", "pass", "all")]
    assert table.columns == ["check_name", "status", "finding"]
