import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmf.errors import CallError
from mmf.evaluation.random_entries import random_schedules, schedule_returns, shared_returns


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 20), st.integers(1, 9)), min_size=1, max_size=15), st.integers(0, 30))
def test_schedules_are_in_the_market_as_long_as_the_real_one_and_never_twice_at_once(
    parts: list[tuple[int, int]], tail: int
) -> None:
    pauses, lengths = np.array(parts).T
    exits = np.cumsum(pauses + lengths)
    n = int(exits[-1]) + tail
    entries, kept = random_schedules(exits - lengths, exits, n, n_schedules=20, seed=0)
    assert (np.sort(kept, axis=1) == np.sort(lengths)).all()
    for begins, spans in zip(entries, kept, strict=True):
        held = np.concatenate([np.arange(a, a + k) % n for a, k in zip(begins, spans, strict=True)])
        assert len(np.unique(held)) == lengths.sum()


def test_every_row_is_as_likely_as_any_other() -> None:
    entry = np.array([3, 40, 45, 90])
    entries, _ = random_schedules(entry, entry + 4, 100, n_schedules=5_000, seed=0)
    counts = np.bincount(entries.ravel(), minlength=100)
    assert counts.min() > 140
    assert counts.max() < 260


def test_small_groups_of_trades_stay_together() -> None:
    entry = np.array([0, 5, 10, 15, 500, 505, 510, 515])
    entries, _ = random_schedules(entry, entry + 5, 1_000, n_schedules=500, seed=0)
    touching = (np.diff(np.sort(entries, axis=1), axis=1) == 5).sum(axis=1)
    assert touching.mean() > 3


def test_returns_are_sums_over_the_trades_around_the_ring() -> None:
    log_open = np.array([0.0, 1.0, 3.0, 6.0, 10.0])
    found = schedule_returns(log_open, np.array([[1, 3]]), np.array([[2, 2]]), log_cost_per_trade=-0.5)
    assert found.tolist() == [(6 - 1) + (10 - 6) + (1 - 0) - 1.0]


def test_trades_that_share_the_equity_gain_what_their_parts_do() -> None:
    log_open = np.log([100.0, 110.0, 121.0, 121.0, 242.0])
    entries, lengths = np.array([[0, 1, 3]]), np.array([[2, 2, 2]])  # the last one runs over the end
    found = shared_returns(log_open, entries, lengths, at_once=2, log_cost_per_trade=-0.5)
    # rows: the first and the one around the ring, first and second, second, the last
    assert found.tolist() == pytest.approx([np.log(1.1) + np.log(1.1) + np.log(1.0) + np.log(1.5) - 1.5])


def test_trades_that_follow_each_other_gain_the_same_either_way() -> None:
    rng = np.random.default_rng(0)
    log_open = np.cumsum(rng.normal(0, 0.01, 101))
    entry = np.array([3, 40, 45, 90])
    drawn = random_schedules(entry, entry + 4, 100, n_schedules=50, seed=0)
    plain = schedule_returns(log_open, *drawn, log_cost_per_trade=-0.1)
    assert shared_returns(log_open, *drawn, at_once=1, log_cost_per_trade=-0.1) == pytest.approx(plain)


def test_a_schedule_that_loses_all_is_worth_nothing_and_not_undefined() -> None:
    log_open = np.log([100.0, 20.0, 20.0])
    found = shared_returns(log_open, np.array([[0] * 4]), np.ones((1, 4), int), at_once=2, log_cost_per_trade=0.0)
    assert found[0] < -20


def test_a_schedule_without_trades_brings_nothing() -> None:
    entries, kept = random_schedules(np.zeros(0, int), np.zeros(0, int), 10, n_schedules=3, seed=0)
    assert schedule_returns(np.zeros(11), entries, kept, log_cost_per_trade=-1.0).tolist() == [0, 0, 0]


@pytest.mark.parametrize(("entry", "exit_"), [([0, 2], [3, 4]), ([5], [11]), ([3], [3]), ([-1], [2])])
def test_trades_that_overlap_or_leave_the_range_are_refused(entry: list[int], exit_: list[int]) -> None:
    with pytest.raises(CallError, match="at_once=1"):
        random_schedules(np.array(entry), np.array(exit_), 10, n_schedules=1, seed=0)
