"""One trader of several symbols."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from mmf import model_store
from mmf.errors import CallError, DataError
from mmf.experts.graph_visionary import GraphVisionary
from mmf.experts.range import RangeExpert
from mmf.experts.stress import StressExpert
from mmf.experts.temporal_cnn import TemporalCNN
from mmf.experts.trend import TrendExpert
from mmf.gate import GatingNetwork
from mmf.rows import Rows, TrainingRows
from mmf.scheduler import Effort
from mmf.trader import MoneyMachineTrader
from tests.experts.synthetic import market_rows, together

EFFORT = Effort(n_estimators=5, epochs=2)
SYMBOLS = ("ADA", "BTC", "ETH")
N, LAST = 1_300, 1_100  # instants, and those trained on
AWAY = slice(500, 560)  # ETH has no bars here


def rows_of(names: tuple[str, ...] = SYMBOLS) -> Rows:
    parts = {name: market_rows(N, n_columns=7, signal=0.3, seed=i) for i, name in enumerate(SYMBOLS)}
    parts["ETH"] = parts["ETH"].take(np.delete(np.arange(N), AWAY))
    return together({name: parts[name] for name in names})


@pytest.fixture(scope="module")
def history() -> Rows:
    rows = rows_of()
    rows.x[::13, 4] = np.nan
    return rows


@pytest.fixture(scope="module")
def fitted(history: Rows) -> MoneyMachineTrader:
    return fit(history)


def new_trader() -> MoneyMachineTrader:
    experts = {
        "trend": TrendExpert(graph=GraphVisionary(hidden=4), min_samples_leaf=20),
        "range": RangeExpert(),
        "stress": StressExpert(),
        "cnn": TemporalCNN(channels=8, segment_bars=200),
    }
    return MoneyMachineTrader(experts=experts, gate=GatingNetwork())


def fit(rows: Rows, **settings: object) -> MoneyMachineTrader:
    before = rows.take(rows.open_time_ms < LAST * 3_600_000)
    known = TrainingRows.of(before, known_before_ms=int(before.label_end_ms.max()))
    views = {"selected": rows.columns, "latents": rows.columns[3:]}
    return new_trader().fit(known, effort=EFFORT, history=rows, views=views, **settings)


def changed(rows: Rows, symbol: str, where: np.ndarray) -> Rows:
    other = replace(rows, x=rows.x.copy())
    other.x[(rows.symbol == rows.symbols.index(symbol)) & where] += 1.5
    return other


def of(table: pl.DataFrame, *names: str) -> pl.DataFrame:
    return table.filter(pl.col("symbol").is_in(names))


def test_predictions_name_symbols_and_hold_one_row_for_each_that_is_there(
    fitted: MoneyMachineTrader, history: Rows
) -> None:
    told = fitted.predict(history)
    assert told.columns[:3] == ["open_time", "symbol", "probability"]
    assert told["symbol"].to_list() == history.symbol_names.to_list()
    assert told.null_count().sum_horizontal().item() == 0
    assert fitted.oof_.columns[:4] == ["open_time", "label", "symbol", "probability"]
    assert told.filter(pl.col("is_padded")).group_by("symbol").len()["len"].to_list() == [315] * 3


def test_experts_read_the_symbol_and_the_gate_the_trio_alone(fitted: MoneyMachineTrader, history: Rows) -> None:
    names = ("symbol=ADA", "symbol=BTC", "symbol=ETH")
    assert all(columns[-3:] == names for columns in fitted.views_.values())
    one = history.take(history.open_time_ms == history.open_time_ms[0])
    same = replace(one, x=np.repeat(one.x[:1], len(one), axis=0))
    told = fitted.predict(same)
    assert len(set(told["stress_probability"].to_list())) == len(one) > 1
    assert told.select(pl.col("^.*_weight$").n_unique()).row(0) == (1,) * 4
    assert fitted.vital_signs()["gating_network_params"] == 68


@pytest.mark.parametrize("at", [700, 1_250])
def test_a_later_change_of_one_symbol_leaves_earlier_outputs_of_all_as_they_were(
    fitted: MoneyMachineTrader, history: Rows, at: int
) -> None:
    is_later = history.open_time_ms >= at * 3_600_000
    before, after = fitted.predict(history), fitted.predict(changed(history, "ETH", is_later))
    assert after.filter(~is_later).equals(before.filter(~is_later))
    assert not of(after, "ETH").filter(pl.int_range(pl.len()) >= at).equals(of(before, "ETH").tail(N - 60 - at))


def test_what_is_fitted_reads_nothing_later_of_any_symbol(fitted: MoneyMachineTrader, history: Rows) -> None:
    is_judged = history.open_time_ms >= LAST * 3_600_000
    altered = changed(history, "BTC", is_judged)
    other = fit(replace(altered, label=np.where(is_judged, 1 - altered.label, altered.label)))
    assert other.oof_.equals(fitted.oof_)
    assert other.epochs_.equals(fitted.epochs_)


def test_the_graph_alone_hears_other_symbols(fitted: MoneyMachineTrader, history: Rows) -> None:
    everywhere = np.ones(len(history), bool)
    before, after = fitted.predict(history), fitted.predict(changed(history, "ETH", everywhere))
    others = of(before, "ADA", "BTC"), of(after, "ADA", "BTC")
    for name in ("boosting", "range", "stress", "cnn"):
        assert others[0][f"{name}_probability"].equals(others[1][f"{name}_probability"]), name
    heard = np.flatnonzero(others[0]["graph_probability"] != others[1]["graph_probability"])
    times = others[0]["open_time"].to_physical().to_numpy()[heard] // 3_600_000
    assert len(times) > 1_000
    assert not np.isin(times, np.arange(AWAY.start, AWAY.stop)).any()  # nobody hears a symbol that is not there


def test_some_of_the_symbols_may_be_asked_about_and_strangers_may_not(
    fitted: MoneyMachineTrader, history: Rows
) -> None:
    alone = fitted.predict(history.of_symbol(1))
    for name in ("boosting", "range", "stress", "cnn"):
        known = of(fitted.predict(history), "BTC")[f"{name}_probability"].to_numpy()
        np.testing.assert_allclose(alone[f"{name}_probability"], known, atol=1e-6)
    with pytest.raises(DataError, match="DOGE is not among the symbols ADA, BTC, ETH"):
        fitted.predict(replace(history.of_symbol(1), symbols=("DOGE",)))


def test_rows_apart_read_each_symbols_own_history(fitted: MoneyMachineTrader, history: Rows) -> None:
    rows = np.array([400, 401, 2_000, len(history) - 1])
    apart = fitted.predict(history.take(rows), history=history)
    whole = fitted.predict(history)[rows.tolist()]
    columns = pl.exclude("open_time", "symbol", "is_padded")
    np.testing.assert_allclose(apart.select(columns).to_numpy(), whole.select(columns).to_numpy(), atol=1e-6)
    assert apart["is_padded"].equals(whole["is_padded"])


def test_a_history_that_lacks_a_symbol_is_refused(history: Rows) -> None:
    fewer = rows_of(("BTC", "ETH"))
    before = history.take(history.open_time_ms < LAST * 3_600_000)
    known = TrainingRows.of(before, known_before_ms=int(before.label_end_ms.max()))
    views = {"selected": known.columns, "latents": known.columns[3:]}
    with pytest.raises(CallError, match="1100 of 3240 rows are not in the history"):
        new_trader().fit(known, effort=EFFORT, history=fewer, views=views)


def test_a_stored_trader_of_several_symbols_predicts_the_same_bits(
    fitted: MoneyMachineTrader, history: Rows, tmp_path
) -> None:
    model_store.save(fitted, tmp_path / "model")
    stored = model_store.load(tmp_path / "model").trader
    assert stored.symbols_ == SYMBOLS
    assert stored.predict(history).equals(fitted.predict(history))
    assert stored.oof_.equals(fitted.oof_)


def test_an_interrupted_fit_goes_on_to_the_same_bits(fitted: MoneyMachineTrader, history: Rows, tmp_path) -> None:
    def interrupt(what: str, _: float) -> None:
        if what == "cnn expert, out of fold, epoch 1":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(history, folder=tmp_path, progress=interrupt)
    resumed = fit(history, folder=tmp_path)
    assert resumed.oof_.equals(fitted.oof_)
    assert resumed.predict(history).equals(fitted.predict(history))
