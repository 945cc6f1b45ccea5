from datetime import UTC, datetime

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmf.bars import BAR_SCHEMA, Interval
from mmf.errors import CallError
from mmf.features.context import context_columns, context_name, split_context, with_context
from mmf.features.lags import lag_expr, split_lag
from mmf.features.registry import feature_set

HOUR_MS = 3_600_000
HOUR, FOUR = Interval("60"), Interval("240")


def rows(interval: Interval, numbers: list[int], values: list[float | None] | None = None) -> pl.DataFrame:
    times = pl.Series("open_time", [interval.open_time_ms(number) for number in numbers], pl.Int64)
    return pl.DataFrame(
        [times.cast(BAR_SCHEMA["open_time"]), pl.Series("a", values or [float(n) for n in numbers], pl.Float32)]
    )


def looked_up(
    frame: pl.DataFrame, longer: pl.DataFrame, interval: Interval = HOUR, context: Interval = FOUR
) -> list[float | None]:
    found = with_context(frame, longer, ["a"], interval=interval, context=context).collect()
    assert found.columns == ["open_time", "a", context_name("a", context)]
    assert found.select("open_time", "a").equals(frame)
    return found.to_series(2).to_list()


def test_a_row_sees_the_last_bar_that_closed_by_its_own_close():
    # the bar 0-4 h closes together with the row 3-4 h, which is the first to see it
    assert looked_up(rows(HOUR, list(range(10))), rows(FOUR, [0, 1, 2])) == [None] * 3 + [0.0] * 4 + [1.0] * 3


def test_what_closed_more_than_two_intervals_ago_is_null():
    # bars 1 to 3 are missing: bar 0 closed at 4 h, and the row that closes at 12 h is the last to see it
    assert looked_up(rows(HOUR, list(range(3, 20))), rows(FOUR, [0, 4])) == [0.0] * 9 + [None] * 7 + [4.0]


def test_a_null_of_the_longer_interval_stays_null():
    assert looked_up(rows(HOUR, [3, 7]), rows(FOUR, [0, 1], [5.0, None])) == [5.0, None]


@pytest.mark.parametrize(
    ("context", "longer_number", "first"),
    [("D", 19_723, datetime(2024, 1, 1, tzinfo=UTC)), ("W", 2_817, datetime(2024, 1, 1, tzinfo=UTC))],
)
def test_days_and_weeks_close_when_the_calendar_says(context: str, longer_number: int, first: datetime):
    longer = Interval(context)
    assert longer.open_time_ms(longer_number) == int(first.timestamp() * 1000)
    seen_from = HOUR.bar_number(longer.open_time_ms(longer_number) + longer.ms) - 1
    found = looked_up(rows(HOUR, [seen_from - 1, seen_from]), rows(longer, [longer_number]), context=longer)
    assert found == [None, float(longer_number)]


@pytest.mark.parametrize("context", ["30", "60"])
def test_a_context_is_longer_than_the_rows(context: str):
    with pytest.raises(CallError, match=f"context {context} is no longer than the interval 60"):
        with_context(rows(HOUR, [0]), rows(Interval(context), [0]), ["a"], interval=HOUR, context=Interval(context))


numbers = st.lists(st.integers(0, 150), min_size=1, max_size=60, unique=True).map(sorted)
pairs = st.sampled_from([("60", "240"), ("15", "60"), ("240", "360"), ("240", "D"), ("D", "W"), ("720", "W")])


@given(numbers, numbers, pairs)
def test_context_equals_a_search_row_by_row(own: list[int], longer: list[int], pair: tuple[str, str]):
    interval, context = map(Interval, pair)
    shift = context.bar_number(interval.open_time_ms(own[0])) - longer[0]  # both near the same time
    longer = [number + max(0, shift) for number in longer]
    expected = []
    for number in own:
        close_ms = interval.open_time_ms(number) + interval.ms
        closed = [n for n in longer if context.open_time_ms(n) + context.ms <= close_ms]
        age_ms = close_ms - context.open_time_ms(closed[-1]) - context.ms if closed else 1 << 60
        expected.append(float(closed[-1]) if age_ms <= 2 * context.ms else None)
    assert looked_up(rows(interval, own), rows(context, longer), interval, context) == expected


@given(st.integers(0, 60), st.integers(0, 239))
def test_a_bar_that_is_forming_at_the_close_of_a_row_is_never_visible(row: int, start: int):
    """Other longer bars from any that closes after the row on: nothing at or before the row changes."""
    own = rows(HOUR, list(range(start, start + 61)))
    close_ms = HOUR.open_time_ms(start + row) + HOUR.ms
    longer = rows(FOUR, list(range(90)))
    is_later = pl.col("open_time").dt.epoch("ms") + FOUR.ms > close_ms
    mutated = longer.with_columns(pl.when(is_later).then(-1.0).otherwise(pl.col("a")).cast(pl.Float32).alias("a"))
    before, after = looked_up(own, longer), looked_up(own, mutated)
    assert after[: row + 1] == before[: row + 1]
    assert -1.0 in after[row + 1 : row + 5] or row > 56  # the bar that was forming is seen once it has closed


def test_a_lag_of_a_context_column_counts_rows_of_the_series():
    frame = with_context(rows(HOUR, [2, 3, 7, 8]), rows(FOUR, [0, 1]), ["a"], interval=HOUR, context=FOUR)
    assert frame.select(lag_expr("a_ctx_240_lag_1")).collect().to_series().to_list() == [None, None, 0.0, 1.0]


def test_only_the_columns_asked_for_are_read(tmp_path):
    for name, frame in {"own": rows(HOUR, [0, 3]), "longer": rows(FOUR, [0])}.items():
        frame.with_columns(b=1.0, c=2.0).write_parquet(tmp_path / f"{name}.parquet")
    own, longer = (pl.scan_parquet(tmp_path / f"{name}.parquet") for name in ("own", "longer"))
    plan = with_context(own, longer, ["a", "b", "c"], interval=HOUR, context=FOUR).select("a_ctx_240").explain()
    assert plan.count("PROJECT 1/4 COLUMNS") == 1  # open_time of the rows
    assert plan.count("PROJECT 2/4 COLUMNS") == 1  # open_time and `a` of the longer bars


@pytest.mark.parametrize("context", ["3", "240", "D", "W"])
def test_a_context_name_splits_into_its_parts(context: str):
    names = context_columns(feature_set("core").columns, [Interval(context)])
    assert len(set(names)) == len(feature_set("core").columns)
    for base, name in zip(feature_set("core").columns, names, strict=True):
        assert name == name.lower()
        assert split_context(name) == (base, Interval(context))
        assert split_lag(f"{name}_lag_3") == (name, 3)


@pytest.mark.parametrize("name", ["rsi_14", "rsi_14_lag_3", "a_ctx_", "a_ctx_0", "_ctx_240"])
def test_other_names_have_no_context(name: str):
    assert split_context(name) == (name, None)


def test_a_context_of_an_interval_that_does_not_exist_is_refused():
    with pytest.raises(CallError, match="interval '7' is unknown"):
        split_context("a_ctx_7")
