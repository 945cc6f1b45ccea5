from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import polars as pl
import pytest

from mmf.bars import Interval
from mmf.evaluation.backtest import Costs, Rules
from mmf.evaluation.portfolio import Desk
from mmf.evaluation.verdict import Verdict, doubted, judge_trades

HOUR = Interval.parse("60")
RULES = Rules(horizon=36)


def bars_of(returns: np.ndarray) -> pl.DataFrame:
    close = 100 * np.exp(np.cumsum(returns))
    open_ = np.concatenate([[100.0], close[:-1]])
    times = pl.datetime_range(
        datetime(2024, 1, 1, tzinfo=UTC),
        interval="1h",
        closed="left",
        eager=True,
        time_unit="ms",
        end=datetime(2024, 1, 1, tzinfo=UTC) + pl.select(pl.duration(hours=len(returns))).item(),
    )
    return pl.DataFrame(
        {
            "open_time": times,
            "open": open_,
            "high": np.maximum(open_, close),
            "low": np.minimum(open_, close),
            "close": close,
        }
    )


def market(seed: int, *, drift: float = 0.0, skill: float = 0.0, n: int = 3_500) -> tuple[pl.DataFrame, np.ndarray]:
    """Bars, and signals of someone who knows that drift is `skill` higher in the hours that follow them."""
    rng = np.random.default_rng(seed)
    is_on = np.zeros(n, bool)
    for first in range(40, n - 80, 160):
        is_on[first + rng.integers(60) :][:40] = True
    returns = rng.normal(drift, 0.005, n) + skill * is_on
    return bars_of(returns), np.roll(is_on, -1) & (rng.random(n) < 0.5)


def verdict_of(
    seed: int, *, n_trials: int = 1, costs: Costs | None = None, at_once: int = 1, **settings: float
) -> Verdict:
    bars, signals = market(seed, **settings)
    return judge_trades(
        [Desk("X", bars)],
        [signals],
        interval=HOUR,
        rules=replace(RULES, at_once=at_once),
        costs=costs or Costs(),
        n_trials=n_trials,
        n_schedules=1_000,
    )[0]


def test_knowing_when_prices_rise_is_an_edge() -> None:
    found = [verdict_of(seed, skill=0.0015) for seed in range(6)]
    assert [one.answer for one in found].count("edge") >= 5
    assert all(one.p_random is not None and one.p_random < 0.01 for one in found)


def test_trading_at_random_is_none() -> None:
    found = [verdict_of(seed).answer for seed in range(1_000, 1_040)]
    assert found.count("edge") <= 2  # at the 1 % level; it takes a bootstrap bound above zero besides
    assert found.count("no edge") >= 33


def test_a_rising_market_is_no_edge_of_timing() -> None:
    found = [verdict_of(seed, drift=0.0005) for seed in range(100, 120)]
    assert all(one.performance.net_return > 0 for one in found)
    assert [one.answer for one in found].count("edge") <= 1


def test_the_share_of_better_random_schedules_is_uniform_without_skill() -> None:
    shares = np.array(
        [verdict_of(seed, costs=Costs(fee=0, slippage=0)).p_random for seed in range(1_000, 1_040)], float
    )
    assert (shares <= 0.1).mean() < 0.2
    assert (shares <= 0.5).mean() == pytest.approx(0.5, abs=0.2)


def test_several_positions_at_once_are_judged_beside_as_many_at_random_times() -> None:
    known = [verdict_of(seed, skill=0.0015, at_once=3) for seed in range(3)]
    assert [one.answer for one in known].count("edge") == 3
    unknown = [verdict_of(seed, costs=Costs(fee=0, slippage=0), at_once=3) for seed in range(1_000, 1_020)]
    shares = np.array([one.p_random for one in unknown], float)
    assert (shares <= 0.1).mean() < 0.2
    assert (shares <= 0.5).mean() == pytest.approx(0.5, abs=0.2)
    spread = np.log([[one.performance.net_return + 1, *(one.random_returns[:50] + 1)] for one in unknown])
    assert spread[:, 1:].std() == pytest.approx(spread[:, 0].std(), rel=0.35)  # parts of the equity, not all of it


def test_timing_that_costs_eat_is_no_edge() -> None:
    assert verdict_of(1, skill=0.001, costs=Costs(fee=0.03)).answer == "no edge"


def test_many_trials_turn_an_edge_into_a_question() -> None:
    one, many = (verdict_of(2, skill=0.0015, n_trials=n) for n in (1, 300))
    assert (one.answer, many.answer) == ("edge", "inconclusive")
    assert one.deflated_sharpe is not None
    assert many.deflated_sharpe is not None
    assert many.deflated_sharpe < one.deflated_sharpe


def test_what_may_know_the_future_is_never_called_an_edge() -> None:
    edge, lost = verdict_of(2, skill=0.0015), verdict_of(1, skill=0.001, costs=Costs(fee=0.03))
    taken_back = doubted(edge, ["leak", "mixture", "leak"])
    assert (edge.answer, taken_back.answer) == ("edge", "suspicious")
    assert taken_back.sentences[0].startswith("Suspicious: leak and 1 more may know the future")
    assert taken_back.sentences[1:] == edge.sentences[1:]
    assert doubted(edge, []) is edge
    assert doubted(lost, ["leak"]) is lost


def test_few_trades_are_never_called_an_edge() -> None:
    bars, signals = market(3, skill=0.003)
    signals[600:] = False
    found = judge_trades([Desk("X", bars)], [signals], interval=HOUR, rules=RULES, costs=Costs(), n_trials=1)[0]
    assert found.performance.n_trades < 10
    assert found.answer == "inconclusive"
    assert "fewer than the 10" in found.sentences[2]


def test_without_trades_there_is_no_edge_and_no_figure() -> None:
    bars, signals = market(3)
    found = judge_trades([Desk("X", bars)], [signals & False], interval=HOUR, rules=RULES, costs=Costs(), n_trials=1)[0]
    assert (found.answer, found.p_random, found.interval) == ("no edge", None, None)
    assert "never traded" in found.sentences[0]


def test_funding_weighs_on_random_schedules_as_on_the_real_one() -> None:
    bars, signals = market(4, skill=0.001)
    times = bars["open_time"].gather_every(8)
    funding = pl.DataFrame({"funding_time": times, "rate": np.full(len(times), 0.0005)})
    settings = {"interval": HOUR, "rules": RULES, "costs": Costs(), "n_trials": 1}
    plain, paying = (judge_trades([Desk("X", bars, f)], [signals], **settings)[0] for f in (None, funding))
    assert paying.performance.net_return < plain.performance.net_return
    assert np.median(paying.random_returns) < np.median(plain.random_returns)
    assert paying.p_random == pytest.approx(plain.p_random, abs=0.005)


def test_it_is_json_and_the_same_again() -> None:
    first, second = (verdict_of(5, skill=0.001).as_dict() for _ in range(2))
    assert first == second
    assert len(first["sentences"]) == 3
