import polars as pl

from mmf.bar_merge import merge_bars
from tests.bar_frames import GOOD, bar_frame, stored_frame


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


def test_an_answer_fetched_before_the_stored_one_supersedes_nothing() -> None:
    stored = stored_frame(bar_frame(GOOD))
    other = stored_frame(bar_frame((10, 100.0, 110.0, 90.0, 104.0, 7.0, 700.0)), source="b")
    merged = merge_bars(stored, other.with_columns(pl.col("fetched_at") - pl.duration(milliseconds=1)))
    assert (merged.n_revised, merged.n_unchanged, merged.n_outdated) == (0, 1, 1)
    assert merged.bars.equals(stored)
    assert merged.superseded.is_empty()
