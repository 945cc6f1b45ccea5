"""One model of several series, from the warehouse to the trial ledger."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from mmf.bars import BAR_SCHEMA, Series
from mmf.errors import CallError, DataError
from mmf.features.registry import feature_set
from mmf.pipeline.artifacts import RunArtifacts
from mmf.pipeline.build import build_features
from mmf.pipeline.config import TrainConfig
from mmf.pipeline.dataset import load_dataset
from mmf.pipeline.ingest import ingest
from mmf.pipeline.judge import rows_of_horizon
from mmf.pipeline.ledger import read_ledger
from mmf.pipeline.predict import LoadedRun, predict
from mmf.pipeline.prepare import cut, load, prepare
from mmf.pipeline.run import run
from mmf.pipeline.schedule import advise
from mmf.pipeline.stages import RunResult
from mmf.pipeline.state import TableState, resolve_state
from mmf.splits import chronological_split
from tests.pipeline.sources import HOUR_MS, SERIES, ListSource, walk
from warehouse import Warehouse
from warehouse.query import connect

N_BARS = 2_600
HOLE = (1_700, 1_760)  # of the second symbol, in its training rows
OTHER = replace(SERIES, symbol="ETHUSDT")
CONFIG = TrainConfig(days=None, lags=(1,), experts=("trend", "stress"))
CORE = feature_set("core")


@dataclass
class Trained:
    warehouse: Warehouse
    artifacts: Path
    result: RunResult
    saved: RunArtifacts


def bars_of(series: Series) -> pl.DataFrame:
    bars = walk(0, N_BARS, seed=1 if series == SERIES else 2)
    return bars if series == SERIES else bars.filter(~pl.int_range(pl.len()).is_between(*HOLE))


def fill(warehouse: Warehouse, series: Series, bars: pl.DataFrame) -> None:
    ingest(warehouse, ListSource((bars,)), series)
    build_features(warehouse, series, CORE)


def state_of(warehouse: Warehouse) -> TableState:
    return resolve_state(warehouse, [OTHER, SERIES], "core")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trained]:
    folder = tmp_path_factory.mktemp("together")
    with Warehouse.open(folder / "w", create=True) as warehouse:
        for series in (SERIES, OTHER):
            fill(warehouse, series, bars_of(series))
        result, saved = run(warehouse, state_of(warehouse), CONFIG, artifacts=folder / "artifacts")
        yield Trained(warehouse, folder / "artifacts", result, saved)


def test_the_order_in_which_series_are_named_does_not_matter(trained: Trained) -> None:
    states = [resolve_state(trained.warehouse, order, "core") for order in ([SERIES, OTHER], [OTHER, SERIES])]
    assert states[0] == states[1]
    assert states[0].all_series == (SERIES, OTHER)


@pytest.mark.parametrize(
    ("series", "message"),
    [
        ([SERIES, replace(OTHER, interval="240")], "one interval, got 240 and 60"),
        ([SERIES, replace(SERIES, exchange="other")], "called BTCUSDT"),
        ([], "one series at least"),
    ],
)
def test_series_that_one_model_cannot_learn_from_are_refused(
    trained: Trained, series: list[Series], message: str
) -> None:
    with pytest.raises(CallError, match=message):
        resolve_state(trained.warehouse, series, "core")


def test_a_series_without_features_is_named(trained: Trained) -> None:
    stranger = replace(SERIES, symbol="XRPUSDT")
    with pytest.raises(DataError, match="no core of simulated:linear:XRPUSDT:60"):
        resolve_state(trained.warehouse, [SERIES, stranger], "core")


def test_each_row_and_bar_is_that_of_its_own_series(trained: Trained) -> None:
    dataset = trained.result.prepared.dataset
    with trained.warehouse.pin() as snapshot:
        settings = {"version": "core@v1", "base_columns": CORE.columns, "label": CONFIG.label, "lags": CONFIG.lags}
        for code, series in enumerate((SERIES, OTHER)):
            alone = load_dataset(snapshot, series, **settings)
            own = dataset.rows.of_symbol(code)
            assert own.x.tobytes() == np.ascontiguousarray(alone.rows.x).tobytes()
            assert np.array_equal(own.label, alone.rows.label, equal_nan=True)
            assert dataset.bars_of(code).equals(alone.bars)
    assert dataset.n_missing_bars == HOLE[1] - HOLE[0] + 1


def test_training_labels_of_every_symbol_end_before_the_first_judged_bar_of_any(trained: Trained) -> None:
    prepared = trained.result.prepared
    assert prepared.training.label_end_ms.max() <= prepared.judged.open_time_ms.min()
    assert set(prepared.training.symbol.tolist()) == set(prepared.judged.symbol.tolist()) == {0, 1}


def test_a_symbol_that_no_fit_would_see_is_refused(trained: Trained) -> None:
    loaded = load(trained.warehouse, state_of(trained.warehouse), CONFIG)
    split = chronological_split(loaded.dataset.rows)
    is_first = loaded.dataset.rows.symbol[split.train] == 0
    with pytest.raises(DataError, match="ETHUSDT has no training row: it was listed too late"):
        cut(loaded, replace(split, train=split.train[is_first]))


def test_later_bars_of_one_symbol_change_nothing_that_is_fitted(trained: Trained, tmp_path: Path) -> None:
    start = pl.lit(int(trained.result.prepared.judged.open_time_ms[0])).cast(BAR_SCHEMA["open_time"])
    factor = pl.when(pl.col("open_time") >= start).then(1.5 + (pl.int_range(pl.len()) % 7) / 20).otherwise(1.0)
    mutated = bars_of(OTHER).with_columns(pl.col(name) * factor for name in ("open", "high", "low", "close"))
    with Warehouse.open(tmp_path / "w", create=True) as warehouse:
        fill(warehouse, SERIES, bars_of(SERIES))
        fill(warehouse, OTHER, mutated)
        prepared = prepare(warehouse, state_of(warehouse), CONFIG)
    ours = trained.result.prepared
    assert prepared.training.x.tobytes() == ours.training.x.tobytes()
    assert prepared.training.label.tobytes() == ours.training.label.tobytes()
    assert prepared.judged.of_symbol(0).x.tobytes() == ours.judged.of_symbol(0).x.tobytes()
    assert prepared.judged.of_symbol(1).x.tobytes() != ours.judged.of_symbol(1).x.tobytes()


def test_predictions_hold_the_close_of_their_own_bar(trained: Trained) -> None:
    told = trained.result.judged.predictions
    for series in (SERIES, OTHER):
        own = told.filter(pl.col("symbol") == series.symbol)
        known = bars_of(series).select("open_time", pl.col("close").alias("known"))
        joined = own.join(known, on="open_time", how="left", maintain_order="left")
        assert joined["close"].to_list() == joined["known"].to_list()


def test_what_is_alike_in_time_counts_once(trained: Trained) -> None:
    scores = trained.result.judged.scores["mixture"]
    prepared = trained.result.prepared
    known = prepared.judged.take(~np.isnan(prepared.judged.label))
    assert scores.n == len(known) == 2 * len(np.unique(known.open_time_ms))
    assert scores.n_effective == len(known) / 2 / 36
    assert rows_of_horizon(prepared.judged.of_symbol(0), 36) == 36


def test_equity_is_the_mean_of_the_symbols_traded_by_themselves(trained: Trained) -> None:
    traded, told = trained.result.traded, trained.result.judged.predictions
    assert traded.equity["open_time"].to_list() == sorted(set(told["open_time"].to_list()))
    assert traded.equity["close"].null_count() == traded.equity.height
    assert set(traded.trades["symbol"].to_list()) <= {"BTCUSDT", "ETHUSDT"}
    assert traded.verdict.performance.n_trades == traded.trades.height
    last = [
        np.prod(1 + traded.trades.filter(pl.col("symbol") == one.symbol)["net_return"].to_numpy())
        for one in (SERIES, OTHER)
    ]
    assert traded.equity["equity"][-1] == pytest.approx(np.mean(last), rel=1e-9)


def test_the_run_is_recorded_for_each_of_its_series(trained: Trained) -> None:
    card = trained.saved.content
    assert card["series"] == ["simulated:linear:BTCUSDT:60", "simulated:linear:ETHUSDT:60"]
    for series in (SERIES, OTHER):
        assert read_ledger(trained.warehouse, str(series)).trials["run_id"].to_list() == [trained.saved.run_id]
    assert read_ledger(trained.warehouse, "simulated:linear:XRPUSDT:60").trials.is_empty()
    with trained.warehouse.pin() as snapshot:
        database = connect(snapshot)
        query = "select symbol, exchange, count(*) as n from predictions group by all order by all"
        stored = database.sql(query).pl().rows()
        trials = database.sql("select series from trials order by series").pl()["series"].to_list()
    assert trials == card["series"]
    counts = trained.result.judged.predictions.group_by("symbol").len().sort("symbol")["len"].to_list()
    assert stored == [(one.symbol, "simulated", n) for one, n in zip((SERIES, OTHER), counts, strict=True)]


def test_a_loaded_run_says_of_all_its_series_what_the_run_said(trained: Trained) -> None:
    loaded = LoadedRun.load(trained.saved.folder)
    assert loaded.all_series == (SERIES, OTHER)
    ours = pl.read_parquet(trained.saved.folder / "predictions.parquet").drop("label")
    with trained.warehouse.pin() as snapshot:
        newest = predict(snapshot, loaded, last=3)
        early = ours["open_time"][0]
        told = predict(snapshot, loaded, start=early)
    assert newest["symbol"].to_list() == ["BTCUSDT", "ETHUSDT"] * 3
    columns = [name for name in ours.columns if name in told.columns]
    assert len(columns) == len(ours.columns)
    assert_frame_equal(told.select(columns), ours, rel_tol=1e-5, abs_tol=1e-6)
    assert_frame_equal(newest.select(columns), ours.tail(6), rel_tol=1e-5, abs_tol=1e-6)
    assert (newest["is_long"] == (newest["probability"] > loaded.threshold)).all()


def test_the_scheduler_remembers_series_that_are_trained_together_apart_from_each_alone(trained: Trained) -> None:
    together = advise(trained.warehouse, state_of(trained.warehouse), CONFIG, artifacts=trained.artifacts)
    assert together.run_id == trained.saved.run_id
    assert any("0 bars have come since" in reason for reason in together.reasons)
    alone = advise(
        trained.warehouse, resolve_state(trained.warehouse, SERIES, "core"), CONFIG, artifacts=trained.artifacts
    )
    assert alone.reasons == ("no run with this configuration yet",)


def test_days_count_back_from_the_newest_bar_of_all(trained: Trained) -> None:
    prepared = prepare(trained.warehouse, state_of(trained.warehouse), replace(CONFIG, days=90))
    first = int(prepared.dataset.rows.open_time_ms[0])
    assert first == (N_BARS - 90 * 24) * HOUR_MS


def test_a_symbol_that_is_behind_hears_the_others_as_it_does_in_a_range(trained: Trained) -> None:
    """Last in this file: it brings in bars of the first symbol."""
    loaded = LoadedRun.load(trained.saved.folder)
    fill(trained.warehouse, SERIES, walk(0, N_BARS + 40, seed=1))
    with trained.warehouse.pin() as snapshot:
        told = {last: predict(snapshot, loaded, last=last) for last in (1, 50)}
        whole = predict(snapshot, loaded, start=told[50]["open_time"][0])
    for last, newest in told.items():
        assert newest["symbol"].value_counts(sort=True)["count"].to_list() == [last, last]
        known = newest.select("open_time", "symbol").join(whole, on=("open_time", "symbol"), how="left")
        assert_frame_equal(newest, known, rel_tol=1e-5, abs_tol=1e-6, check_column_order=False)
