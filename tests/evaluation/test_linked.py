from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmf.bars import Interval
from mmf.evaluation.backtest import Costs, Rules, backtest
from mmf.evaluation.linked import joined_gaps, linked_bars, outside

HOUR_MS = 3_600_000
START = datetime(1970, 1, 1, tzinfo=UTC)
RULES = Rules(horizon=3)


def bars_of(opens: list[float]) -> pl.DataFrame:
    times = [START + timedelta(hours=i) for i in range(len(opens))]
    frame = pl.DataFrame({"open_time": times, "open": opens}).with_columns(
        pl.col("open_time").cast(pl.Datetime("ms", "UTC"))
    )
    close = pl.col("open").shift(-1).fill_null(strategy="forward").alias("close")
    return frame.with_columns(close, high=pl.col("open") * 1.5, low=pl.col("open") * 0.5)


def test_a_gap_goes_and_prices_meet_where_it_began() -> None:
    told = linked_bars(bars_of([10, 11, 12, 40, 50, 60, 66]), [(2 * HOUR_MS, 5 * HOUR_MS)])
    assert (told["open_time"].to_physical() // HOUR_MS).to_list() == [0, 1, 5, 6]
    assert told["open"].to_list() == pytest.approx([50, 55, 60, 66])  # 10 and 11 times 60 / 12
    assert told["close"].to_list() == pytest.approx([55, 60, 66, 66])


def test_a_position_that_is_due_when_the_gap_begins_is_filled_at_the_price_of_then() -> None:
    bars = bars_of([10, 10, 10, 10, 12, 90, 80, 70, 30, 31, 32])
    signals = np.array([True] + [False] * 10)
    whole = backtest(bars, signals, interval=Interval("60"), rules=RULES, costs=Costs()).trades
    told = linked_bars(bars, [(4 * HOUR_MS, 8 * HOUR_MS)])
    linked = backtest(told, signals[: told.height], interval=Interval("60"), rules=RULES, costs=Costs()).trades
    assert linked["net_return"].to_list() == pytest.approx(whole["net_return"].to_list())
    assert whole["exit"].to_list() == [12.0]


@given(st.lists(st.floats(0.5, 2.0), min_size=5, max_size=5))
def test_what_happens_within_a_gap_cannot_be_seen(factors: list[float]) -> None:
    opens = [10.0, 11, 12, 40, 50, 60, 20, 20, 66, 67]
    changed = opens[:3] + [price * factor for price, factor in zip(opens[3:8], factors, strict=True)] + opens[8:]
    gap = [(2 * HOUR_MS, 8 * HOUR_MS)]
    columns = ("open_time", "open", "high", "low")
    first, second = (linked_bars(bars_of(one), gap) for one in (opens, changed))
    assert first.select(columns).equals(second.select(columns))
    assert np.allclose(first["close"][2:].to_numpy(), second["close"][2:].to_numpy(), rtol=0)


@pytest.mark.parametrize("gap", [(0, 3 * HOUR_MS), (4 * HOUR_MS, 7 * HOUR_MS), (2 * HOUR_MS, 2 * HOUR_MS)])
def test_a_gap_at_either_end_or_none_scales_nothing(gap: tuple[int, int]) -> None:
    bars = bars_of([10, 11, 12, 13, 14, 15, 16])
    told = linked_bars(bars, [gap])
    assert told.equals(bars.filter(pl.col("open_time").is_in(told["open_time"].to_list())))


def test_gaps_that_touch_are_one() -> None:
    assert joined_gaps([(5, 8), (0, 5), (20, 30), (21, 22)]) == [(0, 8), (20, 30)]


def test_the_instant_at_which_a_gap_begins_is_outside_of_it() -> None:
    times = pl.Series([0, 10, 11, 19, 20]).cast(pl.Datetime("ms", "UTC"))
    assert outside(times, [(10, 20)]).to_list() == [True, True, False, False, True]
