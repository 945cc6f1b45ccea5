import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.exchange.rate_limit import Gate, RateLimit, WeightMeter, busiest_window

ARRIVALS = st.lists(st.integers(0, 200).map(lambda tenths: tenths / 8), min_size=1, max_size=60)


@pytest.mark.parametrize(
    ("arrivals", "most"),
    [([], 0), ([1.0], 1), ([0.0, 4.9, 5.0], 2), ([0.0, 5.0, 10.0], 1), ([9.0, 1.0, 8.0, 7.0], 3)],
)
def test_the_busiest_window_is_half_open(arrivals: list[float], most: int) -> None:
    assert busiest_window(arrivals, window_s=5.0) == most


@given(ARRIVALS)
def test_the_busiest_window_equals_counting_behind_each_arrival(arrivals: list[float]) -> None:
    counts = [sum(end - 5.0 < other <= end for other in arrivals) for end in arrivals]
    assert busiest_window(arrivals, window_s=5.0) == max(counts)


@given(ARRIVALS, st.integers(1, 20))
def test_the_gate_bans_exactly_where_a_window_is_exceeded(arrivals: list[float], requests: int) -> None:
    gate, limit = Gate(), RateLimit(requests, window_s=5.0, ban_s=1e9)
    admitted = [gate.admits(limit, at) for at in sorted(arrivals)]
    assert gate.n_bans == (busiest_window(arrivals) > requests)
    assert all(admitted) == (gate.n_bans == 0)
    assert admitted == sorted(admitted, reverse=True)  # a ban of that length never ends here


def test_a_ban_ends_and_is_not_prolonged_by_asking() -> None:
    gate, limit = Gate(), RateLimit(2, window_s=5.0, ban_s=10.0)
    times = [0.0, 1.0, 2.0, 3.0, 11.9, 12.0, 12.1, 12.2]
    assert [gate.admits(limit, at) for at in times] == [True, True, False, False, False, True, True, False]
    assert gate.n_bans == 2


def test_a_request_leaves_the_window_after_exactly_its_length() -> None:
    gate, limit = Gate(), RateLimit(2, window_s=5.0)
    assert [gate.admits(limit, at) for at in (0.0, 1.0, 5.0, 6.0, 9.9)] == [True, True, True, True, False]


def test_without_a_limit_all_pass() -> None:
    gate = Gate()
    assert all(gate.admits(None, 0.0) for _ in range(10_000))


def test_weights_start_anew_after_a_minute() -> None:
    meter = WeightMeter()
    assert [meter.add(5, at) for at in (0.0, 30.0, 59.9, 60.0)] == [5, 10, 15, 5]
