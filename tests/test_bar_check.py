import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmf.bar_check import check_bars
from mmf.bars import Interval
from tests.bar_frames import FAR_FUTURE_MS, GOOD, HOUR_MS, bar_frame


def test_a_good_bar_passes_untouched() -> None:
    checked = check_bars(bar_frame(GOOD), interval=Interval("60"), closed_before_ms=FAR_FUTURE_MS)
    assert checked.bars.equals(bar_frame(GOOD))
    assert checked.quarantined.is_empty()


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ((10, 100.0, 99.0, 90.0, 95.0, 1.0, None), "high is below open, close or low"),
        ((10, 100.0, 110.0, 101.0, 105.0, 1.0, None), "low is above open or close"),
        ((10, 0.0, 110.0, 0.0, 105.0, 1.0, None), "open is not positive"),
        ((10, 100.0, float("inf"), 90.0, 105.0, 1.0, None), "high is not a finite number"),
        ((10, 100.0, 110.0, 90.0, float("nan"), 1.0, None), "close is not a finite number"),
        ((10, 100.0, 110.0, 90.0, None, 1.0, None), "close is not a finite number"),
        ((10, 100.0, 110.0, 90.0, 105.0, -1.0, None), "volume is negative"),
        ((10, 100.0, 110.0, 90.0, 105.0, None, None), "volume is not a finite number"),
        ((10, 100.0, 110.0, 90.0, 105.0, 1.0, float("nan")), "turnover is not a finite number"),
        ((10, 100.0, 110.0, 90.0, 105.0, 1.0, -2.0), "turnover is negative"),
        ((-1, 100.0, 110.0, 90.0, 105.0, 1.0, None), "open_time is before 1970"),
        ((None, 100.0, 110.0, 90.0, 105.0, 1.0, None), "no open_time"),
    ],
)
def test_each_fault_is_quarantined_with_its_reason(row: tuple, reason: str) -> None:
    rows = bar_frame(GOOD, row) if row[0] != GOOD[0] else bar_frame((9, *GOOD[1:]), row)
    checked = check_bars(rows, interval=Interval("60"), closed_before_ms=FAR_FUTURE_MS)
    assert checked.bars.height == 1
    assert checked.quarantined.select("row", "reason").rows() == [(2, reason)]


def test_an_open_time_off_the_grid_is_quarantined() -> None:
    rows = bar_frame(GOOD).with_columns(pl.col("open_time").dt.offset_by("1m"))
    checked = check_bars(rows, interval=Interval("60"), closed_before_ms=FAR_FUTURE_MS)
    assert checked.quarantined["reason"].to_list() == ["open_time is not on the 60 grid"]


@pytest.mark.parametrize(("closed_before_ms", "n_forming"), [(11 * HOUR_MS, 0), (11 * HOUR_MS - 1, 1)])
def test_a_bar_is_closed_from_its_close_time_on(closed_before_ms: int, n_forming: int) -> None:
    checked = check_bars(bar_frame(GOOD), interval=Interval("60"), closed_before_ms=closed_before_ms)
    assert (checked.n_forming, checked.bars.height) == (n_forming, 1 - n_forming)


def test_repeated_rows_count_once_and_contradictions_are_quarantined() -> None:
    other = (10, 100.0, 111.0, 90.0, 105.0, 7.0, 700.0)
    checked = check_bars(bar_frame(GOOD, GOOD, other), interval=Interval("60"), closed_before_ms=FAR_FUTURE_MS)
    assert checked.bars["high"].to_list() == [111.0]
    assert checked.n_repeated == 1
    assert checked.quarantined["reason"].str.contains("same open_time").to_list() == [True]


def test_rows_that_the_reader_rejected_keep_their_reason() -> None:
    rows = bar_frame(GOOD).with_columns(pl.lit(41).alias("row"), pl.lit("'abc' is not a number").alias("reason"))
    checked = check_bars(rows, interval=Interval("60"), closed_before_ms=FAR_FUTURE_MS)
    assert checked.quarantined.select("row", "reason").rows() == [(41, "'abc' is not a number")]


_price = st.one_of(st.sampled_from([0.0, -1.0, float("nan"), float("inf"), None]), st.floats(1e-6, 1e6))


@given(st.lists(st.tuples(st.integers(0, 5), _price, _price, _price, _price, _price, _price), min_size=1, max_size=12))
def test_every_row_is_accounted_for(rows: list[tuple]) -> None:
    checked = check_bars(bar_frame(*rows), interval=Interval("60"), closed_before_ms=3 * HOUR_MS)
    counted = checked.bars.height + checked.quarantined.height + checked.n_forming + checked.n_repeated
    assert counted == len(rows)
    assert checked.bars["open_time"].is_unique().all()
    assert checked.bars["open_time"].is_sorted()
