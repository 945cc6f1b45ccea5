import asyncio
import threading
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmf.errors import CallError
from mmf.markets.pacing import Pacer, shared_pacer
from tests.markets.patience import VirtualClock

LIMITS = st.sampled_from([(600, 5.0), (50, 1.0), (7, 0.5), (1, 1.0), (2_300, 60.0)])


def paced(pacer: Pacer, clock: VirtualClock, busy_s: Sequence[float], costs: Sequence[int] | None = None) -> np.ndarray:
    """Instants at which turns were taken by a sender that is busy for a while after each."""

    async def send() -> list[float]:
        times = []
        for i, seconds in enumerate(busy_s):
            await pacer.turn(costs[i] if costs else 1)
            times.append(clock.now_s)
            clock.now_s += seconds
        return times

    return np.array(asyncio.run(send()))


def most_in_a_window(times: np.ndarray, window_s: float, costs: np.ndarray | None = None) -> int:
    """The largest count, or cost, in any closed window."""
    order = np.argsort(times, kind="stable")
    times, costs = times[order], np.ones(len(times), int) if costs is None else costs[order]
    total = np.concatenate(([0], np.cumsum(costs)))
    stops = np.searchsorted(times, times + window_s, side="right")
    return int((total[stops] - total[:-1]).max())


def with_stalls(seed: int, n: int, spacing_s: float) -> np.ndarray:
    """How long a sender is busy after each turn: mostly not at all, now and then for a moment or for seconds."""
    rng = np.random.default_rng(seed)
    moments = rng.exponential(spacing_s, n) * (rng.random(n) < rng.random())
    return moments + rng.exponential(1.0, n) * (rng.random(n) < 0.01)


def a_pacer(limit: int, window_s: float, oversleep_s: Sequence[float] = (0.0,)) -> tuple[Pacer, VirtualClock]:
    clock = VirtualClock(1_000.0)
    turns = iter(np.resize(oversleep_s, 1 << 16))

    async def sleep(seconds: float) -> None:
        await clock.sleep(seconds + next(turns))

    return Pacer(limit, window_s, clock=clock, sleep=sleep), clock


@given(limit=LIMITS, seed=st.integers(0, 2**32 - 1), jitter=st.floats(0.0, 0.30))
@settings(max_examples=60)
def test_no_window_holds_more_than_the_limit_however_busy_the_sender_and_however_shaky_the_line(limit, seed, jitter):
    n, window_s = limit
    rng = np.random.default_rng(seed)
    pacer, clock = a_pacer(n, window_s, rng.exponential(0.01, 97))
    sent = paced(pacer, clock, with_stalls(seed, 3 * n + 20, pacer.spacing_s))
    travel_s = 0.06 + jitter * rng.choice([0.0, 1.0, rng.random()], len(sent))
    assert most_in_a_window(sent + travel_s, window_s) <= n


@given(limit=LIMITS, seed=st.integers(0, 2**32 - 1))
@settings(max_examples=30)
def test_costs_count_towards_the_limit(limit, seed):
    n, window_s = limit
    pacer, clock = a_pacer(n, window_s)
    costs = np.random.default_rng(seed).choice([1, 2, 5], 2 * n + 20)
    sent = paced(pacer, clock, np.zeros(len(costs)), costs.tolist())
    assert most_in_a_window(sent, window_s, costs) <= n + 4


@pytest.mark.parametrize("oversleep_s", [0.0, 0.001, 0.02])
def test_a_sender_that_only_oversleeps_keeps_nine_tenths_of_the_allowed_rate(oversleep_s):
    pacer, clock = a_pacer(600, 5.0, [oversleep_s])
    sent = paced(pacer, clock, np.zeros(2_000))
    assert (len(sent) - 1) / (sent[-1] - sent[0]) >= 0.9 * 600 / 5.0


def test_after_a_rest_the_first_turns_do_not_come_in_a_burst():
    pacer, clock = a_pacer(600, 5.0)
    paced(pacer, clock, [0.0])
    clock.now_s += 60.0
    assert np.diff(paced(pacer, clock, np.zeros(20))).min() >= 0.99 * pacer.spacing_s


def test_nobody_has_a_turn_while_they_are_held():
    pacer, clock = a_pacer(600, 5.0)
    paced(pacer, clock, np.zeros(10))
    pacer.hold(7.0)
    pacer.hold(3.0)
    held_at = clock.now_s
    assert paced(pacer, clock, [0.0])[0] == pytest.approx(held_at + 7.0)


def test_threads_with_event_loops_of_their_own_share_the_limit():
    pacer = Pacer(100, 0.05, slack_s=0.01, jitter_s=0.0)
    clock = pacer._clock
    times: list[float] = []

    async def send() -> None:
        for _ in range(60):
            await pacer.turn()
            times.append(clock())

    threads = [threading.Thread(target=lambda: asyncio.run(send())) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    # 179 gaps, whatever the threads do: one pacer a thread would be through in a third of the time
    assert max(times) - min(times) >= 179 * pacer.spacing_s - 0.02


def test_one_pacer_for_each_host_and_limit():
    assert shared_pacer("http://a", 600, 5.0) is shared_pacer("http://a", 600, 5.0)
    assert shared_pacer("http://a", 600, 5.0) is not shared_pacer("http://b", 600, 5.0)


@pytest.mark.parametrize(("limit", "window_s"), [(0, 5.0), (600, 0.0)])
def test_a_limit_that_cannot_be_paced_is_refused(limit, window_s):
    with pytest.raises(CallError, match="cannot be paced"):
        Pacer(limit, window_s)
