from datetime import UTC, datetime

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from mmf.bars import Interval
from mmf.errors import CallError, DataError
from mmf.labels import LabelConfig, make_labels

HOUR = Interval("60")
HURDLE = LabelConfig(horizon=2, hurdle=0.005)
BARRIERS = LabelConfig(kind="triple_barrier", horizon=3)


def bars_of(close, *, high=None, low=None, hours=None, **more):
    hours = range(len(close)) if hours is None else hours
    return pl.DataFrame(
        {
            "open_time": [h * HOUR.ms for h in hours],
            "high": close if high is None else high,
            "low": close if low is None else low,
            "close": close,
            **more,
        },
        schema_overrides={"open_time": pl.Datetime("ms", "UTC"), "atr_14": pl.Float64},
    )


def labels_of(bars, config):
    return make_labels(bars, interval=HOUR, config=config)["label"].to_list()


def test_a_hurdle_label_compares_the_close_of_the_horizon_with_this_close():
    out = make_labels(bars_of([100.0, 100.0, 100.5, 100.6]), interval=HOUR, config=HURDLE)

    assert out.columns == ["open_time", "label", "forward_return", "label_end"]
    assert out["label"].to_list() == [0.0, 1.0, None, None]  # a return of exactly the hurdle is not above it
    assert out["forward_return"].to_list() == pytest.approx([0.005, 0.006, None, None])


def test_a_label_is_known_when_the_bar_at_the_end_of_the_horizon_closes():
    out = make_labels(bars_of([100.0]), interval=HOUR, config=HURDLE)

    assert out["label_end"].to_list() == [datetime(1970, 1, 1, 3, tzinfo=UTC)]
    assert out.schema["label_end"] == pl.Datetime("ms", "UTC")


def test_a_hole_at_the_end_of_the_horizon_leaves_no_label_though_a_later_row_exists():
    bars = bars_of([100.0, 100.0, 110.0, 120.0, 130.0], hours=[0, 1, 3, 4, 5])

    out = make_labels(bars, interval=HOUR, config=HURDLE)

    assert out["forward_return"].to_list() == pytest.approx([None, 0.1, 130 / 110 - 1, None, None])
    assert out["label"].to_list() == [None, 1.0, 1.0, None, None]


def test_a_hole_within_the_horizon_does_not_lengthen_it():
    bars = bars_of([100.0, 100.0, 110.0, 100.0], hours=[0, 2, 3, 4])

    assert labels_of(bars, HURDLE)[:2] == [0.0, 0.0]


@pytest.mark.parametrize(
    ("high", "low", "label"),
    [
        ([100, 102, 100, 100], [100, 100, 99, 100], 1.0),  # take-profit first
        ([100, 100, 102, 100], [100, 99, 100, 100], 0.0),  # stop-loss first
        ([100, 102, 100, 100], [100, 99, 100, 100], 0.0),  # one bar touches both: the stop counts
        ([100, 101.9, 101.9, 101.9], [100, 99.1, 99.1, 99.1], 0.0),  # neither
        ([103, 100, 100, 100], [98, 100, 100, 100], 0.0),  # the row's own bar is over before the entry
        ([100, 100, 100, 102], [100, 100, 100, 100], 1.0),  # the last bar of the horizon counts
    ],
)
def test_the_first_barrier_touched_decides(high, low, label):
    bars = bars_of([100.0] * 4, high=[float(v) for v in high], low=[float(v) for v in low])

    assert labels_of(bars, BARRIERS) == [label, None, None, None]


def test_a_touch_beyond_the_horizon_does_not_count_even_where_rows_are_few():
    high = [100.0, 100.0, 102.0, 102.0]
    bars = bars_of([100.0] * 4, high=high, low=[100.0] * 4, hours=[0, 1, 4, 5])

    assert labels_of(bars, BARRIERS) == [0.0, 1.0, None, None]


def test_a_row_whose_horizon_is_not_over_has_no_label_though_a_barrier_was_touched():
    bars = bars_of([100.0] * 3, high=[100.0, 103.0, 103.0], low=[100.0] * 3)

    assert labels_of(bars, BARRIERS) == [None, None, None]


def test_a_horizon_that_ends_in_a_hole_is_over_once_a_later_bar_is_stored():
    bars = bars_of([100.0] * 3, high=[100.0, 103.0, 100.0], low=[100.0] * 3, hours=[0, 1, 4])

    out = make_labels(bars, interval=HOUR, config=BARRIERS)

    assert out["label"].to_list() == [1.0, 0.0, None]
    assert out["forward_return"].to_list() == [None, 0.0, None]


def test_barriers_in_multiples_of_the_true_range_use_the_rows_own_atr():
    config = LabelConfig(kind="triple_barrier", barrier="atr", horizon=1)
    bars = bars_of([100.0] * 4, high=[100.0, 105.0, 105.0, 105.0], low=[100.0] * 4, atr_14=[2.0, 2.1, None, 1.0])

    assert labels_of(bars, config) == [1.0, 0.0, None, None]


def test_barriers_in_multiples_of_the_true_range_need_the_column():
    with pytest.raises(DataError, match="need a column atr_14"):
        labels_of(bars_of([100.0]), LabelConfig(kind="triple_barrier", barrier="atr"))


@pytest.mark.parametrize("hours", [[1, 0], [0, 0]])
def test_bars_out_of_order_are_refused(hours):
    with pytest.raises(DataError, match="go back in time at row 1"):
        labels_of(bars_of([100.0, 100.0], hours=hours), HURDLE)


@pytest.mark.parametrize("config", [HURDLE, BARRIERS])
def test_no_bars_give_no_labels(config):
    out = make_labels(bars_of([100.0]).clear(), interval=HOUR, config=config)

    assert out.schema == make_labels(bars_of([100.0]), interval=HOUR, config=config).schema
    assert out.is_empty()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kind": "tripple"}, "kind 'tripple' is unknown"),
        ({"barrier": "pct"}, "barrier 'pct' is unknown"),
        ({"horizon": 0}, "horizon 0"),
        ({"stop_loss": -0.01}, "stop_loss is -0.01"),
    ],
)
def test_a_wrong_configuration_is_refused(options, message):
    with pytest.raises(CallError, match=message):
        LabelConfig(**options)


@st.composite
def holed_bars(draw):
    hours = sorted(draw(st.sets(st.integers(0, 40), min_size=1, max_size=30)))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    close = 100 * np.exp(np.cumsum(rng.normal(0, 0.01, len(hours))))
    spread = rng.uniform(0, 0.02, (2, len(hours)))
    return bars_of(close, high=close * (1 + spread[0]), low=close * (1 - spread[1]), hours=hours)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(bars=holed_bars(), horizon=st.integers(1, 6))
def test_both_kinds_equal_a_walk_over_the_clock(bars, horizon):
    at = {row["open_time"].timestamp() // 3600: row for row in bars.to_dicts()}
    last = max(at)

    def hurdle(hour, row):
        end = at.get(hour + horizon)
        return None if end is None else float(end["close"] / row["close"] - 1 > 0.005)

    def triple(hour, row):
        if hour + horizon > last:
            return None
        for bar in (at[h] for h in np.arange(hour + 1, hour + horizon + 1) if h in at):
            if bar["low"] <= row["close"] * (1 - 0.01):
                return 0.0
            if bar["high"] >= row["close"] * (1 + 0.02):
                return 1.0
        return 0.0

    for kind, expected in (("hurdle", hurdle), ("triple_barrier", triple)):
        assert labels_of(bars, LabelConfig(kind=kind, horizon=horizon)) == [expected(h, r) for h, r in at.items()]


@settings(max_examples=50, deadline=None, derandomize=True)
@given(bars=holed_bars(), kind=st.sampled_from(["hurdle", "triple_barrier"]), data=st.data())
def test_a_label_changes_with_no_bar_that_closes_after_its_end(bars, kind, data):
    config = LabelConfig(kind=kind, horizon=4)
    before = make_labels(bars, interval=HOUR, config=config)
    place = data.draw(st.integers(0, len(bars) - 1))
    changed = pl.when(pl.int_range(pl.len()) >= place).then(pl.col("high", "low", "close") * 3.0)
    after = make_labels(
        bars.with_columns(changed.otherwise(pl.col("high", "low", "close"))), interval=HOUR, config=config
    )

    is_over = before["label_end"] <= bars["open_time"][place]
    assert_frame_equal(before.filter(is_over), after.filter(is_over))
