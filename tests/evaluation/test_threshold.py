import numpy as np
import polars as pl
import pytest

from mmf.bars import Interval
from mmf.errors import CallError
from mmf.evaluation.backtest import Costs, Rules
from mmf.evaluation.portfolio import Desk
from mmf.evaluation.scores import choose_threshold
from mmf.evaluation.threshold import Constraints, Threshold, sweep_thresholds
from tests.evaluation.test_verdict import bars_of

N = 2_000
HORIZON = 10


def market(seed: int, *, drift: float = 0.0) -> tuple[pl.DataFrame, np.ndarray, np.ndarray]:
    """Bars that rise after some rows, probabilities that tell so above 0.8, and labels."""
    rng = np.random.default_rng(seed)
    is_good = np.zeros(N, bool)
    is_good[rng.choice(np.arange(0, N - 20, 20), 40, replace=False)] = True
    gain = np.convolve(np.roll(is_good, 1), np.ones(HORIZON))[:N] * 0.002
    returns = rng.normal(drift, 0.002, N) + gain
    probability = np.where(is_good, 0.9, rng.uniform(0, 0.7, N)).round(3)
    label = (is_good | (rng.random(N) < 0.1)).astype(float)
    return bars_of(returns), probability, label


def chosen(
    bars: pl.DataFrame, probability: np.ndarray, label: np.ndarray, *, fee: float = 0.0, **constraints: float | None
) -> Threshold:
    return sweep_thresholds(
        [Desk("BTCUSDT", bars)],
        [probability],
        [label],
        interval=Interval("60"),
        rules=Rules(horizon=HORIZON),
        costs=Costs(fee=fee, slippage=0.0),
        constraints=Constraints(**({"min_trades": 5, "min_recall": 0.0} | constraints)),
        long_shares=(0.02, 0.1, 0.3, 0.5, 0.9),
    )


@pytest.mark.parametrize("drift", [-0.001, 0.0, 0.001])
def test_timing_is_found_whatever_the_market_did_meanwhile(drift: float) -> None:
    found = chosen(*market(1, drift=drift))
    assert found.is_allowed
    row = found.sweep.filter("is_chosen").row(0, named=True)
    assert row["threshold"] == found.value
    assert row["n_signals"] <= 60  # the 40 good rows and few others, not "always long" in a market that rose
    assert found.sweep["threshold"].is_sorted()


def test_costs_count_so_that_many_small_trades_do_not_win() -> None:
    bars, probability, label = market(2)
    free, dear = (chosen(bars, probability, label, fee=fee).sweep for fee in (0.0, 0.01))
    assert (dear["net_return"] <= free["net_return"]).all()
    worst = dear.sort("n_trades")
    assert worst["excess"][-1] < worst["excess"][0]


def test_constraints_are_kept_and_said_to_be_broken_where_none_can() -> None:
    bars, probability, label = market(3)
    found = chosen(bars, probability, label, min_recall=0.5)
    row = found.sweep.filter("is_chosen").row(0, named=True)
    assert row["recall"] >= 0.5
    none = chosen(bars, probability, label, min_trades=1_000)
    assert not none.is_allowed
    assert none.value == choose_threshold(probability, label)
    assert none.sweep["is_chosen"].sum() == 1


def test_bars_without_a_prediction_give_no_signal() -> None:
    bars, probability, label = market(4)
    absent = np.arange(N) >= N // 2
    part = chosen(bars, np.where(absent, np.nan, probability), np.where(absent, np.nan, label))
    first = chosen(bars[: N // 2], probability[: N // 2], label[: N // 2])
    assert part.sweep["n_signals"].to_list() == first.sweep["n_signals"].to_list()
    assert part.sweep["recall"].to_list() == first.sweep["recall"].to_list()


def test_a_short_range_leaves_a_choice_beyond_always_long() -> None:
    rules = Rules(horizon=36)
    assert [Constraints().trades_of(n, rules) for n in (36, 1_000, 2_880, 6_000)] == [1, 6, 20, 20]
    assert Constraints(min_trades=50).trades_of(1_000, rules) == 50
    bars, probability, label = (part[:300] for part in market(5))
    found = chosen(bars, probability, label, min_trades=None)
    assert found.is_allowed
    assert found.sweep.filter("is_chosen")["exposure"][0] < 0.5


@pytest.mark.parametrize("bad", [{"min_trades": 0}, {"min_recall": 1.0}])
def test_impossible_constraints_are_refused(bad: dict[str, float]) -> None:
    with pytest.raises(CallError, match="min_trades is 1 or more"):
        Constraints(**bad)


def test_a_part_of_the_equity_is_compared_with_holding_as_large_a_part() -> None:
    """Always one of four positions open in a market that rises: a quarter of its way, and no skill."""
    bars = bars_of(np.full(N, 0.001))
    probability = np.where(np.arange(N) % HORIZON == 0, 0.9, 0.1)
    found = sweep_thresholds(
        [Desk("BTCUSDT", bars)],
        [probability],
        [(np.arange(N) % 2 == 0).astype(float)],
        interval=Interval("60"),
        rules=Rules(horizon=HORIZON, at_once=4),
        costs=Costs(fee=0.0, slippage=0.0),
        constraints=Constraints(min_trades=5, min_recall=0.0),
        long_shares=(0.1,),
    )
    row = found.sweep.filter(pl.col("n_signals") == N // HORIZON).row(0, named=True)
    assert row["exposure"] == pytest.approx(1, abs=0.01)
    assert row["excess"] == pytest.approx(0, abs=0.01)
