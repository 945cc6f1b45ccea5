from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from mmf.bars import BAR_SCHEMA
from mmf.errors import DataError
from mmf.features.registry import feature_set
from mmf.pipeline.artifacts import run_card
from mmf.pipeline.build import build_features
from mmf.pipeline.config import TrainConfig
from mmf.pipeline.dataset import load_dataset
from mmf.pipeline.ingest import ingest
from mmf.pipeline.prepare import prepare
from mmf.pipeline.run import run
from mmf.pipeline.stages import RunResult
from mmf.pipeline.state import resolve_state
from mmf.pipeline.train import fit, refine_early, select, train
from mmf.splits import out_of_fold_cut
from tests.pipeline.sources import HOUR_MS, SERIES, ListSource, walk
from warehouse import Warehouse
from warehouse.errors import ReadOnlyError

N_BARS = 2_700
CONFIG = TrainConfig(days=None)
CORE = feature_set("core")


def fill(warehouse: Warehouse, bars: pl.DataFrame) -> None:
    ingest(warehouse, ListSource((bars,)), SERIES)
    build_features(warehouse, SERIES, CORE)


def train_on(folder: Path, bars: pl.DataFrame) -> RunResult:
    with Warehouse.open(folder, create=True) as warehouse:
        fill(warehouse, bars)
        return train(warehouse, resolve_state(warehouse, SERIES, "core"), CONFIG)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> RunResult:
    return train_on(tmp_path_factory.mktemp("trained") / "w", walk(0, N_BARS))


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Warehouse]:
    with Warehouse.open(tmp_path_factory.mktemp("filled") / "w", create=True) as warehouse:
        fill(warehouse, walk(0, N_BARS))
        yield warehouse


def test_nothing_that_is_fitted_reads_the_judged_rows(trained: RunResult, tmp_path: Path) -> None:
    """Other bars from the first judged row on: everything fitted stays, to the last bit."""
    start = pl.lit(int(trained.prepared.judged.open_time_ms[0])).cast(BAR_SCHEMA["open_time"])
    factor = pl.when(pl.col("open_time") >= start).then(1.5 + (pl.int_range(pl.len()) % 7) / 20).otherwise(1.0)
    mutated = walk(0, N_BARS).with_columns(pl.col(name) * factor for name in ("open", "high", "low", "close"))
    other = train_on(tmp_path / "w", mutated)
    assert other.prepared.training.x.tobytes() == trained.prepared.training.x.tobytes()
    assert other.prepared.training.label.tobytes() == trained.prepared.training.label.tobytes()
    assert other.selected.council.votes_.equals(trained.selected.council.votes_)
    assert other.trained.recommendation == trained.trained.recommendation
    assert other.trained.thresholds == trained.trained.thresholds
    ours, theirs = trained.trained.trader, other.trained.trader
    assert theirs.oof_.equals(ours.oof_)
    assert theirs.calibration_ == ours.calibration_
    assert theirs.imputer_.median_.tobytes() == ours.imputer_.median_.tobytes()
    assert other.refined.flex is not None
    assert trained.refined.flex is not None
    assert other.refined.flex.report() == trained.refined.flex.report()
    judged = trained.prepared.judged
    assert other.refined.apply(judged).x.tobytes() == trained.refined.apply(judged).x.tobytes()
    rows = trained.refined.apply(judged)
    assert theirs.predict(rows).equals(ours.predict(rows))
    assert not other.judged.predictions.equals(trained.judged.predictions)  # or nothing was mutated


def test_predictions_hold_the_close_and_the_label_of_their_own_bar(trained: RunResult) -> None:
    close = walk(0, N_BARS)["close"].to_numpy()
    predictions = trained.judged.predictions
    place = predictions["open_time"].to_physical().to_numpy() // HOUR_MS
    assert predictions["close"].to_numpy().tolist() == close[place].tolist()
    is_over = place + 36 < N_BARS
    expected = close[place[is_over] + 36] / close[place[is_over]] - 1 > 0.005
    assert predictions["label"].to_numpy()[is_over].astype(bool).tolist() == expected.tolist()
    assert predictions["label"].null_count() == int((~is_over).sum()) == 36


def test_the_card_tells_training_rows_from_judged_rows(trained: RunResult) -> None:
    card = run_card("a-run", trained)
    assert len(set(card["hashes"].values())) == len(card["hashes"])
    assert card["rows"]["training"]["count"] + card["rows"]["judged"]["count"] + card["rows"]["purged"] == N_BARS - 413
    assert card["rows"]["purged"] == 36


def test_another_hurdle_gives_other_labels(filled: Warehouse) -> None:
    state = resolve_state(filled, SERIES, "core")
    rates = []
    for hurdle in (0.0, 0.05):
        label = type(CONFIG.label)(hurdle=hurdle)
        prepared = prepare(filled, state, TrainConfig(days=None, label=label))
        rates.append(prepared.training.label.mean())
    assert rates[0] > rates[1] + 0.1


def test_lags_at_the_first_row_are_those_of_the_whole_table(filled: Warehouse) -> None:
    with filled.pin() as snapshot:
        arguments = {"version": "core@v1", "base_columns": CORE.columns, "label": CONFIG.label}
        whole = load_dataset(snapshot, SERIES, **arguments)
        part = load_dataset(snapshot, SERIES, **arguments, days=90)
    n = len(part.rows)
    assert n == 90 * 24
    assert part.rows.x.tobytes() == np.ascontiguousarray(whole.rows.x[-n:]).tobytes()
    assert part.n_cold <= whole.n_cold


def test_rows_are_warm_only_where_their_largest_lag_is(tmp_path: Path) -> None:
    with Warehouse.open(tmp_path / "w", create=True) as warehouse:
        fill(warehouse, walk(0, CORE.memory + 500))
        with warehouse.pin() as snapshot:
            dataset = load_dataset(snapshot, SERIES, version="core@v1", base_columns=CORE.columns, label=CONFIG.label)
    assert dataset.n_cold == CORE.memory + 13 - 413


@pytest.mark.parametrize(
    "change",
    [walk(N_BARS, 5), walk(1_000, 1).with_columns(high=pl.col("high") * 1.01)],
    ids=["appended", "revised"],
)
def test_features_older_than_their_bars_are_refused(tmp_path: Path, change: pl.DataFrame) -> None:
    with Warehouse.open(tmp_path / "w", create=True) as warehouse:
        fill(warehouse, walk(0, N_BARS))
        ingest(warehouse, ListSource((change,)), SERIES)
        with pytest.raises(DataError, match=r"older than its bars.*mmf features build"):
            prepare(warehouse, resolve_state(warehouse, SERIES, "core"), CONFIG)
        older = resolve_state(warehouse, SERIES, "core@v1@S2")
        assert len(prepare(warehouse, older, CONFIG).training) > 0  # the older state is still what it was
        build_features(warehouse, SERIES, CORE)
        assert len(prepare(warehouse, resolve_state(warehouse, SERIES, "core"), CONFIG).training) > 0


def test_the_newest_version_is_that_which_the_series_has(filled: Warehouse) -> None:
    filled.register_version("core", "another definition", CORE.definitions())
    assert resolve_state(filled, SERIES, "core").version == "core@v1"
    with pytest.raises(DataError, match="holds no core@v2"):
        resolve_state(filled, SERIES, "core@v2")


def test_a_run_holds_its_snapshot_until_it_is_recorded(tmp_path: Path) -> None:
    with Warehouse.open(tmp_path / "w", create=True) as warehouse:
        fill(warehouse, walk(0, N_BARS))
        state = resolve_state(warehouse, SERIES, "core")

        def expire_meanwhile(step: str, share: float) -> None:
            ingest(warehouse, ListSource((walk(N_BARS, 1),)), SERIES)
            warehouse.expire(0)
            warehouse.collect(grace_s=0)

        _, saved = run(warehouse, state, CONFIG, artifacts=tmp_path / "artifacts", on_progress=expire_meanwhile)
        assert [run.run_id for run in warehouse.runs()] == [saved.run_id]


def test_a_warehouse_that_cannot_record_a_run_is_refused_before_training(filled: Warehouse, tmp_path: Path) -> None:
    with Warehouse.open(filled.root, read_only=True) as reader:
        state = resolve_state(reader, SERIES, "core")
        with pytest.raises(ReadOnlyError):
            run(reader, state, CONFIG, artifacts=tmp_path, on_stage=lambda _: pytest.fail("training began"))


def test_a_planted_leak_is_reported_and_not_celebrated(filled: Warehouse) -> None:
    state = resolve_state(filled, SERIES, "core")
    honest = prepare(filled, state, CONFIG)
    assert select(honest.training, CONFIG).suspicious == []
    close = honest.dataset.bars["close"].to_numpy()
    ahead = np.concatenate([close[36:] / close[:-36] - 1, np.zeros(36)]).astype(np.float32)
    place = np.searchsorted(honest.dataset.rows.open_time_ms, honest.training.open_time_ms)
    x = np.column_stack([honest.training.x, ahead[place]])
    leaky = replace(honest.training, x=x, columns=(*honest.training.columns, "too_good"))
    findings = select(leaky, CONFIG).suspicious
    assert [finding.subject for finding in findings] == ["too_good"]
    assert "may know the future" in findings[0].reason


def test_what_predicts_the_later_training_rows_has_not_seen_their_labels(
    trained: RunResult,
) -> None:
    """Other labels there: columns, refinery and experts that predict them stay, to the last bit."""
    prepared = trained.prepared
    _, late = out_of_fold_cut(prepared.training)
    is_late = np.isin(prepared.training.open_time_ms, late.open_time_ms)
    flipped = np.where(is_late, 1 - prepared.training.label, prepared.training.label)
    other = replace(prepared, training=replace(prepared.training, label=flipped))
    early = refine_early(prepared, CONFIG)
    assert refine_early(other, CONFIG).columns == early.columns
    again = fit(other, trained.refined, CONFIG, trained.trained.recommendation, early=early)
    ours, theirs = trained.trained.trader.oof_, again.trader.oof_
    models = [f"{name}_probability" for name in ("boosting", "graph", "range", "stress", "cnn")]
    assert theirs.select(models).equals(ours.select(models))
    assert not theirs["label"].equals(ours["label"])
