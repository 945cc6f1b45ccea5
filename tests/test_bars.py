import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmf.bars import (
    BAR_SCHEMA,
    STORED_SCHEMA,
    VALUE_COLUMNS,
    Interval,
    Series,
    check_bars,
    merge_bars,
)
from mmf.errors import CallError

HOUR_MS = 3_600_000
FAR_FUTURE_MS = 4_102_444_800_000


def bar_frame(*rows: tuple[int, float, float, float, float, float, float | None]) -> pl.DataFrame:
    """Rows of (hour, open, high, low, close, volume, turnover)."""
    frame = pl.DataFrame(rows, schema={"hour": pl.Int64} | dict.fromkeys(VALUE_COLUMNS, pl.Float64), orient="row")
    open_time = (pl.col("hour") * HOUR_MS).cast(BAR_SCHEMA["open_time"])
    return frame.select(open_time.alias("open_time"), *VALUE_COLUMNS)


def stored_frame(bars: pl.DataFrame, *, source: str = "a", revision: int = 0) -> pl.DataFrame:
    ledger = (source, 0, revision)
    names = ("source", "fetched_at", "revision")
    return bars.with_columns(pl.lit(v).cast(STORED_SCHEMA[n]).alias(n) for n, v in zip(names, ledger, strict=True))


GOOD = (10, 100.0, 110.0, 90.0, 105.0, 7.0, 700.0)


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


def test_merging_the_same_bars_changes_nothing() -> None:
    stored = stored_frame(bar_frame(GOOD))
    merged = merge_bars(stored, stored_frame(bar_frame(GOOD), source="b"))
    assert (merged.n_added, merged.n_revised, merged.n_unchanged) == (0, 0, 1)
    assert merged.bars.equals(stored)


def test_other_numbers_for_a_bar_are_a_revision() -> None:
    stored = stored_frame(bar_frame(GOOD))
    restated = stored_frame(bar_frame((10, 100.0, 110.0, 90.0, 104.0, 7.0, 700.0), (11, *GOOD[1:])), source="b")
    merged = merge_bars(stored, restated)
    assert (merged.n_added, merged.n_revised) == (1, 1)
    assert merged.superseded.equals(stored)
    assert merged.bars.select("close", "source", "revision").rows() == [(104.0, "b", 1), (105.0, "b", 0)]


def test_silence_about_turnover_is_no_revision_but_learning_it_is() -> None:
    with_turnover, without = stored_frame(bar_frame(GOOD)), stored_frame(bar_frame((*GOOD[:-1], None)))
    assert merge_bars(with_turnover, without).n_unchanged == 1
    learnt = merge_bars(without, with_turnover)
    assert learnt.n_revised == 1
    assert learnt.bars["turnover"].to_list() == [700.0]
