import json
import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmf.errors import CallError, DataError
from mmf.rows import TrainingRows
from mmf.scheduler import (
    Effort,
    MarketState,
    SchedulerMemory,
    market_state,
    non_overlapping,
    recommend,
    rolling_sharpe,
    should_retrain,
)

USUAL = {"entropy_p10": 0.5, "entropy_p90": 0.8}
figures = st.none() | st.floats(allow_nan=True, allow_infinity=True)


def rows(entropy, volatility):
    n = len(entropy)
    times = np.arange(n, dtype=np.int64) * 3_600_000
    x = np.column_stack([entropy, np.zeros(n), volatility]).astype(np.float32)
    return TrainingRows(times, x, ("entropy_200", "other", "volatility_20"), np.zeros(n), times, int(times[-1]))


@pytest.mark.parametrize(
    ("state", "estimators", "epochs"),
    [
        (MarketState(), 200, 25),
        (MarketState(0.6, **USUAL, volatility_ratio=1.0, loss_spread=0.0), 200, 25),
        (MarketState(0.9, **USUAL), 300, 38),
        (MarketState(0.9, **USUAL, volatility_ratio=0.6), 270, 38),
        (MarketState(0.9, **USUAL, volatility_ratio=1.5), 360, 38),
        (MarketState(0.4, **USUAL), 140, 21),
        (MarketState(0.4, **USUAL, volatility_ratio=0.6), 126, 21),
        (MarketState(0.4, **USUAL, volatility_ratio=1.5), 168, 21),
        (MarketState(0.6, **USUAL, volatility_ratio=1.26), 240, 25),
        (MarketState(0.6, **USUAL, volatility_ratio=0.74), 180, 25),
        (MarketState(0.8, **USUAL, volatility_ratio=1.25), 200, 25),
        (MarketState(0.5, **USUAL, volatility_ratio=0.75), 200, 25),
        (MarketState(loss_spread=0.03), 212, 27),
        (MarketState(loss_spread=0.05), 220, 28),
        (MarketState(loss_spread=0.10), 240, 30),
        (MarketState(loss_spread=7.0), 240, 30),
        (MarketState(math.nan, **USUAL, volatility_ratio=math.inf), 200, 25),
        (MarketState(0.9), 200, 25),
    ],
)
def test_recommended_effort(state, estimators, epochs):
    assert recommend(state).effort == Effort(estimators, epochs)


def test_high_entropy_with_low_volatility():
    advice = recommend(MarketState(0.81, **USUAL, volatility_ratio=0.74))
    assert advice.effort.as_dict() == {"n_estimators": 270, "epochs": 38}
    assert advice.reasons == (
        "entropy 0.810 is above its training 90th percentile 0.800",
        "volatility is 0.74 times its training median",
    )


def test_each_change_has_a_reason():
    usual = recommend(MarketState(0.6, **USUAL, volatility_ratio=1.0))
    assert usual.reasons == ("the market is within its usual range",)
    wild = recommend(MarketState(0.9, **USUAL, volatility_ratio=2.0, loss_spread=0.03))
    assert len(wild.reasons) == 3
    assert wild.reasons[2] == "validation losses vary by 3.0% of their mean"


@given(st.builds(MarketState, figures, figures, figures, figures, figures))
def test_any_state_gives_an_effort_within_bounds(state):
    effort = recommend(state).effort
    assert 126 <= effort.n_estimators <= 432
    assert 21 <= effort.epochs <= 45


def test_an_effort_that_trains_nothing_is_refused():
    with pytest.raises(CallError, match="trains nothing"):
        Effort(0, 25)


def test_market_state_sets_the_last_24_rows_against_all():
    entropy = np.r_[np.linspace(0.5, 0.7, 176), np.full(24, 0.75)]
    volatility = np.r_[np.full(176, 0.02), np.full(24, 0.01)]
    state = market_state(rows(entropy, volatility), validation_losses=[0.6, 0.7])
    assert state.entropy == pytest.approx(0.75)
    assert state.entropy_p10 == pytest.approx(np.quantile(entropy, 0.1), abs=1e-6)
    assert state.entropy_p90 == pytest.approx(np.quantile(entropy, 0.9), abs=1e-6)
    assert state.volatility_ratio == pytest.approx(0.5)
    assert state.loss_spread == pytest.approx(np.std([0.6, 0.7], ddof=1) / 0.65)


def test_undefined_rows_are_left_out():
    entropy = np.r_[np.full(50, 0.6), np.full(23, np.nan), 0.9]
    state = market_state(rows(entropy, np.full(74, np.nan)))
    assert state.entropy == pytest.approx(0.9)
    assert state.volatility_ratio is None
    assert state.loss_spread is None


def test_zero_volatility_has_no_ratio():
    assert market_state(rows(np.full(30, 0.6), np.zeros(30))).volatility_ratio is None


def test_an_absent_column_is_named():
    with pytest.raises(DataError, match="volatility_20"):
        market_state(rows(np.full(30, 0.6), np.zeros(30)).select(("entropy_200",)))


def test_state_survives_json():
    state = market_state(rows(np.linspace(0.5, 0.7, 60), np.linspace(0.01, 0.03, 60)))
    assert MarketState(**json.loads(json.dumps(state.as_dict()))) == state


def test_memory_survives_json():
    memory = SchedulerMemory((0.61, 0.64), reference_sharpe=0.2)
    assert SchedulerMemory.from_dict(json.loads(json.dumps(memory.as_dict()))) == memory
    assert SchedulerMemory.from_dict(SchedulerMemory().as_dict()) == SchedulerMemory()


@pytest.mark.parametrize(
    "stored",
    [
        {},
        {"validation_losses": ["x"], "reference_sharpe": None},
        {"validation_losses": [], "reference_sharpe": []},
        {"validation_losses": [], "reference_sharpe": 0.1, "more": 1},
    ],
)
def test_a_memory_that_is_not_one_is_refused(stored):
    with pytest.raises(DataError, match="the scheduler's memory"):
        SchedulerMemory.from_dict(stored)


@pytest.mark.parametrize(
    ("hours", "expected"),
    [
        ([], []),
        ([5], [0]),
        ([0, 1, 2, 3, 4, 5, 6], [0, 3, 6]),
        ([0, 1, 2, 4, 5, 6, 7], [0, 3, 6]),
        ([0, 10, 11, 12, 13], [0, 1, 4]),
    ],
)
def test_non_overlapping_rows_go_by_time(hours, expected):
    assert non_overlapping(np.array(hours, dtype=np.int64) * 3600, horizon_ms=3 * 3600).tolist() == expected


def test_a_horizon_of_nothing_is_refused():
    with pytest.raises(CallError, match="horizon_ms is 0"):
        non_overlapping(np.arange(3), horizon_ms=0)


@pytest.mark.parametrize("window", [2, 5, 30])
def test_rolling_sharpe_equals_pandas(window):
    returns = np.random.default_rng(0).normal(0.01, 0.02, size=80)
    rolling = pd.Series(returns).rolling(window)
    np.testing.assert_allclose(rolling_sharpe(returns, window=window), rolling.mean() / rolling.std(ddof=1), rtol=1e-9)


def test_rolling_sharpe_is_undefined_where_nothing_varies_and_in_the_warm_up():
    sharpe = rolling_sharpe(np.array([0.1, 0.1, 0.1, 0.2]), window=3)
    assert np.isnan(sharpe).tolist() == [True, True, True, False]
    assert np.isnan(rolling_sharpe(np.array([0.1]), window=3)).all()
    with pytest.raises(CallError, match="at least 2"):
        rolling_sharpe(np.ones(3), window=1)


@pytest.mark.parametrize(
    ("reference", "current", "expected"),
    [
        (1.0, 0.81, False),
        (1.0, 0.80, True),
        (1.0, 0.5, True),
        (1.0, 1.5, False),
        (-0.5, -0.59, False),
        (-0.5, -0.61, True),
        (0.0, 0.1, False),
        (None, 0.5, False),
        (0.5, None, False),
        (math.nan, 0.5, False),
    ],
)
def test_retrain_when_the_sharpe_ratio_is_down_by_a_fifth(reference, current, expected):
    retrain, reason = should_retrain(reference=reference, current=current)
    assert retrain is expected
    assert "rolling Sharpe ratio" in reason
