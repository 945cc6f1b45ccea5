import pytest

from mmf.bars import Interval, Series
from mmf.errors import CallError


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("60m", "60"),
        ("1h", "60"),
        ("1d", "D"),
        ("1D", "D"),
        ("1w", "W"),
        ("4h", "240"),
        ("1m", "1"),
        ("D", "D"),
        ("15", "15"),
    ],
)
def test_interval_aliases(text: str, name: str) -> None:
    assert Interval.parse(text).name == name


@pytest.mark.parametrize("text", ["M", "1M", "1mo"])
def test_calendar_months_are_refused_with_the_reason(text: str) -> None:
    with pytest.raises(CallError, match="no fixed length"):
        Interval.parse(text)


@pytest.mark.parametrize("text", ["", "7", "7m", "60s", "1.5h", "-60", "99999d"])
def test_unknown_intervals_list_the_known_ones(text: str) -> None:
    with pytest.raises(CallError, match="Use one of 1 3 5 15"):
        Interval.parse(text)


def test_weeks_start_on_monday() -> None:
    monday_2024_01_01_ms = 1_704_067_200_000
    week = Interval("W")
    assert week.open_time_ms(week.bar_number(monday_2024_01_01_ms)) == monday_2024_01_01_ms
    assert week.bar_number(monday_2024_01_01_ms - 1) == week.bar_number(monday_2024_01_01_ms) - 1


@pytest.mark.parametrize(
    "symbol", ["../../etc", "x'; drop table", "BTC/USDT", "", "btcusdt", "A" * 41, "BTC USDT", "BTC\n"]
)
def test_hostile_symbols_are_refused(symbol: str) -> None:
    with pytest.raises(CallError, match="is not a symbol"):
        Series.of("bybit", "linear", symbol, "60")


@pytest.mark.parametrize("exchange", ["..", "By bit", "bybit/..", ""])
def test_hostile_exchanges_are_refused(exchange: str) -> None:
    with pytest.raises(CallError, match="is not a name"):
        Series.of(exchange, "linear", "BTCUSDT", "60")


def test_series_round_trips_through_text() -> None:
    series = Series.of("binance", "um", "1000PEPEUSDT", "1h")
    assert Series.parse(str(series)) == series
