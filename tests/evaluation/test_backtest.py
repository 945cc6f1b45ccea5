from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmf.bars import Interval
from mmf.errors import CallError, DataError
from mmf.evaluation.backtest import Backtest, Costs, Rules, backtest, holding, performance

HOUR = Interval.parse("60")
START = datetime(2024, 1, 1, tzinfo=UTC)
FREE = Costs(fee=0.0, slippage=0.0)


def bars_of(opens: list[float], closes: list[float] | None = None, *, spread: float = 0.0) -> pl.DataFrame:
    closes = closes or [*opens[1:], opens[-1]]
    top, bottom = np.maximum(opens, closes), np.minimum(opens, closes)
    times = [START + timedelta(hours=i) for i in range(len(opens))]
    return pl.DataFrame(
        {"open_time": times, "open": opens, "high": top + spread, "low": bottom - spread, "close": closes},
        schema_overrides={"open_time": pl.Datetime("ms", "UTC"), "open": pl.Float64, "close": pl.Float64},
    )


def at(*rows: int, n: int) -> np.ndarray:
    return np.isin(np.arange(n), rows)


def run(bars: pl.DataFrame, signals: np.ndarray, *, costs: Costs = FREE, **rules: object) -> Backtest:
    return backtest(bars, signals, interval=HOUR, rules=Rules(**{"horizon": 3} | rules), costs=costs)


def test_a_signal_is_filled_at_the_next_open_and_closed_at_the_open_of_its_horizon() -> None:
    bars = bars_of([100, 110, 120, 130, 140, 150, 160])
    trade = run(bars, at(1, n=7)).trades.row(0, named=True)
    assert (trade["entry"], trade["exit"], trade["reason"]) == (120, 150, "horizon")
    assert trade["exit_time"] - trade["entry_time"] == timedelta(hours=3)
    assert trade["net_return"] == pytest.approx(0.25)


def test_the_signal_of_the_last_bar_has_no_open_to_fill_it() -> None:
    assert run(bars_of([100, 110, 120]), at(2, n=3)).trades.is_empty()


def test_fees_and_slippage_are_taken_on_both_sides() -> None:
    result = run(bars_of([100] * 8), at(0, n=8), costs=Costs(fee=0.01, slippage=0.02))
    assert result.trades["net_return"][0] == pytest.approx((0.99 * 0.98) ** 2 - 1)
    assert result.equity["equity"][-1] == pytest.approx((0.99 * 0.98) ** 2)
    assert result.equity["gross"].to_list() == [1.0] * 8


def test_equity_is_valued_at_each_close_and_falls_from_its_peak() -> None:
    bars = bars_of([100, 100, 120, 90, 90, 90], closes=[100, 120, 90, 90, 90, 90])
    equity = run(bars, at(0, n=6)).equity
    assert equity["equity"].to_list() == pytest.approx([1.0, 1.2, 0.9, 0.9, 0.9, 0.9])
    assert equity["drawdown"].min() == pytest.approx(-0.25)
    assert equity["position"].to_list() == [0, 1, 1, 1, 0, 0]


def test_one_position_at_a_time_unless_asked() -> None:
    bars = bars_of([100.0 + i for i in range(12)])
    always = np.ones(12, bool)
    one = run(bars, always).trades
    assert one["entry_time"].to_list()[1:] == one["exit_time"].to_list()[:-1]
    assert run(bars, always, at_once=3).trades.height == 11
    both = run(bars, always, at_once=3).equity
    assert both["position"].max() == pytest.approx(1.0)


def test_two_positions_at_once_hold_half_of_the_equity_each() -> None:
    result = run(bars_of([100, 100, 200, 200, 200, 200]), at(0, n=6), at_once=2)
    assert result.equity["equity"][-1] == pytest.approx(1.5)


def test_what_is_open_at_the_end_is_closed_at_the_last_close() -> None:
    result = run(bars_of([100, 100, 110], closes=[100, 110, 130]), at(0, n=3), horizon=50)
    assert result.trades["reason"].to_list() == ["end"]
    assert result.equity["equity"][-1] == pytest.approx(1.3)


@pytest.mark.parametrize(
    ("low", "high", "open_", "reason", "price"),
    [
        (99.5, 102.5, 100, "profit", 102.0),
        (98.0, 100.0, 100, "stop", 99.0),
        (98.0, 103.0, 100, "stop", 99.0),
        (94.0, 96.0, 95, "stop", 95.0),
        (104.0, 106.0, 105, "profit", 105.0),
    ],
)
def test_barriers_are_filled_at_the_barrier_or_at_the_open_beyond_it_stop_first(
    low: float, high: float, open_: float, reason: str, price: float
) -> None:
    bars = bars_of([100] * 6).with_row_index("row")
    for name, value in (("open", open_), ("high", high), ("low", low), ("close", open_)):
        bars = bars.with_columns(pl.when(pl.col("row") == 2).then(value).otherwise(pl.col(name)).alias(name))
    trade = run(bars, at(0, n=6), exit="barriers").trades.row(0, named=True)
    assert (trade["reason"], trade["exit"]) == (reason, pytest.approx(price))


def test_no_new_position_is_opened_within_the_bar_in_which_a_barrier_ended_one() -> None:
    bars = bars_of([100] * 8).with_columns(low=pl.Series([99.9, 99.9, 90.0, 99.9, 99.9, 99.9, 99.9, 99.9]))
    trades = run(bars, np.ones(8, bool), exit="barriers").trades
    assert trades["exit_time"][0] == START + timedelta(hours=2)
    assert trades["entry_time"][1] == START + timedelta(hours=3)


def test_a_hole_delays_the_exit_to_the_next_stored_open() -> None:
    bars = bars_of([100, 101, 102, 103, 104, 105, 106]).filter(pl.col("open") != 104)
    trade = run(bars, at(0, n=6)).trades.row(0, named=True)
    assert trade["exit"] == 105


def test_funding_is_paid_by_the_positions_that_are_open_at_its_time() -> None:
    bars = bars_of([100] * 10)
    times = [START + timedelta(hours=h) for h in (1, 2, 4, 5, 8)]
    funding = pl.DataFrame({"funding_time": times, "rate": [0.5, 0.01, 0.02, 0.5, 0.5]})
    funding = funding.cast({"funding_time": pl.Datetime("ms", "UTC")})
    rules = Rules(horizon=3)
    result = backtest(bars, at(0, n=10), interval=HOUR, rules=rules, costs=FREE, funding=funding)
    assert result.trades["funding"][0] == pytest.approx(1 - 0.99 * 0.98)
    assert result.equity["equity"].to_list() == pytest.approx([1, 0.99, 0.99, 0.99 * 0.98, *[0.99 * 0.98] * 6])
    assert result.equity["gross"][-1] == 1.0


def test_performance_of_a_known_path() -> None:
    bars = bars_of([100, 100, 110, 110, 110, 99, 99, 99, 99], closes=[100, 110, 110, 110, 99, 99, 99, 99, 99])
    result = run(bars, at(0, 3, n=9))
    found = performance(result, interval=HOUR, rules=Rules(horizon=3))
    assert found.n_trades == 2
    assert found.net_return == pytest.approx(1.1 * 0.9 - 1)
    assert found.hit_rate == 0.5
    assert found.mean_trade == pytest.approx(0.0)
    assert found.max_drawdown == pytest.approx(-0.1)
    assert found.exposure == pytest.approx(6 / 9)
    assert found.turnover == pytest.approx(4 * 365.25 * 24 / 9)
    steps = np.array([0, 0.1, 0, 0, -0.1, 0, 0, 0, 0])
    assert found.sharpe == pytest.approx(steps.mean() / steps.std(ddof=1) * np.sqrt(8766))
    assert found.sortino == pytest.approx(steps.mean() / np.sqrt((0.1**2) / 9) * np.sqrt(8766))


def test_without_trades_nothing_is_made_up() -> None:
    found = performance(run(bars_of([100] * 5), np.zeros(5, bool)), interval=HOUR, rules=Rules(horizon=3))
    assert (found.n_trades, found.net_return, found.hit_rate, found.sharpe, found.break_even_cost) == (
        0,
        0,
        None,
        None,
        None,
    )


PATH = st.lists(st.floats(-0.05, 0.05), min_size=10, max_size=60)


@settings(max_examples=60, deadline=None)
@given(PATH, st.integers(0, 2**32), st.sampled_from(["horizon", "barriers"]), st.integers(1, 3))
def test_doubled_fees_never_raise_equity_return_or_hit_rate(
    steps: list[float], seed: int, exit_: str, at_once: int
) -> None:
    bars = bars_of((100 * np.exp(np.cumsum(steps))).tolist(), spread=0.5)
    signals = np.random.default_rng(seed).random(bars.height) < 0.3
    rules = Rules(horizon=4, exit=exit_, at_once=at_once)  # type: ignore[arg-type]
    low, high = (backtest(bars, signals, interval=HOUR, rules=rules, costs=Costs().times(factor)) for factor in (1, 2))
    assert (high.equity["equity"] <= low.equity["equity"] + 1e-12).all()
    a, b = (performance(result, interval=HOUR, rules=rules) for result in (low, high))
    assert b.net_return <= a.net_return + 1e-12
    assert (b.hit_rate or 0) <= (a.hit_rate or 0)
    assert a.gross_return == pytest.approx(b.gross_return)


@settings(max_examples=60, deadline=None)
@given(PATH, st.integers(0, 2**32), st.sampled_from(["horizon", "barriers"]))
def test_equity_ends_at_the_product_of_the_trades_and_breaks_even_at_its_cost(
    steps: list[float], seed: int, exit_: str
) -> None:
    bars = bars_of((100 * np.exp(np.cumsum(steps))).tolist(), spread=0.5)
    signals = np.random.default_rng(seed).random(bars.height) < 0.3
    rules = Rules(horizon=4, exit=exit_)  # type: ignore[arg-type]
    result = backtest(bars, signals, interval=HOUR, rules=rules, costs=Costs())
    product = float((1 + result.trades["net_return"]).product()) if result.trades.height else 1.0
    assert result.equity["equity"][-1] == pytest.approx(product)
    entries, exits = result.trades["entry_time"], result.trades["exit_time"]
    assert (entries[1:] >= exits[:-1]).all()
    cost = performance(result, interval=HOUR, rules=rules).break_even_cost
    if cost is not None and cost >= 0:
        even = backtest(bars, signals, interval=HOUR, rules=rules, costs=Costs(fee=cost, slippage=0.0))
        assert even.equity["equity"][-1] == pytest.approx(1.0)


def test_later_bars_do_not_change_what_was_earned_before() -> None:
    rng = np.random.default_rng(2)
    bars = bars_of((100 * np.exp(np.cumsum(rng.normal(0, 0.01, 80)))).tolist())
    signals = rng.random(80) < 0.3
    short = run(bars[:50], signals[:50], costs=Costs()).equity["equity"]
    assert run(bars, signals, costs=Costs()).equity["equity"][:49].to_list() == pytest.approx(short[:49].to_list())


def test_buying_and_holding_pays_both_sides_once() -> None:
    bars = bars_of([100, 100, 150], closes=[100, 150, 200])
    equity = holding(bars, interval=HOUR, costs=Costs(fee=0.1, slippage=0.0))
    assert equity[-1] == pytest.approx(2 * 0.81)
    assert equity[0] == 1


def test_holding_is_one_trade_over_the_whole_range_funding_included() -> None:
    bars = bars_of([100, 100, 150, 120, 130], closes=[100, 150, 120, 130, 140])
    opens = bars["open_time"]
    due = [opens[1], opens[2], opens[3] + timedelta(minutes=20), opens[-1] + timedelta(hours=1)]
    funding = pl.DataFrame({"funding_time": pl.Series(due, dtype=opens.dtype), "rate": [0.5, 0.01, 0.02, 0.04]})
    costs = Costs(fee=0.01)
    rules = Rules(horizon=100)
    traded = backtest(bars, at(0, n=5), interval=HOUR, rules=rules, costs=costs, funding=funding).equity["equity"]
    held = holding(bars, interval=HOUR, costs=costs, funding=funding)
    assert held == pytest.approx(traded.to_numpy())
    assert held[-1] == pytest.approx(1.4 * 0.99 * 0.98 * 0.96 * (1 - costs.per_side) ** 2)


def test_costs_that_are_allowed_can_be_multiplied() -> None:
    assert Costs(fee=0.001).times(3).fee == pytest.approx(0.003)
    assert 0.4 < Costs(fee=0.4).times(3).fee < 0.5


def test_impossible_settings_and_too_short_ranges_are_refused() -> None:
    with pytest.raises(CallError, match="fee is"):
        Costs(fee=-0.1)
    with pytest.raises(CallError, match="counts of 1"):
        Rules(horizon=0)
    with pytest.raises(DataError, match="two bars"):
        run(bars_of([100]), np.ones(1, bool))
