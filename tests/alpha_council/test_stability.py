from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from polars.testing import assert_frame_equal

from mmf.alpha_council import AlphaCouncil
from mmf.alpha_council.stability import fold_stability
from mmf.errors import DataError, LeakError
from mmf.rows import Rows
from mmf.tensor_flex.stability import time_blocks
from tests.alpha_council.slow_rows import slow_rows

COUNCIL = AlphaCouncil(always_keep=(), n_estimators=15, n_folds=3)


def test_each_fold_is_the_vote_of_its_own_rows():
    rows = slow_rows(lean=0.3)

    found = fold_stability(COUNCIL, rows, n_folds=3, n_estimators=None, n_shifts=0)

    for fold, index in enumerate(time_blocks(rows, 3)):
        alone = AlphaCouncil(always_keep=(), n_estimators=15, n_folds=3).fit_rows(rows.take(index)).votes_
        ours = found.folds.filter(fold=fold)
        assert_frame_equal(ours.drop("fold"), alone.sort("column").select(ours.drop("fold").columns))
    assert found.counts["mean_shifted"].null_count() == 4


def test_folds_do_not_overlap_in_what_their_labels_tell():
    rows = slow_rows()
    blocks = time_blocks(rows, 4)

    for before, after in pairwise(blocks):
        assert rows.label_end_ms[before].max() <= rows.open_time_ms[after].min()


def test_columns_that_lean_on_the_label_are_selected_in_every_fold():
    found = fold_stability(COUNCIL, slow_rows(lean=0.3), n_folds=4, n_estimators=20)

    leaning = {"f00", "f00_lag_1", "f01", "f01_lag_1", "f02"}
    assert set(found.columns.head(5)["column"]) == leaning
    assert found.columns.head(5)["share"].to_list() == [1.0] * 5
    assert found.columns.row(0, named=True)["count_folds"] == 4


def test_a_period_of_one_class_is_named_before_any_vote():
    rows = slow_rows()
    one_class = replace(rows, label=np.where(np.arange(len(rows)) < 900, 0.0, rows.label))

    with pytest.raises(DataError, match="period 1 of 3 holds one class of the label only"):
        fold_stability(COUNCIL, one_class, n_folds=3, n_shifts=0, on_progress=lambda _: pytest.fail("voted"))


def test_features_have_the_mean_share_of_their_lags():
    found = fold_stability(COUNCIL, slow_rows(lean=0.3), n_folds=4, n_estimators=20)

    best = found.features.row(0, named=True)
    of_base = found.columns.filter(base=best["base"])
    assert (best["count_columns"], best["share"]) == (of_base.height, of_base["share"].mean())
    assert found.features.height == found.columns["base"].n_unique()
    assert found.features["share"].is_sorted(descending=True)


def test_counts_add_up_and_stand_beside_those_of_shifted_labels():
    found = fold_stability(COUNCIL, slow_rows(), n_folds=3, n_shifts=2)

    assert found.counts["count_folds"].to_list() == [0, 1, 2, 3]
    assert found.counts["count_columns"].sum() == 30
    assert found.counts["mean_shifted"].sum() == pytest.approx(30)
    by_count = found.columns.group_by("count_folds").len()
    counted = dict(found.counts.select("count_folds", "count_columns").iter_rows())
    assert all(counted[count] == number for count, number in by_count.iter_rows())


def test_progress_is_told_and_ends_at_one():
    shares = []

    fold_stability(COUNCIL, slow_rows(), n_folds=3, n_shifts=1, on_progress=shares.append)

    assert shares == pytest.approx([1 / 6, 2 / 6, 3 / 6, 4 / 6, 5 / 6, 1])


def test_the_council_given_is_left_as_it_was():
    council = AlphaCouncil(always_keep=(), n_estimators=15)

    fold_stability(council, slow_rows(), n_folds=3, n_estimators=5, n_shifts=0)

    assert council.n_estimators == 15
    assert not hasattr(council, "votes_")


def test_rows_that_were_not_admitted_are_refused():
    rows = slow_rows()

    with pytest.raises(LeakError, match="training rows only"):
        fold_stability(COUNCIL, Rows(rows.open_time_ms, rows.x, rows.columns, rows.label, rows.label_end_ms))


def test_labels_are_turned_and_not_lost():
    rows = slow_rows()
    half = replace(rows, label=np.roll(rows.label, len(rows) // 2))

    turned = fold_stability(COUNCIL, rows, n_folds=3, n_shifts=1).counts["mean_shifted"]

    alone = fold_stability(COUNCIL, half, n_folds=3, n_shifts=0).counts["count_columns"]
    assert turned.to_list() == alone.to_list()
