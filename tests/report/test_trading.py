import polars as pl
import pytest

from mmf.report.trading import cost_charts, equity_charts, schedule_charts, sweep_charts, trade_charts
from tests.report.records import TRADES, VERDICT, tables


def traces(charts) -> dict:
    return {trace.name: trace for chart in charts for trace in chart.figure.data}


def test_equity_stands_beside_holding_above_its_drawdown() -> None:
    equity = tables()["equity"]
    drawn = traces(equity_charts(equity))
    assert set(drawn) == {"net of costs", "before costs", "buy and hold", "drawdown"}
    assert drawn["net of costs"].y[-1] == pytest.approx(equity["equity"][-1], rel=1e-4)
    assert drawn["drawdown"].yaxis == "y2"
    assert min(drawn["drawdown"].y) == pytest.approx(equity["drawdown"].min(), rel=1e-4)


def test_equity_without_holding_is_drawn_too() -> None:
    drawn = traces(equity_charts(tables()["equity"].drop("buy_and_hold", "gross")))
    assert set(drawn) == {"net of costs", "drawdown"}


def test_trades_are_told_with_and_without_the_best() -> None:
    (chart,) = trade_charts(pl.concat([TRADES, TRADES[1:2]]))
    assert list(chart.figure.data[0].marker.color)[:2] == ["#2fa36b", "#dc4b58"]
    assert f"{1.02 * 0.99 * 1.02 * 0.99 - 1:+.1%}" in chart.caption
    assert "without the best 3 -1.0%" in chart.caption
    assert trade_charts(TRADES.clear()) == []


def test_trades_of_several_symbols_are_told_apart() -> None:
    (chart,) = trade_charts(TRADES.with_columns(symbol=pl.Series(["A", "B", "A"])))
    assert [(bars.name, len(bars.x)) for bars in chart.figure.data] == [("A", 2), ("B", 1)]


def test_the_own_return_is_marked_among_the_random_ones() -> None:
    schedules = tables()["random_schedules"]
    (chart,) = schedule_charts(schedules, VERDICT)
    drawn = traces([chart])
    assert sum(drawn["random schedules"].y) == 500
    assert list(drawn["this run"].x) == [0.021, 0.021]
    assert drawn["best 1 %"].x[0] == schedules["net_return"].quantile(0.99)
    assert "4.0% of them" in chart.caption
    assert schedule_charts(schedules.clear(), VERDICT) == []


def test_thresholds_that_break_a_constraint_are_hollow_and_the_chosen_one_is_marked() -> None:
    drawn = traces(sweep_charts(tables()["threshold_sweep"]))
    assert list(drawn["net return"].marker.symbol) == ["circle", "circle", "circle-open"]
    assert (list(drawn["chosen"].x), list(drawn["chosen"].y)) == ([0.5], [0.03])


@pytest.mark.parametrize(
    ("even", "told", "is_marked"),
    [
        (0.0012, "Nothing is left at 12.0 bps", True),
        (0.9, "Nothing is left at 9000.0 bps", False),
        (-0.001, "lose even without costs", False),
        (None, "Without trades", False),
    ],
)
def test_the_cost_at_which_nothing_is_left(even: float | None, told: str, is_marked: bool) -> None:
    verdict = {"performance": {"break_even_cost": even}}
    charts = cost_charts(tables()["cost_sensitivity"], verdict, 0.0007499)
    drawn = traces(charts)
    assert list(drawn["net return"].x) == [0.0, 7.499, 22.5]
    assert told in charts[0].caption
    assert ("break-even" in drawn) == is_marked


def test_trading_for_nothing_has_no_cost_to_vary() -> None:
    assert cost_charts(tables()["cost_sensitivity"], VERDICT, 0.0) == []
