"""The trader with experts that look back: temporal CNN and GraphVisionary."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
import torch
from scipy.special import logit
from sklearn.metrics import roc_auc_score

from mmf.errors import CallError
from mmf.experts.graph_visionary import GraphVisionary
from mmf.experts.protocol import Session
from mmf.experts.range import RangeExpert
from mmf.experts.stress import StressExpert
from mmf.experts.temporal_cnn import TemporalCNN
from mmf.experts.training import best_epoch
from mmf.experts.trend import TrendExpert
from mmf.gate import GatingNetwork
from mmf.impute import MedianImputer
from mmf.rows import Rows, TrainingRows
from mmf.scheduler import Effort
from mmf.splits import out_of_fold_cut
from mmf.trader import MoneyMachineTrader
from tests.experts.synthetic import HORIZON, market_rows

EFFORT = Effort(n_estimators=10, epochs=3)
FIRST, LAST = 100, 1_500  # of the training rows
N = 1_900
HOLE = np.arange(700, 720)  # stored rows that are not trained on


@pytest.fixture(scope="module")
def history() -> Rows:
    rows = market_rows(N, n_columns=10, signal=0.3)
    rows.x[::13, 5] = np.nan
    return rows


@pytest.fixture(scope="module")
def views(history):
    return {"selected": history.columns[:7], "latents": history.columns[3:]}


@pytest.fixture(scope="module")
def fit_rows(history):
    return training_rows(history)


@pytest.fixture(scope="module")
def fitted(fit_rows, history, views):
    return new_trader().fit(fit_rows, effort=EFFORT, history=history, views=views)


def training_rows(rows: Rows) -> TrainingRows:
    kept = np.setdiff1d(np.arange(FIRST, LAST), HOLE)
    return TrainingRows.of(rows.take(kept), known_before_ms=int(rows.label_end_ms[LAST - 1]))


def new_trader(*, seed=0, graph=None) -> MoneyMachineTrader:
    experts = {
        "trend": TrendExpert(graph=graph or GraphVisionary(hidden=4), min_samples_leaf=20),
        "range": RangeExpert(),
        "stress": StressExpert(),
        "cnn": TemporalCNN(channels=8, segment_bars=200),
    }
    return MoneyMachineTrader(experts=experts, gate=GatingNetwork(), seed=seed)


def test_predictions_name_experts_and_the_models_within_them(fitted, history):
    predicted = fitted.predict(history)
    names = ("trend", "range", "stress", "cnn")
    assert predicted.columns == [
        "open_time",
        "probability",
        "is_padded",
        *(f"{name}_probability" for name in (*names, "boosting", "graph")),
        *(f"{name}_weight" for name in names),
    ]
    assert predicted.null_count().sum_horizontal().item() == 0
    assert fitted.absent_ == {}
    assert fitted.vital_signs()["gating_network_params"] == 68


def test_the_trend_head_is_fitted_and_joins_boosting_and_graph(fitted, history):
    head = fitted.experts_["trend"].head_
    for table in (fitted.predict(history), fitted.oof_):
        parts = logit(table.select("boosting_probability", "graph_probability").to_numpy())
        np.testing.assert_allclose(table["trend_probability"], head.probability(parts), atol=1e-9)
    assert head.weights != (0.5, 0.5)
    assert head == fitted.gate_.heads_[0]


def test_neural_opinions_out_of_fold_are_those_of_networks_fitted_on_the_earlier_part(fitted, fit_rows, history, views):
    early, late = out_of_fold_cut(fit_rows)
    tail = early.take(np.arange(int(len(early) * 0.9), len(early)))
    n_first, n_late = (int(np.searchsorted(history.open_time_ms, part.open_time_ms[-1])) + 1 for part in (early, late))
    label = np.full(n_first, np.nan)
    label[np.isin(history.open_time_ms[:n_first], early.open_time_ms)] = early.label
    stop_on = np.isin(history.open_time_ms[:n_first], tail.open_time_ms)
    purged = ~stop_on & (history.label_end_ms[:n_first] > tail.open_time_ms[0])
    assert purged.sum() == HORIZON
    filled = MedianImputer().fit(early.matrix(views["latents"])).transform(history.matrix(views["latents"]))
    session = Session(stop_on=stop_on, purged=purged)
    cnn = TemporalCNN(channels=8, segment_bars=200).fit(filled[:n_first], label, effort=EFFORT, session=session)
    first = int(np.searchsorted(history.open_time_ms, late.open_time_ms[0]))
    told = cnn.predict_proba(filled[first - 315 : n_late])[315:]
    np.testing.assert_array_equal(fitted.oof_["cnn_probability"], told)
    epochs = fitted.epochs_.filter(pl.col("expert") == "cnn")
    early_epochs = epochs.filter(pl.col("fit") == "out of fold")
    assert early_epochs["validation_loss"].to_list() == [record.validation_loss for record in cnn.history_]
    assert epochs.filter(pl.col("fit") == "all rows").height == best_epoch(cnn.history_)


def test_labels_of_the_history_are_not_looked_at(fitted, fit_rows, history, views):
    flipped = replace(history, label=1 - history.label, label_end_ms=history.label_end_ms * 0)
    other = new_trader().fit(fit_rows, effort=EFFORT, history=flipped, views=views)
    assert other.oof_.equals(fitted.oof_)
    assert other.predict(history).equals(fitted.predict(history))


def test_judged_rows_change_nothing_that_is_fitted(fitted, history, views):
    altered = replace(history, x=history.x.copy(), label=history.label.copy())
    altered.x[LAST:] *= -7
    altered.label[LAST:] = 1 - altered.label[LAST:]
    other = new_trader().fit(training_rows(altered), effort=EFFORT, history=altered, views=views)
    assert other.oof_.equals(fitted.oof_)
    assert other.epochs_.equals(fitted.epochs_)
    assert other.predict(history).equals(fitted.predict(history))


def test_rows_that_are_stored_but_not_trained_on_are_context(fitted, fit_rows, history, views):
    altered = replace(history, x=history.x.copy())
    altered.x[HOLE, 4] += 3
    other = new_trader().fit(fit_rows, effort=EFFORT, history=altered, views=views)
    assert other.epochs_["loss"].to_list() != fitted.epochs_["loss"].to_list()
    for name in ("range", "stress"):
        np.testing.assert_array_equal(other.oof_[f"{name}_probability"], fitted.oof_[f"{name}_probability"])


def test_labels_that_reach_into_the_rows_of_early_stopping_are_not_trained_on(fitted, fit_rows, history, views):
    early, _ = out_of_fold_cut(fit_rows)
    starts = early.open_time_ms[int(len(early) * 0.9)]
    is_purged = (fit_rows.open_time_ms < starts) & (fit_rows.label_end_ms > starts)
    assert is_purged.sum() == HORIZON
    flipped = replace(fit_rows, label=np.where(is_purged, 1 - fit_rows.label, fit_rows.label))
    other = new_trader().fit(flipped, effort=EFFORT, history=history, views=views)
    is_early = pl.col("fit") == "out of fold"
    assert other.epochs_.filter(is_early).equals(fitted.epochs_.filter(is_early))
    for name in ("cnn", "graph"):
        assert other.oof_[f"{name}_probability"].equals(fitted.oof_[f"{name}_probability"])
    assert not other.oof_["boosting_probability"].equals(fitted.oof_["boosting_probability"])


@pytest.mark.parametrize("changed", [500, 1_600, N - 1])
def test_changed_bars_leave_earlier_predictions_as_they_were(fitted, history, changed):
    altered = replace(history, x=history.x.copy())
    altered.x[changed:] += 1
    before, after = fitted.predict(history), fitted.predict(altered)
    assert after[:changed].equals(before[:changed])
    assert after["cnn_probability"][changed] != before["cnn_probability"][changed]
    assert after["graph_probability"][changed] != before["graph_probability"][changed]


@pytest.mark.parametrize("n_threads", [1, 4])
def test_the_number_of_threads_changes_no_bit(fitted, fit_rows, history, views, n_threads):
    other = new_trader().fit(fit_rows, effort=EFFORT, history=history, views=views, n_threads=n_threads)
    assert other.oof_.equals(fitted.oof_)
    assert other.epochs_.equals(fitted.epochs_)
    assert other.predict(history).equals(fitted.predict(history))


def test_all_fits_compute_on_one_thread_each_and_the_caller_has_its_threads_back(fit_rows, history, views):
    before, seen = torch.get_num_threads(), set()
    torch.set_num_threads(2)
    try:
        watch = lambda what, _: seen.add(torch.get_num_threads()) if "expert" in what else None  # noqa: E731
        new_trader().fit(fit_rows, effort=Effort(2, 1), history=history, views=views, progress=watch)
        assert seen == {1}
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_the_seed_reaches_the_models_within_an_expert(fitted, fit_rows, history, views):
    other = new_trader(seed=5).fit(fit_rows, effort=EFFORT, history=history, views=views)
    assert other.experts_["trend"].graph.seed == other.experts_["cnn"].seed == 5
    assert not other.oof_["graph_probability"].equals(fitted.oof_["graph_probability"])
    assert not other.oof_["cnn_probability"].equals(fitted.oof_["cnn_probability"])


@pytest.mark.parametrize(
    "last_words",
    [
        "cnn expert, out of fold, epoch 2",
        "trend expert, out of fold, epoch 1",
        "cnn expert, out of fold, done",
        "cnn expert, all rows, epoch 1",
        "trend expert, all rows",
        "gate",
    ],
)
def test_an_interrupted_fit_goes_on_where_it_was_to_the_same_bits(fitted, history, views, tmp_path, last_words):
    def interrupt(what: str, _: float) -> None:
        if what == last_words:
            raise KeyboardInterrupt

    settings = {"effort": EFFORT, "history": history, "views": views, "folder": tmp_path / "fits"}
    with pytest.raises(KeyboardInterrupt):
        new_trader().fit(training_rows(history), progress=interrupt, **settings)
    resumed = new_trader().fit(training_rows(history), **settings)
    assert resumed.oof_.equals(fitted.oof_)
    assert resumed.epochs_.equals(fitted.epochs_)
    assert resumed.predict(history).equals(fitted.predict(history))
    assert resumed.experts_["trend"].head_ == fitted.experts_["trend"].head_


def test_what_is_finished_is_not_fitted_again(fit_rows, history, views, tmp_path):
    settings = {"effort": EFFORT, "history": history, "views": views, "folder": tmp_path}
    new_trader().fit(fit_rows, **settings)
    told: list[str] = []
    new_trader().fit(fit_rows, progress=lambda what, _: told.append(what), **settings)
    assert not [what for what in told if "epoch" in what]
    changed = replace(fit_rows, label=1 - fit_rows.label)
    new_trader().fit(changed, progress=lambda what, _: told.append(what), **settings)
    assert [what for what in told if "epoch" in what]


def test_rows_near_the_beginning_of_the_history_are_marked(fitted, history):
    padded = fitted.predict(history)["is_padded"]
    assert padded.to_list() == [True] * 315 + [False] * (N - 315)
    last = history.take(np.arange(N - 1, N))
    assert fitted.predict(last)["is_padded"].to_list() == [True]
    assert fitted.predict(last, history=history)["is_padded"].to_list() == [False]


def test_a_row_is_predicted_from_its_history_however_many_are_asked_for(fitted, history):
    together = fitted.predict(history)
    for row in (20, 400, N - 1):
        for known in (history.take(np.arange(row)), history.take(np.arange(row + 1)), history):
            alone = fitted.predict(history.take(np.arange(row, row + 1)), history=known)
            assert alone["open_time"][0] == together["open_time"][row]
            np.testing.assert_allclose(
                alone.drop("open_time").to_numpy(), together[row].drop("open_time").to_numpy(), rtol=1e-4
            )


def test_rows_apart_are_predicted_from_the_bars_between_them(fitted, history):
    rows = np.array([400, 900, 901, 1_700])
    apart = fitted.predict(history.take(rows), history=history)
    np.testing.assert_allclose(
        apart["cnn_probability"], fitted.predict(history)["cnn_probability"].to_numpy()[rows], atol=1e-6
    )


def test_without_latents_cnn_and_graph_are_left_out_and_named(fit_rows, history):
    trader = new_trader().fit(fit_rows, effort=EFFORT)
    assert set(trader.absent_) == {"cnn", "graph"}
    assert all("refinery" in reason for reason in trader.absent_.values())
    assert list(trader.experts_) == ["trend", "range", "stress"]
    assert not any(name.startswith(("cnn", "graph", "boosting")) for name in trader.predict(history).columns)
    assert trader.epochs_.is_empty()
    alone = MoneyMachineTrader(experts={"cnn": TemporalCNN()}, gate=GatingNetwork())
    with pytest.raises(CallError, match="no expert is left: cnn: it reads latents"):
        alone.fit(fit_rows, effort=EFFORT)


def test_views_may_hold_other_columns_than_the_trio(fit_rows, history):
    names = {"selected": history.columns[4:6], "latents": history.columns[6:]}
    trader = new_trader().fit(fit_rows, effort=EFFORT, history=history, views=names)
    assert trader.columns_ == (*history.columns[4:], *history.columns[:3])
    unread = replace(history, x=np.where(np.arange(10) == 3, np.float32(9e9), history.x))
    assert trader.predict(unread).equals(trader.predict(history))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda history: None, "need the history"),
        (lambda history: history.take(np.arange(1_000)), "rows are not in the history of 1000 bars"),
        (lambda history: replace(history, x=history.x + 1), "other features of the training rows"),
    ],
)
def test_a_history_that_does_not_hold_the_rows_is_refused(fit_rows, history, views, spoil, message):
    with pytest.raises(CallError, match=message):
        new_trader().fit(fit_rows, effort=EFFORT, history=spoil(history), views=views)


def test_two_experts_with_models_of_one_name_are_refused(fit_rows, history, views):
    joined = TrendExpert(graph=GraphVisionary(hidden=4))
    trader = MoneyMachineTrader(experts={"trend": joined, "slow": joined}, gate=GatingNetwork())
    with pytest.raises(CallError, match="'boosting' twice"):
        trader.fit(fit_rows, effort=EFFORT, history=history, views=views)


def test_every_expert_finds_a_planted_signal_out_of_fold():
    rows = market_rows(3_000, n_columns=6, signal=1.0, seed=3)
    views = {"selected": rows.columns, "latents": rows.columns[3:]}
    fit_rows = TrainingRows.of(rows, known_before_ms=int(rows.label_end_ms[-1]))
    trader = new_trader(graph=GraphVisionary(hidden=8, learning_rate=1e-2))
    record = trader.fit(fit_rows, effort=Effort(20, 12), history=rows, views=views).oof_
    for name in ("trend", "range", "stress", "cnn", "boosting", "graph"):
        assert roc_auc_score(record["label"], record[f"{name}_probability"]) > 0.65, name
    assert roc_auc_score(record["label"], record["probability"]) > 0.8


def test_where_nothing_can_be_learned_no_expert_learns_out_of_fold():
    found = []
    for seed in range(6):
        random = np.random.default_rng(seed)
        rows = market_rows(1_700, n_columns=6, seed=seed)
        rows = replace(rows, label=(random.random(len(rows)) < 0.4).astype(float))
        views = {"selected": rows.columns, "latents": rows.columns[3:]}
        fit_rows = TrainingRows.of(rows, known_before_ms=int(rows.label_end_ms[-1]))
        record = new_trader().fit(fit_rows, effort=EFFORT, history=rows, views=views).oof_
        names = ("trend", "range", "stress", "cnn", "graph")
        found.append([roc_auc_score(record["label"], record[f"{name}_probability"]) for name in names])
    means = np.mean(found, axis=0)
    assert ((means > 0.45) & (means < 0.55)).all()
    assert ((np.array(found) > 0.4) & (np.array(found) < 0.6)).all()
