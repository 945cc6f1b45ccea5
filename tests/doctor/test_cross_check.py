from pathlib import Path

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from mmf.bars import BAR_SCHEMA, Interval
from mmf.doctor.cross_check import cross_check, resample
from mmf.errors import CallError

MINUTE, FIVE, FIFTEEN, HOUR = (Interval(name) for name in ("1", "5", "15", "60"))


def minutes(numbers: list[int] | range) -> pl.DataFrame:
    n = np.array(numbers, dtype=np.int64)
    close = 100.0 + n % 7
    times = pl.Series("open_time", n * 60_000).cast(pl.Datetime("ms", "UTC"))
    values = {"open": close - 0.5, "high": close + 1, "low": close - 1, "close": close, "volume": n + 1.0}
    return pl.DataFrame({"open_time": times, **values, "turnover": 100.0 * (n + 1)})


def instants(times: pl.Series) -> list[int]:
    return (times.to_physical() // 60_000).to_list()


def test_resample_known_answer() -> None:
    assert resample(minutes(range(10)), interval=MINUTE, to=FIVE).drop("open_time").rows() == [
        (99.5, 105.0, 99.0, 104.0, 15.0, 1500.0, 5),
        (104.5, 107.0, 99.0, 102.0, 40.0, 4000.0, 5),
    ]


def test_resample_says_how_many_bars_each_was_made_of() -> None:
    joined = resample(minutes([3, 4, 5, 11]), interval=MINUTE, to=FIVE)
    assert joined["n_bars"].to_list() == [2, 1, 1]
    assert instants(joined["open_time"]) == [0, 5, 10]


def test_a_null_turnover_makes_the_sum_null() -> None:
    bars = minutes(range(10)).with_columns(turnover=pl.when(pl.col("volume") != 7).then("turnover"))
    assert resample(bars, interval=MINUTE, to=FIVE)["turnover"].to_list() == [1500.0, None]


def test_weeks_begin_on_monday() -> None:
    days = minutes([0]).with_columns(
        pl.datetime(2024, 1, 7, time_zone="UTC").cast(BAR_SCHEMA["open_time"]).alias("open_time")
    )
    (week,) = resample(days, interval=Interval("D"), to=Interval("W"))["open_time"]
    assert f"{week:%Y-%m-%d}" == "2024-01-01"


def test_intervals_must_nest() -> None:
    with pytest.raises(CallError, match="do not fit"):
        resample(minutes(range(9)), interval=Interval("3"), to=FIVE)


def test_equal_accounts_agree_whichever_comes_first() -> None:
    bars = minutes(range(60))
    fives = resample(bars, interval=MINUTE, to=FIVE).drop("n_bars")
    for left, right, intervals in [
        (bars, fives, (MINUTE, FIVE)),
        (fives, bars, (FIVE, MINUTE)),
        (bars, bars, (MINUTE,) * 2),
    ]:
        found = cross_check(left, right, intervals=intervals)
        assert (found.n_compared, found.n_partial, found.differences.height) == (60 if left is right else 12, 0, 0)
        assert found.only_left.is_empty()
        assert found.only_right.is_empty()


def test_a_number_that_differs_is_named() -> None:
    bars = minutes(range(20))
    other = bars.with_columns(pl.when(pl.col("volume") == 4).then(999.0).otherwise("close").alias("close"))
    found = cross_check(bars, other, intervals=(MINUTE, MINUTE)).differences
    assert found.select("column", "left", "right").rows() == [("close", 103.0, 999.0)]
    assert instants(found["open_time"]) == [3]


def test_sums_may_round_prices_may_not() -> None:
    bars = minutes(range(5))
    for name, n_differences in [("volume", 0), ("turnover", 0), ("close", 5)]:
        other = bars.with_columns(pl.col(name) * (1 + 1e-12))
        assert cross_check(bars, other, intervals=(MINUTE, MINUTE)).differences.height == n_differences


def test_holes_are_reported_and_parts_not_compared() -> None:
    whole = minutes(range(60))
    fives = resample(whole, interval=MINUTE, to=FIVE).drop("n_bars")
    holed = whole.filter(~pl.col("volume").is_between(11, 15), pl.col("volume") != 31)
    found = cross_check(fives.filter(pl.col("open_time").dt.minute() != 45), holed, intervals=(FIVE, MINUTE))
    assert (found.n_compared, found.n_partial, found.differences.height) == (9, 1, 0)
    assert instants(found.only_left) == [10]
    assert instants(found.only_right) == [45]


def test_a_side_without_bars_leaves_nothing_to_compare() -> None:
    found = cross_check(minutes(range(5)), minutes([]), intervals=(MINUTE, MINUTE))
    assert (found.n_compared, found.only_left.len(), found.differences.height) == (0, 0, 0)


# real bars --------------------------------------------------------------------------


def real(folder: Path, name: str) -> pl.DataFrame:
    return pl.read_parquet(folder / "klines" / f"{name}.parquet")


@pytest.mark.real_bars
@pytest.mark.parametrize("symbol", ["BTCUSDT", "ETHUSDT"])
def test_quarters_of_bybit_add_up_to_its_hours(real_bars: Path, symbol: str) -> None:
    quarters, hours = (real(real_bars, f"bybit_linear_{symbol}_{name}") for name in ("15m", "60m"))
    found = cross_check(quarters, hours, intervals=(FIFTEEN, HOUR))
    assert found.n_compared > 9_000
    assert found.differences.is_empty()
    whole = resample(quarters, interval=FIFTEEN, to=HOUR).filter(pl.col("n_bars") == 4)
    prices = ["open_time", "open", "high", "low", "close"]
    theirs = hours.join(whole, on="open_time", how="semi").select(prices)
    assert_frame_equal(whole.select(prices), theirs)


@pytest.mark.real_bars
def test_binance_restated_hours_that_differ_from_its_own_minutes(real_bars: Path) -> None:
    fives, hours = real(real_bars, "binance_um_BTCUSDT_5m"), real(real_bars, "binance_um_BTCUSDT_60m")
    found = cross_check(fives, hours, intervals=(FIVE, HOUR)).differences
    hours_ = found["open_time"].dt.strftime("%Y-%m-%d %H:%M").unique().sort().to_list()
    assert hours_ == ["2025-01-14 13:00", "2025-01-14 15:00", "2025-01-29 01:00", "2025-01-29 02:00"]


@pytest.mark.real_bars
def test_the_outage_shows_as_a_part_that_is_not_compared(real_bars: Path) -> None:
    minutes_, hours = real(real_bars, "binance_spot_BTCUSDT_1m"), real(real_bars, "binance_spot_BTCUSDT_60m")
    found = cross_check(minutes_, hours, intervals=(MINUTE, HOUR))
    assert (found.n_partial, found.differences.height) == (1, 0)
