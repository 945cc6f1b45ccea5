"""Evidence beyond one split: purged, resumable, the same whoever computes it."""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from itertools import pairwise
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from mmf.errors import CallError, DataError, LeakError
from mmf.evaluation.trials import Ledger
from mmf.features.registry import feature_set
from mmf.pipeline.artifacts import RunArtifacts
from mmf.pipeline.dataset import compute_dataset
from mmf.pipeline.evaluate import FOLDER, Evaluation, evaluate
from mmf.pipeline.evaluation import join_folds, noise_standing
from mmf.pipeline.evaluation_store import exclusive
from mmf.pipeline.evaluation_tasks import Plan
from mmf.pipeline.executors import Processes
from mmf.pipeline.material import Material
from mmf.pipeline.part import PartResult, judge_part
from mmf.pipeline.prepare import Loaded, cut, cut_around, load
from mmf.pipeline.state import resolve_state
from mmf.pipeline.threshold import choose
from mmf.splits import combinatorial_purged, expanding_folds, out_of_fold_cut
from tests.pipeline.evaluations import FOLDS, N_BARS, PLAIN, WITH_CNN, small_run
from tests.pipeline.sources import HOUR_MS, SERIES, walk
from warehouse import Warehouse
from warehouse.query import connect

PLAN = Plan(walk_forward=2, blocks=3)
TABLES = ("folds", "fold_scores", "fold_equity", "fold_predictions", "combinations")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("evaluated")


@pytest.fixture(scope="module")
def warehouse(folder: Path) -> Iterator[Warehouse]:
    with Warehouse.open(folder / "w", create=True) as opened:
        yield opened


@pytest.fixture(scope="module")
def saved(warehouse: Warehouse, folder: Path) -> RunArtifacts:
    return small_run(warehouse, folder / "artifacts")


@pytest.fixture(scope="module")
def found(warehouse: Warehouse, saved: RunArtifacts) -> Evaluation:
    """In this process."""
    return evaluate(warehouse, saved.folder, PLAN)


@pytest.fixture(scope="module")
def loaded(warehouse: Warehouse, saved: RunArtifacts) -> Loaded:
    return load(warehouse, resolve_state(warehouse, SERIES, saved.content["table_state"]), PLAIN)


@pytest.fixture
def copied(saved: RunArtifacts, tmp_path: Path) -> Path:
    """The run as it was before any evaluation."""
    left = shutil.ignore_patterns(FOLDER, "evaluation.json", *(f"{name}.parquet" for name in TABLES))
    return shutil.copytree(saved.folder, tmp_path / saved.run_id, ignore=left)


def same(ours: Evaluation, theirs: Evaluation) -> bool:
    mine, other = ours.tables(), theirs.tables()
    return mine.keys() == other.keys() and all(mine[name].equals(other[name]) for name in mine)


def die(warehouse: Warehouse, run_folder: Path, how: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tests.pipeline.evaluation_worker", str(warehouse.root), str(run_folder), how]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)


def test_folds_follow_each_other_and_train_on_what_was_known(found: Evaluation, loaded: Loaded) -> None:
    assert found.walk_forward is not None
    folds, told = found.walk_forward.folds, found.walk_forward.predictions
    times = loaded.dataset.rows.open_time_ms
    judged = told["open_time"].to_physical().to_numpy()
    assert judged.tolist() == times[times >= judged[0]].tolist()  # every bar of the later half, once
    assert abs(len(judged) / len(times) - 0.5) < 0.02
    gaps = (folds["judged_first"] - folds["training_last"]).dt.total_hours()
    assert gaps.to_list() == [37, 37]  # the label of the last training row ends as the first judged bar opens
    assert folds["training_first"].n_unique() == 1
    assert folds["n_judged"].sum() == told.height
    assert folds["n_trades"].dtype == pl.Int64
    for fold in folds.iter_rows(named=True):
        own = told.filter(pl.col("fold") == fold["fold"])
        is_long = own["probability"] > own["threshold"]
        label = own["label"].fill_null(0.0)
        assert fold["recall"] == pytest.approx((is_long & (label == 1)).sum() / label.sum())
        assert own["threshold"].unique().to_list() == [fold["threshold"]]


def test_all_folds_together_have_intervals_an_equity_and_a_verdict(found: Evaluation, saved: RunArtifacts) -> None:
    told = found.walk_forward
    assert told is not None
    assert told.equity["open_time"].equals(told.predictions["open_time"])
    assert told.equity["equity"][-1] == pytest.approx(1 + told.verdict.performance.net_return)
    assert told.verdict.n_trials == saved.content["verdict"]["n_trials"]
    assert told.n_effective == pytest.approx((told.predictions.height - 36) / 36)
    value = {(row["model"], row["score"]): row for row in told.scores.iter_rows(named=True)}
    mixture = value["mixture", "pr_auc"]
    assert mixture["low"] < mixture["value"] < mixture["high"]
    known = told.predictions.drop_nulls("label")
    squared = (known["probability"] - known["label"]) ** 2
    assert value["mixture", "brier"]["value"] == pytest.approx(squared.mean())
    is_right = (known["probability"] > known["threshold"]) & (known["label"] == 1)
    assert value["mixture", "recall"]["value"] == pytest.approx(is_right.sum() / known["label"].sum())


def test_folds_of_a_run_that_may_know_the_future_are_no_edge(found: Evaluation, loaded: Loaded) -> None:
    told = found.walk_forward
    assert told is not None
    foresight = pl.col("label").fill_null(0.0)
    leaky = [
        PartResult(fold, told.predictions.filter(fold=fold["fold"]).drop("fold").with_columns(probability=foresight))
        for fold in ({**row, **stamps(row)} for row in told.folds.iter_rows(named=True))
    ]
    nothing = Ledger().others("", None)
    plain, taken_back = (
        join_folds(leaky, loaded, PLAIN, others=nothing, suspects=suspects).verdict for suspects in ([], ["leak"])
    )
    assert plain.answer == "edge"
    assert taken_back.answer == "suspicious"
    assert taken_back.sentences[0].startswith("Suspicious: leak may know the future")


def stamps(row: dict[str, object]) -> dict[str, str]:
    return {name: value.isoformat() for name, value in row.items() if isinstance(value, datetime)}


def test_combinations_are_judged_on_every_choice_of_blocks(found: Evaluation, loaded: Loaded) -> None:
    table = found.combinations
    assert table is not None
    assert table["blocks"].to_list() == ["1 2", "1 3", "2 3"]
    n_labelled = int((~np.isnan(loaded.dataset.rows.label)).sum())
    assert table["n_judged"].sum() == 2 * n_labelled
    assert (table["n_judged"] + table["n_training"] + table["n_purged"]).to_list() == [n_labelled] * 3
    assert table["training_first"][0] > table["judged_last"][0]  # trained on later time alone
    assert table["n_purged"].to_list() == [72, 108, 36]  # purge and embargo behind, purge before
    assert "net_return" not in table.columns


def test_tables_lie_in_the_run_and_in_the_warehouse(
    warehouse: Warehouse, found: Evaluation, saved: RunArtifacts
) -> None:
    for name in TABLES:
        assert pl.read_parquet(saved.folder / "tables" / f"{name}.parquet").equals(found.tables()[name])
    evaluate(warehouse, saved.folder, Plan(walk_forward=2))  # once more: rows are replaced, not added
    with warehouse.pin() as snapshot:
        connection = connect(snapshot)
        for name in ("folds", "fold_scores", "fold_equity", "combinations"):
            stored = connection.sql(f"select * from {name}").pl()
            assert stored["run_id"].unique().to_list() == [saved.run_id]
            assert stored.drop("run_id").height == found.tables()[name].height
            assert stored.columns[1:] == found.tables()[name].columns
    summary = json.loads((saved.folder / "evaluation.json").read_text())
    assert summary["walk_forward"]["verdict"]["n_trials"] == 1
    assert len(summary["combinations"]) == 3  # kept from before
    assert list((saved.folder / FOLDER / "unfinished").iterdir()) == []


@pytest.mark.parametrize("name", ["folds", "fold_scores", "fold_equity", "combinations", "noise_floor"])
def test_a_view_of_nothing_has_the_columns_of_the_table(
    warehouse: Warehouse, tmp_path: Path, found: Evaluation, name: str
) -> None:
    with Warehouse.open(tmp_path / "empty", create=True) as empty, empty.pin() as snapshot:
        nothing = connect(snapshot).sql(f"select * from {name}").pl()
    tables = found.tables()
    if name == "noise_floor":
        folds = tables["folds"].drop("fold")
        tables[name] = folds.select(pl.lit("iid").alias("kind"), pl.lit(1, pl.Int64).alias("seed"), pl.all())
    assert nothing.columns == ["run_id", *tables[name].columns]
    kinds = {column: kind for column, kind in tables[name].schema.items() if not kind.is_temporal()}
    assert {column: nothing.schema[column] for column in kinds} == kinds


@pytest.mark.slow
def test_a_killed_evaluation_goes_on_and_equals_that_of_two_processes(tmp_path: Path) -> None:
    """With a network, whose unfinished epochs are kept too."""
    with Warehouse.open(tmp_path / "w", create=True) as warehouse:
        saved = small_run(warehouse, tmp_path / "artifacts", config=WITH_CNN)
        copy = shutil.copytree(saved.folder, tmp_path / "copy" / saved.run_id)
        with Processes(2) as executor:
            found = evaluate(warehouse, copy, FOLDS, executor=executor)
        ended = die(warehouse, saved.folder, "kill")
        assert ended.returncode == -9, ended.stderr
        assert not (saved.folder / "tables" / "folds.parquet").exists()
        root = saved.folder / FOLDER
        [kept] = root.glob("walk_forward_2_*")
        before = {path.name: path.stat().st_mtime_ns for path in kept.iterdir()}
        [work] = (root / "unfinished").glob("walk_forward_*")
        assert {path.name for path in (work / "fits").glob("*cnn")} == {"all_rows_cnn", "out_of_fold_cnn"}
        shares: list[float] = []
        again = evaluate(warehouse, saved.folder, FOLDS, on_progress=lambda _, share: shares.append(share))
    assert same(again, found)
    assert {path.name: path.stat().st_mtime_ns for path in kept.iterdir()} == before  # it was not computed again
    assert shares[0] >= 0.5
    assert shares == sorted(shares)
    assert shares[-1] == 1.0


@pytest.mark.slow
def test_ctrl_c_ends_the_processes_and_leaves_no_table(warehouse: Warehouse, found: Evaluation, copied: Path) -> None:
    ended = die(warehouse, copied, "interrupt")
    assert "KeyboardInterrupt" in ended.stderr
    assert not (copied / "tables" / "folds.parquet").exists()
    again = evaluate(warehouse, copied, FOLDS)
    for name in TABLES[:4]:
        assert again.tables()[name].equals(found.tables()[name])


def test_a_damaged_part_is_computed_again_and_no_other(
    warehouse: Warehouse, found: Evaluation, saved: RunArtifacts, tmp_path: Path
) -> None:
    copy = shutil.copytree(saved.folder, tmp_path / saved.run_id)
    kept = sorted((copy / FOLDER).glob("walk_forward_2_*"))
    (copy / "evaluation.json").write_text("{", encoding="utf-8")
    [figures] = kept[0].glob("figures.*.json")
    figures.write_text(figures.read_text().replace("0.", "1."), encoding="utf-8")
    before = [path.stat().st_mtime_ns for path in kept[1].iterdir()]
    again = evaluate(warehouse, copy, PLAN)
    assert same(again, found)
    assert json.loads((copy / "evaluation.json").read_text())["run_id"] == saved.run_id
    assert [path.stat().st_mtime_ns for path in kept[1].iterdir()] == before


def test_a_fold_knows_nothing_of_what_comes_after_its_training(loaded: Loaded) -> None:
    """Other features, labels and prices from its first judged row on: threshold and training stay, to the last bit."""
    first, second = expanding_folds(loaded.dataset.rows, 2, interval=SERIES.grid)
    start, stop = first.test_start_ms, second.test_start_ms
    prepared = cut(loaded, first, stop_ms=stop)
    assert prepared.dataset.rows.open_time_ms[-1] == stop - HOUR_MS
    assert prepared.dataset.bars["open_time"].to_physical()[-1] == stop - HOUR_MS
    told = judge_part(prepared, PLAIN)
    other = judge_part(cut(altered(loaded, [(start, 1 << 60)]), first, stop_ms=stop), PLAIN)
    assert other.figures["threshold"] == told.figures["threshold"]
    assert other.predictions["volatility_threshold"].equals(told.predictions["volatility_threshold"])
    assert not other.predictions["probability"].equals(told.predictions["probability"])  # or nothing was altered


def test_a_combination_knows_nothing_of_what_happened_in_its_blocks(loaded: Loaded) -> None:
    """Labels and prices of the judged time are others: thresholds and probabilities stay."""
    rows = loaded.dataset.rows
    combination = combinatorial_purged(rows, interval=SERIES.grid, n_folds=5, n_test_folds=2)[5]
    spans = [(int(rows.open_time_ms[block[0]]), int(rows.label_end_ms[block].max())) for block in combination.tests]
    assert (
        rows.open_time_ms[combination.train[0]] < spans[0][0] < spans[1][0] < rows.open_time_ms[combination.train[-1]]
    )
    ours, theirs = (cut_around(one, combination) for one in (loaded, altered(loaded, spans, with_features=False)))
    training = ours.training
    chance = np.random.default_rng(0).random(len(training))
    told, other = (
        choose(one, PLAIN, open_time_ms=training.open_time_ms, probability=chance, label=training.label).sweep
        for one in (ours, theirs)
    )
    # what every threshold would have brought, not only which is chosen; logarithms of doubled prices round otherwise
    assert_frame_equal(other, told, rel_tol=1e-9, abs_tol=1e-9)
    told, other = (judge_part(one, PLAIN).predictions for one in (ours, theirs))
    assert other.drop("label").equals(told.drop("label"))
    assert not other["label"].equals(told["label"])


def altered(loaded: Loaded, spans: list[tuple[int, int]], *, with_features: bool = True) -> Loaded:
    """Other labels, prices and features within some time, and twice the price behind each.

    The open that begins it is what was known before.
    """
    dataset = loaded.dataset
    times = dataset.rows.open_time_ms
    inside = np.any([(times >= start) & (times < stop) for start, stop in spans], axis=0)
    level = 2.0 ** np.sum([times >= stop for _, stop in spans], axis=0)
    wild = pl.Series(level * np.where(inside, 1.5 + np.arange(len(times)) % 7 / 20, 1.0))
    begins = pl.Series(np.any([times == start for start, _ in spans], axis=0))
    prices = {name: pl.col(name) * wild for name in ("high", "low", "close")}
    prices["open"] = pl.col("open") * pl.when(begins).then(pl.Series(level)).otherwise(wild)
    x = dataset.rows.x.copy()
    if with_features:
        x[inside] *= 1.3
    label = np.where(inside, 1 - dataset.rows.label, dataset.rows.label)
    rows = replace(dataset.rows, x=x, label=label)
    return replace(loaded, dataset=replace(dataset, rows=rows, bars=dataset.bars.with_columns(**prices)))


def test_a_planted_leak_is_caught(loaded: Loaded) -> None:
    rows = loaded.dataset.rows
    split = expanding_folds(rows, 2, interval=SERIES.grid)[0]
    cut(loaded, split)
    leaking = replace(split, train=np.append(split.train, split.train[-1] + 1))
    with pytest.raises(LeakError, match=r"1 of .* training rows have labels that end after the judged rows begin"):
        cut(loaded, leaking)
    for combination in combinatorial_purged(rows, interval=SERIES.grid, n_folds=3, n_test_folds=2):
        prepared = cut_around(loaded, combination)
        assert prepared.before_judged.open_time_ms[-1] >= prepared.training.open_time_ms[-1]
        with_one = np.sort(np.append(combination.train, combination.tests[0][-1] + 1))
        with pytest.raises(LeakError, match="overlap a test block"):
            cut_around(loaded, replace(combination, train=with_one))


def test_what_a_combination_chooses_thresholds_by_has_no_judged_bar(loaded: Loaded) -> None:
    rows = loaded.dataset.rows
    for combination in combinatorial_purged(rows, interval=SERIES.grid, n_folds=6, n_test_folds=2):
        kept = set(cut_around(loaded, combination).dataset.bars["open_time"].to_physical().to_list())
        judged = np.concatenate(combination.tests)
        assert kept.isdisjoint(rows.open_time_ms[judged].tolist())
        assert kept.isdisjoint((rows.label_end_ms[judged] - HOUR_MS).tolist())
        assert kept.issuperset(rows.open_time_ms[combination.train].tolist())


def test_rows_come_back_from_disk_as_they_were(loaded: Loaded, tmp_path: Path) -> None:
    again = Material.write(loaded, tmp_path / "rows").load()
    ours, theirs = loaded.dataset.rows, again.dataset.rows
    assert theirs.columns == ours.columns
    assert theirs.x.tobytes() == ours.x.tobytes()
    for name in ("open_time_ms", "label", "label_end_ms"):
        assert getattr(theirs, name).tobytes() == getattr(ours, name).tobytes()
    assert again.dataset.bars.equals(loaded.dataset.bars)
    assert again.funding is not None
    assert loaded.funding is not None
    assert again.funding.equals(loaded.funding)


def test_rows_computed_in_memory_are_those_of_the_warehouse(loaded: Loaded) -> None:
    own = loaded.dataset
    since_ms = int(own.rows.open_time_ms[0])
    told = compute_dataset(
        walk(0, N_BARS), feature_set("core"), SERIES, since_ms=since_ms, label=PLAIN.label, lags=PLAIN.lags
    )
    assert told.rows.columns == own.rows.columns
    assert told.rows.x.tobytes() == own.rows.x.tobytes()
    assert told.rows.label.tobytes() == own.rows.label.tobytes()
    assert told.bars.equals(own.bars)
    assert (told.n_cold, told.n_missing_bars, told.first_read_ms) == (own.n_cold, own.n_missing_bars, own.first_read_ms)


def test_the_noise_floor_is_the_same_pipeline_on_surrogates(warehouse: Warehouse, saved: RunArtifacts) -> None:
    found = evaluate(warehouse, saved.folder, Plan(noise_floor=2))
    noise, standing = found.noise_floor, found.noise_standing
    assert noise is not None
    assert standing is not None
    assert noise.select("kind", "seed").rows() == [("martingale", 0), ("martingale", 1), ("iid", 0), ("iid", 1)]
    assert noise["n_judged"].unique().to_list() == [saved.content["rows"]["judged"]["count"]]
    assert noise["roc_auc"].n_unique() == 4
    assert set(standing["score"]) == {"roc_auc", "pr_auc_lift", "net_return"}
    own = saved.content["scores"]["mixture"]["roc_auc"]
    line = standing.filter((pl.col("kind") == "iid") & (pl.col("score") == "roc_auc")).row(0, named=True)
    n_below = int((noise.filter(pl.col("kind") == "iid")["roc_auc"] < own).sum())
    assert (line["own"], line["n"], line["share_below"]) == (own, 2, n_below / 2)
    assert line["p"] == pytest.approx((1 + 2 - n_below) / 3)
    more = evaluate(warehouse, saved.folder, Plan(noise_floor=3)).noise_floor  # those that are there stay
    assert more is not None
    assert more.filter(pl.col("seed") < 2).equals(noise)


def test_standing_allows_for_base_rates_and_for_scores_that_are_not_there() -> None:
    noise = pl.DataFrame(
        {
            "kind": ["iid"] * 4,
            "pr_auc": [0.2, 0.4, 0.6, 0.8],
            "base_rate": [0.2, 0.5, 0.5, 0.5],
            "roc_auc": [0.5, 0.6, None, 0.7],
            "net_return": [0.0, 0.1, 0.2, 0.3],
        }
    )
    told = noise_standing(noise, {"pr_auc": 0.5, "base_rate": 0.4, "roc_auc": 0.65, "net_return": None})
    lines = {row["score"]: row for row in told.iter_rows(named=True)}
    assert lines["pr_auc_lift"]["own"] == pytest.approx(1.25)
    assert (lines["pr_auc_lift"]["share_below"], lines["pr_auc_lift"]["p"]) == (0.75, 0.4)
    assert (lines["roc_auc"]["n"], lines["roc_auc"]["p"]) == (3, 0.5)
    assert (lines["net_return"]["own"], lines["net_return"]["p"]) == (None, None)


def with_card(run_folder: Path, **changes: object) -> Path:
    path = run_folder / "card.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes), encoding="utf-8")
    return run_folder


def test_runs_that_it_cannot_be_asked_of_are_refused(warehouse: Warehouse, copied: Path) -> None:
    card = json.loads((copied / "card.json").read_text())
    with pytest.raises(CallError, match=r"trained on several series \(a, b\).*mmf train SERIES"):
        evaluate(warehouse, with_card(copied, series=["a", "b"]), PLAN)
    with pytest.raises(DataError, match="no longer gives the rows that run"):
        evaluate(warehouse, with_card(copied, **card | {"hashes": card["hashes"] | {"training_rows": "ab"}}), PLAN)
    with pytest.raises(DataError, match=r"has no hash of its training_rows.*mmf train"):
        evaluate(warehouse, with_card(copied, hashes={}), PLAN)
    with_card(copied, **card)
    with exclusive(copied / FOLDER), pytest.raises(CallError, match=r"another evaluation of .* is at work"):
        evaluate(warehouse, copied, PLAN)


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({}, "nothing to evaluate: ask for --walk-forward 8"),
        ({"walk_forward": -1}, "counts are 0 or more"),
        ({"blocks": 3, "tested": 3}, "3 of 3 blocks cannot be judged"),
        ({"blocks": 3, "tested": 1}, "1 of 3 blocks cannot be judged"),
    ],
)
def test_a_plan_that_is_none_is_refused(asked: dict[str, int], told: str) -> None:
    with pytest.raises(CallError, match=told):
        Plan(**asked)


def test_the_cut_out_of_fold_within_a_combination_is_in_time_and_purged(loaded: Loaded) -> None:
    for combination in combinatorial_purged(loaded.dataset.rows, interval=SERIES.grid, n_folds=6, n_test_folds=2):
        known, later = out_of_fold_cut(cut_around(loaded, combination).training)
        assert known.label_end_ms.max() <= later.open_time_ms[0]
        assert all(a < b for a, b in pairwise([*known.open_time_ms.tolist(), *later.open_time_ms.tolist()]))
