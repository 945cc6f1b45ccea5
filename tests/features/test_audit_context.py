import polars as pl
import pytest

from mmf.bars import Interval
from mmf.errors import DataError
from mmf.features import audit_context
from mmf.features.audit_context import context_causality
from mmf.features.context import with_context
from mmf.features.registry import FeatureSet, feature_set
from tests.reference.bars import HOUR, bars_of_close, walk

FOUR_HOURS = Interval("240")
SAMPLE = FeatureSet(
    "sample", tuple(f for f in feature_set("core").features if f.name in {"log_return", "rsi_14", "fdi_100"})
)
ROWS = bars_of_close(walk(1_000, seed=3))
LONGER = bars_of_close(walk(260, seed=4)).with_columns(
    (pl.int_range(260) * FOUR_HOURS.ms + (400_000 // 4) * FOUR_HOURS.ms)
    .cast(pl.Datetime("ms", "UTC"))
    .alias("open_time")
)


def test_context_is_seen_once_it_has_closed():
    found = context_causality(SAMPLE, ROWS, LONGER, interval=HOUR, context=FOUR_HOURS)

    assert found["column"].to_list() == ["log_return_ctx_240", "rsi_14_ctx_240", "fdi_100_ctx_240"]
    assert found["leak_rows"].to_list() == [0, 0, 0]
    assert found["is_causal"].all()


def test_a_join_by_open_time_is_seen(monkeypatch: pytest.MonkeyPatch):
    """The usual mistake: the longer bar that holds the row is still forming."""

    def by_open_time(frame, longer, columns, *, interval, context):
        known = longer.lazy().select("open_time", *(pl.col(c).alias(f"{c}_ctx_240") for c in columns))
        return frame.lazy().join_asof(known, on="open_time")

    monkeypatch.setattr(audit_context, "with_context", by_open_time)
    found = context_causality(SAMPLE, ROWS, LONGER, interval=HOUR, context=FOUR_HOURS)

    assert not found["is_causal"].any()
    assert (found["leak_rows"] > 0).all()


def test_a_lookup_that_is_one_bar_late_does_not_answer(monkeypatch: pytest.MonkeyPatch):
    def late(frame, longer, columns, **intervals):
        return with_context(frame, longer.with_columns(pl.col(columns).shift(1)), columns, **intervals)

    monkeypatch.setattr(audit_context, "with_context", late)
    found = context_causality(SAMPLE, ROWS, LONGER, interval=HOUR, context=FOUR_HOURS)

    assert found["leak_rows"].to_list() == [0, 0, 0]
    assert not found.row(0, named=True)["answers"]


def test_rows_before_any_longer_bar_cannot_be_audited():
    with pytest.raises(DataError, match="no bar of 240 closes before row 0"):
        context_causality(SAMPLE, ROWS, LONGER, interval=HOUR, context=FOUR_HOURS, rows=[0])
