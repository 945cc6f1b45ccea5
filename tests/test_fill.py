import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmf.bars import BAR_SCHEMA, Interval
from mmf.fill import fill

HOUR = Interval("60")


def frame(hours: list[int], *, turnover: float | None = 5.0) -> pl.DataFrame:
    times = pl.Series("open_time", [hour * HOUR.ms for hour in hours], dtype=pl.Int64).cast(BAR_SCHEMA["open_time"])
    prices = {
        name: pl.Series([100.0 + hour for hour in hours], dtype=pl.Float64) for name in ("open", "high", "low", "close")
    }
    return pl.DataFrame({"open_time": times, **prices}).with_columns(
        volume=pl.lit(2.0), turnover=pl.lit(turnover, pl.Float64), source=pl.lit("a")
    )


@given(st.sets(st.integers(0, 40), min_size=1))
def test_every_slot_between_first_and_last_is_there_once_and_flagged(held: set[int]) -> None:
    hours = sorted(held)
    filled = fill(frame(hours), interval=HOUR, how="forward_flat")
    assert (filled["open_time"].to_physical() // HOUR.ms).to_list() == list(range(hours[0], hours[-1] + 1))
    assert filled.filter(~pl.col("is_filled")).drop("is_filled").equals(frame(hours))
    assert filled["is_filled"].sum() == hours[-1] - hours[0] + 1 - len(hours)


def test_stand_ins_are_flat_at_the_close_before_with_no_volume() -> None:
    filled = fill(frame([3, 6]), interval=HOUR, how="forward_flat").filter("is_filled")
    assert filled.drop("open_time").rows() == [(103.0, 103.0, 103.0, 103.0, 0.0, 0.0, None, True)] * 2


def test_turnover_stays_unknown_where_it_was() -> None:
    filled = fill(frame([3, 6], turnover=None), interval=HOUR, how="forward_flat")
    assert filled["turnover"].null_count() == 4


@pytest.mark.parametrize("hours", [[], [3, 6]])
def test_none_leaves_holes_and_says_so(hours: list[int]) -> None:
    left = fill(frame(hours), interval=HOUR, how="none")
    assert left.drop("is_filled").equals(frame(hours))
    assert not left["is_filled"].any()


def test_no_bars_stay_no_bars_with_the_same_columns() -> None:
    empty = fill(frame([]), interval=HOUR, how="forward_flat")
    assert empty.schema == fill(frame([1, 3]), interval=HOUR, how="forward_flat").schema
