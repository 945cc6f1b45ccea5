import numpy as np
import pytest

from mmf.markets.listings import funding_gaps

HOUR_MS = 3_600_000
EIGHT = [8 * hours for hours in range(60)]


def gaps(hours: list[int], start: int, stop: int) -> list[tuple[float, float]]:
    found = funding_gaps(np.array(hours, np.int64) * HOUR_MS, start * HOUR_MS, stop * HOUR_MS)
    return [(first / HOUR_MS, last / HOUR_MS) for first, last in found]


def test_rates_that_follow_one_another_have_no_gap():
    assert gaps(EIGHT, 0, 480) == []
    assert gaps([hour + 1 for hour in EIGHT], 0, 480) == []


@pytest.mark.parametrize("lost", [(30, 31), (30, 34), (1, 2), (58, 59)])
def test_rates_that_are_lost_leave_a_gap(lost):
    [(first, last)] = gaps(EIGHT[: lost[0]] + EIGHT[lost[1] :], 0, 480)
    assert (round(first), last) == (8 * (lost[0] - 1), 8 * lost[1])


@pytest.mark.parametrize("other", [1, 4])
@pytest.mark.parametrize("is_shorter_first", [False, True])
def test_another_interval_from_some_day_on_is_no_gap(other, is_shorter_first):
    steps = [other] * 30 + [8] * 30 if is_shorter_first else [8] * 30 + [other] * 30
    hours = np.cumsum(steps).tolist()
    assert gaps(hours, 0, hours[-1] + 1) == []


def test_the_edges_of_the_range_are_watched_and_silence_is_a_gap_once_a_rate_is_due():
    assert [(round(first), last) for first, last in gaps(EIGHT, -9, 482)] == [(-9, 0), (472, 482)]
    assert gaps([], 0, 8) == []
    assert gaps([], 0, 9) == [(0, 9)]
