"""From predictions to the verdict, as a run does it, and the ledger of trials that the warehouse keeps."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from mmf.evaluation.backtest import Costs
from mmf.evaluation.suspicion import Finding
from mmf.evaluation.trials import Ledger
from mmf.features.registry import feature_set
from mmf.labels import LabelConfig
from mmf.pipeline.artifacts import RunArtifacts
from mmf.pipeline.build import build_features
from mmf.pipeline.config import Trading, TrainConfig
from mmf.pipeline.ingest import ingest
from mmf.pipeline.ledger import read_ledger
from mmf.pipeline.run import run
from mmf.pipeline.stages import RunResult
from mmf.pipeline.state import resolve_state
from mmf.pipeline.trading import trade
from tests.pipeline.sources import SERIES, ListSource, walk
from warehouse import Warehouse
from warehouse.query import connect

N_BARS = 2_700
CONFIG = TrainConfig(days=None)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("traded")


@pytest.fixture(scope="module")
def done(folder: Path) -> list[tuple[RunResult, RunArtifacts]]:
    """The same run twice, then one of another seed."""
    with Warehouse.open(folder / "w", create=True) as warehouse:
        ingest(warehouse, ListSource((walk(0, N_BARS),)), SERIES)
        build_features(warehouse, SERIES, feature_set("core"))
        state = resolve_state(warehouse, SERIES, "core")
        configs = (CONFIG, CONFIG, replace(CONFIG, seed=1))
        return [run(warehouse, state, config, artifacts=folder / "artifacts") for config in configs]


def test_a_repeated_run_is_no_new_trial_and_another_seed_is_one(done: list[tuple[RunResult, RunArtifacts]]) -> None:
    assert [saved.content["verdict"]["n_trials"] for _, saved in done] == [1, 1, 2]
    assert [result.traded.trials.height for result, _ in done] == [0, 0, 1]
    first, repeated, other = (result.traded for result, _ in done)
    assert repeated.verdict.as_dict() == first.verdict.as_dict()
    assert (first.overfitting_probability is None, other.overfitting_probability is None) == (True, False)


def test_predictions_traded_by_other_rules_are_a_trial_and_at_other_costs_none(
    done: list[tuple[RunResult, RunArtifacts]], folder: Path
) -> None:
    result, saved = done[0]
    with Warehouse.open(folder / "w") as warehouse:
        ledger = read_ledger(warehouse, str(SERIES))
    hashed = saved.content["hashes"]["predictions"]

    def n_trials(config: TrainConfig) -> int:
        told = trade(result.prepared, result.trained, result.judged, config, ledger=ledger, predictions_hash=hashed)
        return told.verdict.n_trials

    assert n_trials(CONFIG) == 2  # itself, and that of another seed
    assert n_trials(replace(CONFIG, costs=Costs(fee=0.001))) == 2
    assert n_trials(replace(CONFIG, trading=Trading(exit="barriers"))) == 3


def test_the_backtest_trades_the_judged_bars_at_the_threshold(done: list[tuple[RunResult, RunArtifacts]]) -> None:
    result, _ = done[0]
    predictions, traded = result.judged.predictions, result.traded
    assert traded.equity["open_time"].to_list() == predictions["open_time"].to_list()
    assert traded.equity["close"].to_list() == predictions["close"].to_list()
    is_long = predictions["probability"].to_numpy() > result.trained.thresholds["mixture"]
    signalled = predictions["open_time"].shift(-1).filter(is_long).to_list()
    assert set(traded.trades["entry_time"].to_list()) <= set(signalled)
    assert traded.verdict.performance.n_trades == traded.trades.height
    assert (traded.trades["symbol"] == SERIES.symbol).all()


def test_thresholds_are_chosen_before_the_first_judged_bar(done: list[tuple[RunResult, RunArtifacts]]) -> None:
    result, _ = done[0]
    sweep, oof = result.trained.sweep, result.trained.trader.oof_
    assert sweep.filter("is_chosen")["threshold"].item() == result.trained.thresholds["mixture"]
    assert oof["open_time"].max() < result.judged.predictions["open_time"].min()
    counts = [(oof["probability"].to_numpy() > cut).sum() for cut in sweep["threshold"]]
    assert sweep["n_signals"].to_list() == counts


def test_costs_change_no_trade_and_never_help(done: list[tuple[RunResult, RunArtifacts]]) -> None:
    table = done[0][0].traded.cost_sensitivity
    assert table["factor"].to_list() == [0.0, 0.5, 1.0, 1.5, 2.0, 3.0]
    assert table["net_return"].is_sorted(descending=True)
    assert table["hit_rate"].drop_nulls().is_sorted(descending=True)
    assert table.filter(factor=1.0)["net_return"].item() == done[0][0].traded.verdict.performance.net_return


def test_funding_is_paid_where_it_is_known(done: list[tuple[RunResult, RunArtifacts]]) -> None:
    result, _ = done[0]
    assert not result.traded.has_funding
    times = result.judged.predictions["open_time"].gather_every(8)
    funding = pl.DataFrame({"symbol": SERIES.symbol, "funding_time": times, "rate": np.full(len(times), 1e-3)})
    dear = replace(result.prepared, funding=funding)
    traded = trade(dear, result.trained, result.judged, CONFIG, ledger=Ledger(), predictions_hash="")
    assert traded.has_funding
    assert traded.trades["entry_time"].equals(result.traded.trades["entry_time"])
    assert traded.trades["funding"].min() > 0
    assert (traded.trades["net_return"] < result.traded.trades["net_return"]).all()
    assert traded.equity["buy_and_hold"][-1] < result.traded.equity["buy_and_hold"][-1]


@pytest.mark.parametrize("leaks_in", ["columns", "scores"])
def test_a_gain_with_a_leak_is_suspicious_and_no_edge(
    done: list[tuple[RunResult, RunArtifacts]], leaks_in: str
) -> None:
    result, _ = done[0]
    foresight = result.judged.predictions.with_columns(probability=pl.col("label").fill_null(0.0))
    judged = replace(result.judged, predictions=foresight, suspicious=[])
    finding = Finding("tomorrow", "label", auc=1.0, at_least=0.99, limit=0.72)
    leaky = replace(judged, suspicious=[finding]) if leaks_in == "scores" else judged
    columns = [finding] if leaks_in == "columns" else []

    honest, taken_back = (
        trade(
            result.prepared, result.trained, one, CONFIG, ledger=Ledger(), predictions_hash="", suspicious=suspicious
        ).verdict
        for one, suspicious in ((judged, []), (leaky, columns))
    )

    assert honest.answer in ("edge", "inconclusive")  # few bars, few trades
    assert taken_back.answer == "suspicious"
    assert "tomorrow may know the future" in taken_back.sentences[0]


def test_the_run_folder_and_sql_hold_the_same_tables(done: list[tuple[RunResult, RunArtifacts]], folder: Path) -> None:
    result, saved = done[-1]
    stored = {path.stem: pl.read_parquet(path) for path in (saved.folder / "tables").iterdir()}
    assert stored["equity"].equals(result.traded.equity)
    assert stored["trials"]["run_id"].to_list() == [done[0][1].run_id, saved.run_id]
    assert stored["market"].columns == ["open_time", "symbol", "hurst_200", "entropy_200", "fdi_200"]
    assert set(stored["score_intervals"]["model"]) == set(saved.content["scores"])
    assert json.loads((saved.folder / "card.json").read_text())["verdict"] == saved.content["verdict"]
    with Warehouse.open(folder / "w") as warehouse, warehouse.pin() as snapshot, connect(snapshot) as connection:
        query = "select count(*) as n from equity where run_id = $run"
        n_bars = connection.sql(query, params={"run": saved.run_id}).pl().item()
        trials = connection.sql("select * from trials order by run_id").pl()
        n_cuts = connection.sql("select count(*) from threshold_sweep where is_chosen").pl().item()
    assert n_bars == result.traded.equity.height
    assert trials["net_return"].to_list() == [one.content["verdict"]["performance"]["net_return"] for _, one in done]
    assert n_cuts == 3


LOGGED = {
    "trades": "trades",
    "equity": "equity",
    "threshold_sweep": "threshold_sweep",
    "cost_sensitivity": "cost_sensitivity",
    "random_schedules": "random_schedules",
    "scores": "score_intervals",
    "drift": "drift",
    "epochs": "epochs",
}


@pytest.mark.parametrize(("table", "file"), LOGGED.items())
def test_what_a_report_draws_is_a_table_for_sql(
    done: list[tuple[RunResult, RunArtifacts]], folder: Path, table: str, file: str
) -> None:
    _, saved = done[-1]
    drawn = pl.read_parquet(saved.folder / "tables" / f"{file}.parquet")
    asked = sql_table(folder, table, saved.run_id)
    assert asked.rename({"feature": "column"}, strict=False).equals(drawn)
    assert not drawn.is_empty()


def test_the_reliability_curve_of_the_card_is_a_table_for_sql(
    done: list[tuple[RunResult, RunArtifacts]], folder: Path
) -> None:
    _, saved = done[-1]
    assert sql_table(folder, "reliability", saved.run_id).to_dicts() == saved.content["reliability"]


@pytest.mark.parametrize("table", [*LOGGED, "reliability"])
def test_a_view_of_nothing_has_the_columns_of_the_table(
    done: list[tuple[RunResult, RunArtifacts]], folder: Path, tmp_path: Path, table: str
) -> None:
    stored = sql_table(folder, table, done[-1][1].run_id)
    with Warehouse.open(tmp_path / "empty", create=True) as empty, empty.pin() as snapshot:
        nothing = connect(snapshot).sql(f"select * exclude (run_id) from {table}").pl()
    kinds = {name: kind for name, kind in stored.schema.items() if not kind.is_temporal()}
    assert nothing.columns == stored.columns
    assert {name: nothing.schema[name] for name in kinds} == kinds


def sql_table(folder: Path, name: str, run_id: str) -> pl.DataFrame:
    with Warehouse.open(folder / "w") as warehouse, warehouse.pin() as snapshot, connect(snapshot) as connection:
        query = f"select * exclude (run_id) from {name} where run_id = $run"
        return connection.sql(query, params={"run": run_id}).pl()


def test_the_ledger_counts_runs_from_before_there_was_a_verdict(folder: Path, done: object) -> None:
    with Warehouse.open(folder / "w") as warehouse:
        card = {"run_id": "20200101T000000-000000", "series": str(SERIES), "hashes": {"predictions": "old"}}
        warehouse.save_run(
            card["run_id"], kind="train", status="finished", table_state="core@v1@S2", config={}, card=card
        )
        ledger = read_ledger(warehouse, str(SERIES))
        assert ledger.others("x", None)["run_id"][0] == card["run_id"]
        assert ledger.trials["net_return"][0] is None
        assert read_ledger(warehouse, "bybit:linear:OTHER:60").trials.is_empty()


def test_positions_end_as_the_label_does_unless_asked() -> None:
    barriers = LabelConfig(kind="triple_barrier", take_profit=0.03, stop_loss=0.02)
    assert TrainConfig().rules.exit == "horizon"
    rules = TrainConfig(label=barriers).rules
    assert (rules.exit, rules.take_profit, rules.stop_loss) == ("barriers", 0.03, 0.02)
    assert TrainConfig(label=barriers, trading=Trading(exit="horizon")).rules.exit == "horizon"
    assert TrainConfig(label=replace(barriers, barrier="atr")).rules.exit == "horizon"
    assert TrainConfig(costs=Costs(fee=0.01)).as_dict()["costs"] == {"fee": 0.01, "slippage": 0.0002}
