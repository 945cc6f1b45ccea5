import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from sklearn.metrics import roc_auc_score

from mmf.bars import Interval
from mmf.errors import CallError, DataError
from mmf.evaluation import suspicion
from mmf.evaluation.scores import evaluate
from mmf.evaluation.suspicion import suspicious_columns, suspicious_scores
from mmf.features.build import compute_columns
from mmf.features.registry import feature_set
from mmf.labels import LabelConfig, make_labels
from mmf.markets.simulated import MarketConfig, SimulatedMarket
from mmf.rows import Rows, TrainingRows

HOUR_MS = 3_600_000
HORIZON = 36
CORE = feature_set("core")


def training(open_time_ms, x, columns, label):
    end_ms = open_time_ms + (HORIZON + 1) * HOUR_MS
    rows = Rows(open_time_ms, x.astype(np.float32), tuple(columns), label, end_ms)
    return TrainingRows.of(rows, known_before_ms=int(end_ms.max()))


def walk(n=6_000, *, seed=0, p=20):
    """Columns of a random walk that know nothing, slow and quick ones, and the returns to come."""
    rng = np.random.default_rng(seed)
    returns = rng.normal(0, 0.005, n + HORIZON)
    log_price = np.cumsum(returns)
    future = {k: log_price[k : n + k] - log_price[:n] for k in (1, 2, 3, 6, 9, 12, 24, 36)}
    slow = np.cumsum(rng.normal(size=(n, p)), axis=0)
    x = np.column_stack([returns[:n], slow, rng.normal(size=(n, p))])
    columns = ("log_return", *(f"slow_{j}" for j in range(p)), *(f"quick_{j}" for j in range(p)))
    label = (future[HORIZON] > 0.005).astype(float)
    return training(np.arange(n) * HOUR_MS, x, columns, label), future


def with_column(rows, name, column):
    x = np.column_stack([rows.x, column.astype(np.float32)])
    return replace(rows, x=x, columns=(*rows.columns, name))


def rows_of_bars(bars, *, interval="60"):
    """All columns of the catalogue and the label, as training sees them."""
    columns = compute_columns(CORE, bars, n_own=bars.height)
    label = make_labels(bars, interval=Interval(interval), config=LabelConfig())["label"].to_numpy()
    keep = np.flatnonzero(~np.isnan(label.astype(float)))
    keep = keep[keep >= 413]
    x = np.column_stack([values[keep] for values in columns.values()])
    return training(bars["open_time"].to_physical().to_numpy()[keep], x, columns, label[keep].astype(float))


def future_return(rows_columns, rows, bars):
    log_close = np.log(bars["close"].to_numpy())
    place = np.searchsorted(bars["open_time"].to_physical().to_numpy(), rows.open_time_ms)
    return log_close[place + rows_columns] - log_close[place]


def test_columns_that_know_nothing_are_not_suspicious():
    for seed in range(5):
        assert suspicious_columns(walk(seed=seed)[0]) == []


@pytest.mark.parametrize("bars_ahead", [1, 2, 3, 6, 9, 12, 24, 36])
def test_the_return_to_come_is_found_whatever_its_length(bars_ahead):
    rows, future = walk()

    findings = suspicious_columns(with_column(rows, "ahead", future[bars_ahead]))

    assert {finding.subject for finding in findings} == {"ahead"}
    assert "ahead tells" in findings[0].reason
    assert "features audit" in findings[0].reason
    assert findings[0].as_dict()["at_least"] > findings[0].limit


def test_the_label_itself_is_found_and_its_sign_does_not_matter():
    rows, _ = walk()

    (finding, *_) = suspicious_columns(with_column(rows, "ahead", -rows.label))

    assert (finding.subject, finding.against) == ("ahead", "label")
    assert (finding.auc, finding.at_least) == pytest.approx((1, 1), abs=1e-5)


def test_lags_of_a_leak_are_one_finding():
    rows, future = walk()
    leak = future[36]
    lagged = with_column(with_column(rows, "ahead", leak), "ahead_lag_1", np.roll(leak, 1))

    label, *rest = [finding for finding in suspicious_columns(lagged) if finding.against == "label"]

    assert (label.subject, label.also, rest) == ("ahead", ("ahead_lag_1",), [])


def test_a_lag_that_looks_ahead_is_found_though_its_base_is_honest():
    rows, _ = walk()
    shifted = np.roll(rows.x[:, 0], -1)  # the sign of the shift is wrong

    (finding,) = suspicious_columns(with_column(rows, "log_return_lag_1", shifted))

    assert (finding.subject, finding.against) == ("log_return_lag_1", "next bar")


def test_the_next_bar_is_asked_only_where_rows_follow_each_other():
    rows, _ = walk()
    every_third = rows.take(np.flatnonzero(np.arange(len(rows)) % 3 != 2))  # a hole after every other row
    following = np.append(every_third.x[1:, 0], 0)  # the next stored row, across the holes too

    is_followed, rises = suspicion._next_bar(every_third)

    np.testing.assert_array_equal(np.flatnonzero(is_followed), np.arange(0, len(every_third) - 1, 2))
    np.testing.assert_array_equal(rises, following[is_followed] > 0)


def test_without_the_returns_the_label_alone_is_asked():
    rows, future = walk()
    plain = rows.select(rows.columns[1:])

    assert suspicious_columns(with_column(plain, "ahead", future[1])) == []
    assert suspicious_columns(with_column(plain, "ahead", future[36])) != []


def test_what_volatility_tells_raises_the_limit():
    rows, _ = walk(20_000)
    rng = np.random.default_rng(5)
    volatility = rows.label + 0.8 * rng.normal(size=len(rows))  # an AUC near 0.81
    twin = rows.label + 0.8 * rng.normal(size=len(rows))

    assert [finding.subject for finding in suspicious_columns(with_column(rows, "twin", twin))] == ["twin"]
    both = with_column(with_column(rows, "twin", twin), "volatility_20", volatility)
    assert suspicious_columns(both) == []
    assert [finding.subject for finding in suspicious_columns(with_column(both, "ahead", rows.label))] == ["ahead"]


def test_undefined_values_and_constant_columns_are_borne():
    rows, future = walk()
    leak = future[36].copy()
    leak[::10] = np.nan
    odd = with_column(with_column(rows, "constant", np.zeros(len(rows))), "empty", np.full(len(rows), np.nan))

    assert {finding.subject for finding in suspicious_columns(with_column(odd, "ahead", leak))} == {"ahead"}


def test_the_area_is_that_of_scikit_learn():
    rng = np.random.default_rng(0)
    label = (rng.random(500) < 0.3).astype(float)
    columns = np.stack([rng.normal(size=500) + label, rng.integers(0, 4, 500) - label, np.zeros(500)])

    ours = suspicion._auc(np.array([suspicion._places(column) for column in columns]), label)

    np.testing.assert_allclose(ours, [roc_auc_score(label, column) for column in columns], atol=1e-6)


def test_the_standard_error_is_that_of_many_samples():
    rng = np.random.default_rng(0)
    labels = rng.random((300, 1_000)) < 0.4
    columns = rng.normal(size=labels.shape) + 0.8 * labels

    errors = [suspicion._standard_error(*pair) for pair in zip(columns, labels.astype(float), strict=True)]
    areas = [roc_auc_score(*pair) for pair in zip(labels, columns, strict=True)]

    assert np.mean(errors) == pytest.approx(np.std(areas), rel=0.15)


def test_the_standard_error_knows_that_slow_columns_have_few_outcomes():
    rng = np.random.default_rng(0)
    quick_column, quick_label = rng.normal(size=(2, 4_000))
    slow_column, slow_label = (np.repeat(rng.normal(size=100), 40) for _ in range(2))

    quick, slow = (
        suspicion._standard_error(column, (label > 0).astype(float))
        for column, label in ((quick_column, quick_label), (slow_column, slow_label))
    )

    assert 4 < slow / quick < 9  # 40 rows tell as much as one


@pytest.mark.parametrize(("rows", "error"), [(Rows, CallError), (TrainingRows, DataError)])
def test_a_wrong_call_is_refused(rows, error):
    few = walk()[0].take(np.arange(100))
    plain = Rows(few.open_time_ms, few.x, few.columns, few.label, few.label_end_ms)

    with pytest.raises(error, match=r"TrainingRows, got Rows|100 training rows are too few"):
        suspicious_columns(plain if rows is Rows else few)


@pytest.mark.parametrize("seed", [0, 1, 20])
def test_a_planted_edge_is_not_taken_for_a_leak(seed):
    market = SimulatedMarket(MarketConfig(seed=seed, n_bars=15_000, edge="planted", strength=0.70))

    assert suspicious_columns(rows_of_bars(market.bars("BTCUSDT"))) == []


@pytest.mark.real_bars
@pytest.mark.skipif("MMF_REAL_BARS" not in os.environ, reason="MMF_REAL_BARS names no folder of real klines")
@pytest.mark.parametrize(
    ("name", "interval"),
    [
        ("bybit_linear_BTCUSDT_60m", "60"),
        ("bybit_linear_ETHUSDT_60m", "60"),
        ("binance_um_BTCUSDT_5m", "5"),
        ("binance_spot_BTCUSDT_1m", "1"),
        ("bybit_linear_BTCUSDT_D", "D"),
    ],
)
def test_real_columns_raise_no_alarm_and_a_leak_among_them_does(name, interval):
    bars = pl.read_parquet(Path(os.environ["MMF_REAL_BARS"]) / "klines" / f"{name}.parquet")[-15_000:]
    rows = rows_of_bars(bars, interval=interval)

    assert suspicious_columns(rows) == []
    for bars_ahead in (1, 3, 36):
        leaking = with_column(rows, "ahead", future_return(bars_ahead, rows, bars))
        assert {finding.subject for finding in suspicious_columns(leaking)} == {"ahead"}


def scores(lean, *, n=3_500, seed=0):
    """Scores of a probability that leans on the label, both in runs of a horizon."""
    rng = np.random.default_rng(seed)
    label = np.repeat((rng.random(n // HORIZON + 1) < 0.45).astype(float), HORIZON)[:n]
    noise = np.repeat(rng.normal(size=n // HORIZON + 1), HORIZON)[:n]
    return evaluate(1 / (1 + np.exp(-(lean * label + noise))), label, threshold=0.5, horizon=HORIZON)


def test_scores_that_knowing_the_future_gives_are_suspicious():
    (finding,) = suspicious_scores({"mixture": scores(6), "trend": scores(0.5)})

    assert (finding.subject, finding.against) == ("mixture", "label")
    assert finding.auc > 0.99
    assert "mixture tells the label" in finding.reason


def test_scores_of_a_strong_honest_edge_are_not():
    for seed in range(20):
        assert suspicious_scores({"mixture": scores(0.75, seed=seed)}) == []  # an AUC near 0.70


def test_few_outcomes_prove_nothing():
    few = scores(1.4, n=720)
    assert few.roc_auc > suspicion.LABEL_LIMIT

    assert suspicious_scores({"mixture": few}) == []
    assert suspicious_scores({"mixture": scores(1.4, n=36_000)}) != []


def test_a_baseline_of_volatility_raises_the_limit_of_scores():
    strong = scores(3)

    assert suspicious_scores({"mixture": strong}) != []
    assert suspicious_scores({"mixture": strong, "volatility only": strong}) == []


def test_scores_that_are_undefined_are_passed_over():
    undefined = evaluate(np.full(40, 0.5), np.zeros(40), threshold=0.5, horizon=HORIZON)

    assert suspicious_scores({"mixture": undefined}) == []
