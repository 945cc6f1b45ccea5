import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from scipy.special import expit, logit
from sklearn.base import clone
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import KFold
from threadpoolctl import threadpool_limits

from mmf.errors import CallError, DataError, LeakError
from mmf.experts.range import RangeExpert
from mmf.experts.registry import build_experts
from mmf.experts.trend import TrendExpert
from mmf.gate import GatingNetwork
from mmf.impute import MedianImputer
from mmf.rows import PHYSICS_TRIO, Rows, TrainingRows
from mmf.scheduler import Effort
from mmf.splits import out_of_fold_cut
from mmf.trader import MoneyMachineTrader
from tests.experts.synthetic import HORIZON, HOUR_MS, market_rows, training

EFFORT = Effort(n_estimators=15, epochs=10)
NAMES = ("trend", "range", "stress")


def new_trader(names=NAMES, *, seed=0):
    experts = build_experts(names)
    if "trend" in experts:
        experts["trend"] = TrendExpert(min_samples_leaf=20)
    return MoneyMachineTrader(experts=experts, gate=GatingNetwork(), seed=seed)


@pytest.fixture(scope="module")
def market():
    return market_rows(1_600, signal=0.3)


@pytest.fixture(scope="module")
def fit_rows(market):
    return TrainingRows.of(market.take(np.arange(1_200)), known_before_ms=int(market.label_end_ms[1_199]))


@pytest.fixture(scope="module")
def fitted(fit_rows):
    return new_trader().fit(fit_rows, effort=EFFORT)


def test_prediction_is_one_row_each_with_opinions_and_weights(fitted, market):
    predicted = fitted.predict(market)
    assert predicted.columns == [
        "open_time",
        "probability",
        "is_padded",
        *(f"{name}_probability" for name in NAMES),
        *(f"{name}_weight" for name in NAMES),
    ]
    assert predicted.schema["open_time"] == pl.Datetime("ms", "UTC")
    assert predicted["open_time"].dt.epoch("ms").to_list() == market.open_time_ms.tolist()
    assert predicted.drop("open_time").null_count().sum_horizontal().item() == 0
    assert predicted["probability"].is_between(0, 1).all()
    assert not predicted["is_padded"].any()  # none of these experts looks back


def test_probability_is_the_calibrated_mixture(fitted, market):
    predicted = fitted.predict(market)
    opinions = predicted.select(f"{name}_probability" for name in NAMES).to_numpy()
    weights = predicted.select(f"{name}_weight" for name in NAMES).to_numpy()
    np.testing.assert_allclose(weights.sum(axis=1), 1.0, atol=1e-12)
    mixture = (opinions * weights).sum(axis=1)
    platt = fitted.calibration_
    np.testing.assert_allclose(predicted["probability"], expit(platt.slope * logit(mixture) + platt.intercept))


def test_final_experts_are_fitted_on_all_training_rows(fitted, fit_rows):
    X = MedianImputer().fit_rows(fit_rows).transform(fit_rows.x)
    alone = RangeExpert().fit(X, fit_rows.label, effort=EFFORT)
    assert fitted.experts_["range"].vital_signs() == {"range_memory_units": fit_rows.x.size}
    np.testing.assert_array_equal(fitted.predict(fit_rows)["range_probability"], alone.predict_proba(X))


def test_out_of_fold_record_is_of_experts_fitted_on_the_earlier_part(fitted, fit_rows):
    early, late = out_of_fold_cut(fit_rows)
    imputer = MedianImputer().fit_rows(early)
    for name in ("range", "stress"):
        alone = clone(build_experts([name])[name])
        alone.fit(imputer.transform(early.x), early.label, effort=EFFORT)
        expected = alone.predict_proba(imputer.transform(late.x))
        np.testing.assert_array_equal(fitted.oof_[f"{name}_probability"], expected)
    assert fitted.oof_["open_time"].dt.epoch("ms").to_list() == late.open_time_ms.tolist()
    assert fitted.oof_["label"].to_list() == late.label.tolist()
    assert set(fitted.oof_.columns) == {*fitted.predict(late).columns, "label"}


def test_no_label_of_the_later_part_reaches_an_out_of_fold_opinion(fitted, fit_rows):
    _, late = out_of_fold_cut(fit_rows)
    is_late = fit_rows.open_time_ms >= late.open_time_ms[0]
    flipped = replace(fit_rows, label=np.where(is_late, 1 - fit_rows.label, fit_rows.label))
    other = new_trader().fit(flipped, effort=EFFORT)
    for name in NAMES:
        np.testing.assert_array_equal(other.oof_[f"{name}_probability"], fitted.oof_[f"{name}_probability"])
    assert other.calibration_ != fitted.calibration_


def test_labels_not_known_when_the_later_part_begins_reach_no_opinion(fitted, fit_rows):
    _, late = out_of_fold_cut(fit_rows)
    starts = late.open_time_ms[0]
    is_purged = (fit_rows.open_time_ms < starts) & (fit_rows.label_end_ms > starts)
    assert is_purged.sum() == HORIZON
    flipped = replace(fit_rows, label=np.where(is_purged, 1 - fit_rows.label, fit_rows.label))
    other = new_trader().fit(flipped, effort=EFFORT)
    np.testing.assert_array_equal(other.oof_.drop("label").to_numpy(), fitted.oof_.drop("label").to_numpy())
    assert other.calibration_ == fitted.calibration_


def test_test_rows_move_neither_gate_nor_calibration_nor_experts(fitted, market):
    altered = replace(market, x=market.x.copy(), label=market.label.copy())
    altered.x[1_200:] *= -7
    altered.label[1_200:] = 1 - altered.label[1_200:]
    admitted = TrainingRows.of(altered.take(np.arange(1_200)), known_before_ms=int(market.label_end_ms[1_199]))
    other = new_trader().fit(admitted, effort=EFFORT)
    assert other.calibration_ == fitted.calibration_
    judged = market.take(np.arange(1_200, 1_600))
    assert other.predict(judged).equals(fitted.predict(judged))


def test_other_rows_of_the_same_call_do_not_move_a_prediction(fitted, market):
    judged = market.take(np.arange(1_200, 1_600))
    apart = pl.concat([fitted.predict(judged.take(np.arange(i, i + 1))) for i in range(0, 400, 50)])
    together = fitted.predict(judged)[::50]
    np.testing.assert_allclose(apart["probability"], together["probability"], rtol=1e-6)


@pytest.mark.parametrize("names", [("range",), ("trend", "stress"), NAMES])
def test_any_choice_of_experts(names, fit_rows):
    trader = new_trader(names).fit(fit_rows, effort=EFFORT)
    predicted = trader.predict(fit_rows)
    assert [name for name in predicted.columns if name.endswith("_weight")] == [f"{name}_weight" for name in names]
    assert list(trader.experts_) == list(names)
    assert trader.vital_signs()["gating_network_params"] == 32 + 9 * len(names)


def test_vital_signs(fitted, fit_rows):
    signs = fitted.vital_signs()
    nodes = fitted.experts_["trend"].vital_signs()["trend_expert_nodes"]
    assert signs == {
        "gating_network_params": 59,
        "trend_expert_nodes": nodes,
        "range_memory_units": 1_200 * 8,
        "stress_coefficients": 9,
        "total": 59 + nodes + 9_600 + 9,
        "neural_params": 59,
    }


def test_two_experts_of_a_kind_add_up(fit_rows):
    experts = {"range": RangeExpert(), "range_wide": RangeExpert(n_neighbors=50)}
    trader = MoneyMachineTrader(experts=experts, gate=GatingNetwork()).fit(fit_rows, effort=EFFORT)
    assert trader.vital_signs()["range_memory_units"] == 2 * fit_rows.x.size


def test_a_collapse_is_named(fit_rows):
    strict = MoneyMachineTrader(experts=build_experts(NAMES), gate=GatingNetwork(collapse_share=0.34))
    strict.fit(fit_rows, effort=EFFORT)
    shares = strict.oof_.select(pl.mean(f"{name}_weight") for name in NAMES).row(0)
    assert max(shares) > 0.34
    assert strict.collapsed_on_ == NAMES[np.argmax(shares)]
    assert new_trader(("range",)).fit(fit_rows, effort=EFFORT).collapsed_on_ is None


def test_a_planted_signal_is_found_out_of_fold_and_out_of_sample(fitted, market):
    judged = market.take(np.arange(1_200 + HORIZON, 1_600))
    assert roc_auc_score(fitted.oof_["label"], fitted.oof_["probability"]) > 0.6
    assert roc_auc_score(judged.label, fitted.predict(judged)["probability"]) > 0.6
    assert not fitted.calibration_.is_flat


def test_same_bits_twice_and_whatever_the_number_of_threads(fitted, fit_rows, market):
    with threadpool_limits(1):
        other = new_trader().fit(fit_rows, effort=EFFORT)
    assert other.predict(market).equals(fitted.predict(market))
    assert other.oof_.equals(fitted.oof_)


def test_the_seed_reaches_experts_and_gate(fitted, fit_rows):
    other = new_trader(seed=5).fit(fit_rows, effort=EFFORT)
    assert other.experts_["trend"].seed == other.gate_.seed == 5
    assert not other.oof_["trend_probability"].equals(fitted.oof_["trend_probability"])


def test_what_was_passed_in_stays_unfitted(fit_rows):
    trader = new_trader()
    trader.fit(fit_rows, effort=EFFORT)
    assert not hasattr(trader.gate, "network_")
    assert not any(name.endswith("_") for expert in trader.experts.values() for name in vars(expert))


def test_undefined_features_count_as_medians_of_the_rows_fitted_on(fit_rows):
    holey = replace(fit_rows, x=fit_rows.x.copy())
    holey.x[::7, 4] = np.nan
    holey.x[::11, 1] = np.nan
    trader = new_trader().fit(holey, effort=EFFORT)
    filled = replace(holey, x=np.where(np.isnan(holey.x), np.nanmedian(holey.x, axis=0), holey.x))
    np.testing.assert_array_equal(
        trader.predict(holey)["range_probability"], trader.predict(filled)["range_probability"]
    )
    early, late = out_of_fold_cut(holey)
    X = np.where(np.isnan(early.x), np.nanmedian(early.x, axis=0), early.x)
    query = np.where(np.isnan(late.x), np.nanmedian(early.x, axis=0), late.x)
    alone = RangeExpert().fit(X, early.label, effort=EFFORT).predict_proba(query)
    np.testing.assert_array_equal(trader.oof_["range_probability"], alone)


def test_columns_are_found_by_name(fitted, market):
    turned = market.select(market.columns[::-1])
    assert fitted.predict(turned).equals(fitted.predict(market))


def test_same_bits_however_the_numbers_lie_in_memory(fitted, fit_rows, market):
    turned = replace(fit_rows, x=np.asfortranarray(fit_rows.x))
    other = new_trader().fit(turned, effort=EFFORT)
    assert other.predict(market).equals(fitted.predict(market))
    assert other.oof_.equals(fitted.oof_)


@pytest.mark.parametrize("n_threads", [1, 2])
def test_progress_tells_each_step(fit_rows, n_threads):
    told = []
    progress = lambda what, done: told.append((what, round(done, 3)))  # noqa: E731
    new_trader().fit(fit_rows, effort=EFFORT, n_threads=n_threads, progress=progress)
    fits = [
        (f"{name} expert, {fit}{end}")
        for name in NAMES
        for fit in ("out of fold", "all rows")
        for end in ("", ", done")
    ]
    assert sorted(what for what, _ in told[:-2]) == sorted(fits)
    assert [share for _, share in told] == sorted(share for _, share in told)
    assert told[0][1] == 0.0
    assert told[-2:] == [("gate", 0.99), ("done", 1.0)]
    if n_threads == 1:
        assert [what for what, _ in told[:-2]] == fits


def test_only_training_rows_are_fitted_on(market):
    with pytest.raises(CallError, match="fitted on TrainingRows, got Rows"):
        new_trader().fit(market, effort=EFFORT)
    with pytest.raises(LeakError, match="36 of 1200"):
        TrainingRows.of(market.take(np.arange(1_200)), known_before_ms=int(market.open_time_ms[1_200]))


def test_a_missing_trio_names_the_command(fit_rows):
    kept = tuple(name for name in fit_rows.columns if name != "entropy_200")
    with pytest.raises(DataError, match=r"entropy_200 not among the 7 columns .* run: mmf features build$"):
        new_trader().fit(fit_rows.select(kept), effort=EFFORT)


@pytest.mark.parametrize(("from_row", "part"), [(0, "the earlier part"), (720, "the later part")])
def test_both_parts_need_both_labels(fit_rows, from_row, part):
    label = fit_rows.label.copy()
    label[from_row : from_row + 720] = 1.0
    with pytest.raises(DataError, match=f"{part} of the training rows holds"):
        new_trader().fit(replace(fit_rows, label=label), effort=EFFORT)


def test_an_absent_column_is_named(fitted, market):
    with pytest.raises(DataError, match="'f2' is not among the 7 columns"):
        fitted.predict(market.select(tuple(name for name in market.columns if name != "f2")))


def test_no_rows(fitted, market):
    with pytest.raises(DataError, match="no rows to predict"):
        fitted.predict(market.take(np.arange(0)))


@pytest.mark.parametrize("experts", [{}, {"../etc": RangeExpert()}, {"Trend": TrendExpert()}])
def test_expert_names_are_checked(experts):
    with pytest.raises(CallError, match="expert"):
        MoneyMachineTrader(experts=experts, gate=GatingNetwork())


def shuffled_auc(rows: Rows) -> float:
    probability = np.empty(len(rows))
    for train, test in KFold(5, shuffle=True, random_state=0).split(rows.x):
        expert = RangeExpert().fit(rows.x[train], rows.label[train], effort=EFFORT)
        probability[test] = expert.predict_proba(rows.x[test])
    return roc_auc_score(rows.label, probability)


def out_of_fold_auc(rows: Rows) -> float:
    record = new_trader(("range",)).fit(training(rows), effort=EFFORT).oof_
    return roc_auc_score(record["label"], record["range_probability"])


def test_shuffled_folds_would_flatter_the_neighbours():
    markets = [market_rows(2_500, seed=seed) for seed in range(5)]  # nothing to be learned in any
    assert np.mean([shuffled_auc(rows) for rows in markets]) > 0.75
    assert np.mean([out_of_fold_auc(rows) for rows in markets]) == pytest.approx(0.5, abs=0.08)


@pytest.mark.real_bars
@pytest.mark.skipif("MMF_REAL_BARS" not in os.environ, reason="MMF_REAL_BARS is unset")
def test_shuffled_folds_would_flatter_the_neighbours_on_real_bars():
    rows = real_rows(6_000)
    assert shuffled_auc(rows) > 0.7
    assert out_of_fold_auc(rows) < 0.6


def real_rows(n: int) -> Rows:
    """Means and deviations of returns over several windows; the label is a rise over 36 bars."""
    bars = pl.read_parquet(Path(os.environ["MMF_REAL_BARS"]) / "klines/bybit_linear_BTCUSDT_60m.parquet")
    ret = pl.col("close").log().diff()
    windows = (5, 13, 34, 55, 89, 144, 200)
    frame = bars.select(
        pl.col("open_time").dt.epoch("ms").alias("time"),
        (pl.col("close").shift(-HORIZON) > 1.005 * pl.col("close")).cast(pl.Float64).alias("label"),
        *(ret.rolling_mean(w).cast(pl.Float32).alias(f"mean_{w}") for w in windows),
        *(ret.rolling_std(w).cast(pl.Float32).alias(f"std_{w}") for w in windows),
    )
    frame = frame.drop_nulls()[-n:]
    x = frame.drop("time", "label").to_numpy()
    columns = (*PHYSICS_TRIO, *(f"f{i}" for i in range(x.shape[1] - 3)))
    times = frame["time"].to_numpy()
    return Rows(times, x, columns, frame["label"].to_numpy(), times + (HORIZON + 1) * HOUR_MS)
