import numpy as np
import polars as pl
import pytest

from mmf.bars import Interval
from mmf.evaluation.backtest import Costs, Rules, backtest, performance
from mmf.evaluation.portfolio import Desk, Portfolio, hold_all, mean_of, performance_of, trade_all
from mmf.evaluation.random_entries import moved_together
from mmf.evaluation.verdict import Verdict, judge_trades
from tests.evaluation.test_verdict import bars_of, market

HOUR = Interval("60")
RULES = Rules(horizon=5)
SETTINGS = {"interval": HOUR, "rules": RULES, "costs": Costs()}
N = 400


def desk_of(seed: int, name: str = "A") -> tuple[Desk, np.ndarray]:
    rng = np.random.default_rng(seed)
    return Desk(name, bars_of(rng.normal(0, 0.01, N))), rng.random(N) < 0.1


def traded(*seeds: int) -> tuple[list[Desk], list[np.ndarray], Portfolio]:
    desks, signals = zip(*(desk_of(seed, f"S{seed}") for seed in seeds), strict=True)
    return list(desks), list(signals), trade_all(desks, signals, **SETTINGS)


def test_one_symbol_is_its_own_backtest() -> None:
    (desk,), (signals,), found = traded(1)
    alone = backtest(desk.bars, signals, **SETTINGS)
    assert found.whole.equity.equals(alone.equity)
    assert found.whole.trades.drop("symbol").equals(alone.trades)
    assert performance_of(found, interval=HOUR, rules=RULES) == performance(alone, interval=HOUR, rules=RULES)


def test_equity_is_the_mean_of_the_symbols_and_trades_are_in_the_order_of_entry() -> None:
    _, _, found = traded(1, 2, 3)
    each = np.array([part.equity["equity"].to_numpy() for part in found.parts])
    np.testing.assert_allclose(found.whole.equity["equity"], each.mean(axis=0), rtol=1e-15)
    assert found.whole.trades["entry_time"].is_sorted()
    assert found.whole.trades.height == sum(part.trades.height for part in found.parts)
    held = np.array([part.equity["position"].to_numpy() for part in found.parts])
    np.testing.assert_allclose(found.whole.equity["position"], (held * each).sum(axis=0) / each.sum(axis=0))
    assert found.whole.equity["drawdown"].max() <= 0


def test_a_symbol_without_bars_stands_where_it_stood() -> None:
    times = [np.array([10, 20, 30]), np.array([20, 40])]
    found = mean_of([np.array([1.1, 1.2, 1.3]), np.array([2.0, 3.0])], times, before=1.0)
    assert found.tolist() == pytest.approx([(1.1 + 1) / 2, (1.2 + 2) / 2, (1.3 + 2) / 2, (1.3 + 3) / 2])


def test_a_trade_moves_its_symbols_part_of_the_equity() -> None:
    _, _, found = traded(1, 2)
    alone = [performance(part, interval=HOUR, rules=RULES) for part in found.parts]
    whole = performance_of(found, interval=HOUR, rules=RULES)
    assert whole.turnover == pytest.approx(np.mean([one.turnover for one in alone]))
    assert whole.net_return == pytest.approx(np.mean([one.net_return for one in alone]))
    assert whole.n_trades == sum(one.n_trades for one in alone)


def test_holding_all_is_the_mean_of_holding_each() -> None:
    desks, _, _ = traded(1, 2)
    each = [hold_all([desk], interval=HOUR, costs=Costs()) for desk in desks]
    np.testing.assert_allclose(hold_all(desks, interval=HOUR, costs=Costs()), np.mean(each, axis=0))


def test_trades_that_are_moved_keep_their_lengths_and_their_company() -> None:
    entry = np.sort(np.random.default_rng(0).choice(np.arange(0, 900, 10), 40, replace=False))
    rows = (entry, entry + 5)
    times = np.arange(1_000) * HOUR.ms
    (first, lengths), (second, _) = moved_together([rows, rows], [times, times], n_schedules=50, seed=3)
    assert np.array_equal(first, second)  # held at the same time, as they were
    assert (lengths == 5).all()
    assert len(np.unique(first[:, 0])) > 30
    assert ((first >= 0) & (first < 1_000)).all()
    neighbours = np.diff(entry)
    kept = (np.diff(first, axis=1) == neighbours).mean()
    assert 0.5 < kept < 0.95  # stretches hold several trades, and are not all of them


def test_entries_fall_on_bars_of_their_own_symbol() -> None:
    times = [np.arange(100), np.arange(0, 100, 7)]
    rows = [(np.array([3, 50]), np.array([5, 52])), (np.array([2, 9]), np.array([3, 10]))]
    for (entries, _), own in zip(moved_together(rows, times, n_schedules=200, seed=0), times, strict=True):
        assert ((entries >= 0) & (entries < len(own))).all()


def test_a_symbol_that_was_listed_late_is_entered_at_all_of_its_bars_alike() -> None:
    times = [np.arange(1_000), np.arange(850, 1_000), np.arange(150)]
    rows = [(np.array([3, 500]), np.array([5, 502])), *[(np.array([2, 90]), np.array([3, 92]))] * 2]
    _, *others = moved_together(rows, times, n_schedules=3_000, seed=0)
    for entries, _ in others:
        counts = np.bincount(entries.ravel(), minlength=150)
        assert counts.min() > 0
        assert counts.max() < 3 * counts.mean()


def verdict_of(n_copies: int, seed: int) -> Verdict:
    bars, signals = market(seed)
    desks = [Desk(f"S{i}", bars) for i in range(n_copies)]
    rules = Rules(horizon=36)
    settings = {"interval": HOUR, "rules": rules, "costs": Costs(), "n_trials": 1, "n_schedules": 1_000}
    return judge_trades(desks, [signals] * n_copies, **settings)[0]


def test_copies_of_a_symbol_are_no_further_evidence() -> None:
    """Schedules drawn apart for each would make six symbols that do the same six times as sure."""
    found = [(verdict_of(1, seed), verdict_of(6, seed)) for seed in (1_001, 1_002, 1_003)]
    for one, six in found:
        assert six.performance.net_return == pytest.approx(one.performance.net_return, rel=1e-9)
        assert six.interval == pytest.approx(one.interval, rel=1e-6)
        assert six.timing == pytest.approx(one.timing, abs=0.02)
        assert six.p_random == pytest.approx(one.p_random, abs=0.1)
        assert np.std(six.random_returns) == pytest.approx(np.std(one.random_returns), rel=0.25)


def test_funding_of_one_symbol_weighs_on_that_symbol_alone() -> None:
    desks, signals, plain = traded(1, 2)
    times = desks[0].bars["open_time"].gather_every(8)
    dear = Desk(
        desks[0].symbol, desks[0].bars, pl.DataFrame({"funding_time": times, "rate": np.full(len(times), 1e-3)})
    )
    paying = trade_all([dear, desks[1]], signals, **SETTINGS)
    assert paying.parts[0].equity["equity"][-1] < plain.parts[0].equity["equity"][-1]
    assert paying.parts[1].equity.equals(plain.parts[1].equity)
