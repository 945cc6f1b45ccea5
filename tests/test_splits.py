from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.model_selection import TimeSeriesSplit

from mmf.bars import Interval
from mmf.errors import CallError, DataError, LeakError
from mmf.rows import Rows, TrainingRows, stacked
from mmf.splits import (
    Combination,
    Split,
    chronological_split,
    combinatorial_purged,
    expanding_folds,
    out_of_fold_cut,
    time_folds,
    walk_forward,
)

HOUR = Interval("60")


def rows_at(hours, *, horizon=36, n_unlabelled=0):
    """Rows with alternating labels; the last ones without."""
    hours = np.asarray(hours, np.int64)
    label = np.arange(len(hours)) % 2.0
    label[len(hours) - n_unlabelled :] = np.nan
    return Rows(
        open_time_ms=hours * HOUR.ms,
        x=np.zeros((len(hours), 1), np.float32),
        columns=("x",),
        label=label,
        label_end_ms=(hours + horizon + 1) * HOUR.ms,
    )


def training_at(hours, *, horizon=36):
    return TrainingRows.of(rows_at(hours, horizon=horizon), known_before_ms=2**62)


@st.composite
def holed_rows(draw, min_size=8, max_size=120):
    """Rows whose hours hold holes and whose labels are partly absent, as behind a hole."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n = draw(st.integers(min_size, max_size))
    steps = np.where(rng.random(n) < 0.15, rng.integers(2, 12, n), 1)
    rows = rows_at(np.cumsum(steps), horizon=draw(st.integers(1, 5)))
    rows.label[rng.random(n) < 0.1] = np.nan
    return rows


def test_two_years_of_hours_leave_13951_training_rows():
    rows = rows_at(range(17_520), n_unlabelled=36)

    split = chronological_split(rows)

    assert len(split.train) == 13_951
    assert len(split.test) == 3_497
    assert split.test[0] == 13_987
    assert split.test[-1] == 17_483
    assert split.test_start_ms == 13_987 * HOUR.ms


def test_a_hole_before_the_test_purges_fewer_rows():
    hours = [*range(80), *range(100, 120)]  # a hole of 20 hours, horizon 10

    split = chronological_split(rows_at(hours, horizon=10))

    assert split.train.tolist() == list(range(80))
    assert split.test.tolist() == list(range(80, 100))


@settings(max_examples=200, deadline=None, derandomize=True)
@given(rows=holed_rows(), test_share=st.sampled_from([0.1, 0.2, 0.25, 0.5]))
def test_the_split_keeps_every_labelled_row_but_those_whose_label_is_late(rows, test_share):
    labelled = [i for i in range(len(rows)) if not np.isnan(rows.label[i])]
    n_before = next(k for k in range(len(labelled), -1, -1) if k <= (1 - test_share) * len(labelled) + 1e-9)
    if n_before == 0:
        return
    start_ms = rows.open_time_ms[labelled[n_before]]
    expected = [i for i in labelled[:n_before] if rows.label_end_ms[i] <= start_ms]
    if not expected:
        with pytest.raises(DataError, match="has a label that is known before"):
            chronological_split(rows, test_share=test_share)
        return

    split = chronological_split(rows, test_share=test_share)

    assert split.train.tolist() == expected
    assert split.test.tolist() == labelled[n_before:]
    assert split.test_start_ms == start_ms
    training = split.training(rows)  # would raise on a leak
    assert training.label_end_ms.max() <= split.testing(rows).open_time_ms[0]


def test_an_unpurged_split_is_refused_by_training_rows():
    rows = rows_at(range(100), horizon=5)
    purged = chronological_split(rows)
    unpurged = Split(np.arange(80), purged.test, purged.test_start_ms)

    with pytest.raises(LeakError, match="5 of 80 training rows"):
        unpurged.training(rows)


@pytest.mark.parametrize("test_share", [0.0, 1.0, -0.1, float("nan")])
def test_a_share_that_leaves_a_side_empty_is_refused(test_share):
    with pytest.raises(CallError, match="leaves one side of the cut empty"):
        chronological_split(rows_at(range(100)), test_share=test_share)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (rows_at([0]), "1 labelled rows are too few"),
        (rows_at(range(10), n_unlabelled=10), "0 labelled rows are too few"),
        (rows_at(range(20), horizon=36), "none of 16 training rows"),
    ],
)
def test_too_few_rows_are_refused(rows, message):
    with pytest.raises(DataError, match=message):
        chronological_split(rows)


def test_stacking_cuts_in_time_and_purges_a():
    a, b = out_of_fold_cut(training_at(range(100), horizon=4))

    assert (a.open_time_ms // HOUR.ms).tolist() == list(range(56))
    assert (b.open_time_ms // HOUR.ms).tolist() == list(range(60, 100))
    assert a.known_before_ms == 60 * HOUR.ms
    assert b.known_before_ms == 2**62


@settings(max_examples=100, deadline=None, derandomize=True)
@given(rows=holed_rows(min_size=60))
def test_nothing_that_a_learns_ends_within_b(rows):
    rows = TrainingRows.of(rows.take(~np.isnan(rows.label)), known_before_ms=2**62)

    a, b = out_of_fold_cut(rows)

    is_before = rows.open_time_ms < b.open_time_ms[0]
    is_known = rows.label_end_ms <= b.open_time_ms[0]
    assert len(a) == (is_before & is_known).sum()
    assert len(b) == (~is_before).sum()


@pytest.mark.parametrize(("n_rows", "n_folds"), [(1000, 5), (403, 3)])
def test_folds_without_holes_are_those_of_scikit_learn(n_rows, n_folds):
    expected = list(TimeSeriesSplit(n_folds, gap=36).split(np.zeros(n_rows)))

    for ours, theirs in zip(time_folds(training_at(range(n_rows)), n_folds), expected, strict=True):
        np.testing.assert_array_equal(ours[0], theirs[0])
        np.testing.assert_array_equal(ours[1], theirs[1])


@settings(max_examples=100, deadline=None, derandomize=True)
@given(rows=holed_rows(min_size=60), n_folds=st.integers(1, 4))
def test_a_fold_trains_on_all_that_is_known_before_it(rows, n_folds):
    rows = TrainingRows.of(rows.take(~np.isnan(rows.label)), known_before_ms=2**62)

    for train, valid in time_folds(rows, n_folds):
        is_known = rows.label_end_ms <= rows.open_time_ms[valid[0]]
        np.testing.assert_array_equal(train, np.flatnonzero(is_known))
        assert len(valid) == len(rows) // (n_folds + 1)


@pytest.mark.parametrize("n_folds", [0, 200])
def test_folds_that_cannot_be_cut_are_refused(n_folds):
    with pytest.raises(DataError, match="cannot be cut into"):
        time_folds(training_at(range(100)), n_folds)


def test_walk_forward_windows_are_lengths_of_time():
    rows = rows_at([*range(20), *range(26, 60)], horizon=3, n_unlabelled=3)

    splits = walk_forward(rows, interval=HOUR, train_slots=20, test_slots=10)

    hours = rows.open_time_ms // HOUR.ms
    assert [hours[s.test].tolist() for s in splits] == [
        list(range(26, 33)),  # the window 23..32 less the hole
        list(range(33, 43)),
        list(range(43, 53)),
    ]
    assert [hours[s.train].tolist() for s in splits] == [
        list(range(20)),
        [*range(10, 20), *range(26, 30)],
        [h for h in range(20, 40) if h >= 26],
    ]


def test_an_expanding_window_keeps_its_start():
    splits = walk_forward(rows_at(range(60), horizon=3), interval=HOUR, train_slots=20, test_slots=10, expand=True)

    assert [(s.train[0], s.train[-1], s.test[0], s.test[-1]) for s in splits] == [
        (0, 19, 23, 32),
        (0, 29, 33, 42),
        (0, 39, 43, 52),
    ]


@pytest.mark.parametrize(("n_hours", "n_folds"), [(400, 8), (401, 8), (399, 3), (200, 1)])
def test_expanding_folds_cover_the_later_half_to_the_last_label(n_hours, n_folds):
    rows = rows_at(range(n_hours), horizon=3, n_unlabelled=3)

    splits = expanding_folds(rows, n_folds, interval=HOUR)

    tests = [split.test.tolist() for split in splits]
    assert len(splits) == n_folds
    assert np.concatenate([split.test for split in splits]).tolist() == list(range(tests[0][0], n_hours - 3))
    assert len({len(test) for test in tests}) == 1
    assert 0 <= tests[0][0] - (n_hours - 3) / 2 < n_folds + 1
    assert [split.train.tolist() for split in splits] == [list(range(test[0] - 3)) for test in tests]
    assert [split.test_start_ms for split in splits] == [test[0] * HOUR.ms for test in tests]


@settings(max_examples=40, deadline=None, derandomize=True)
@given(rows=holed_rows(min_size=80), n_folds=st.integers(1, 5))
def test_no_expanding_fold_trains_on_what_is_known_after_its_test_begins(rows, n_folds):
    for split in expanding_folds(rows, n_folds, interval=HOUR):
        assert split.training(rows).label_end_ms.max() <= split.test_start_ms
        assert split.train[0] == np.flatnonzero(~np.isnan(rows.label))[0]


def test_folds_that_time_does_not_hold_are_refused():
    with pytest.raises(CallError, match=r"0 folds behind a share of 0\.5"):
        expanding_folds(rows_at(range(90)), 0, interval=HOUR)
    with pytest.raises(DataError, match="60 slots of time cannot be cut into 40 folds"):
        expanding_folds(rows_at(range(60)), 40, interval=HOUR)
    with pytest.raises(DataError, match="no row has a label"):
        expanding_folds(rows_at(range(9), n_unlabelled=9), 2, interval=HOUR)


def test_a_test_window_that_lies_in_a_hole_is_left_out():
    rows = rows_at([*range(20), *range(60, 90)], horizon=2)

    splits = walk_forward(rows, interval=HOUR, train_slots=20, test_slots=10, expand=True)

    assert all(len(s.test) for s in splits)
    assert sorted(np.concatenate([s.test for s in splits])) == [*range(20, 42)]  # hours 60..81


@settings(max_examples=60, deadline=None, derandomize=True)
@given(rows=holed_rows(min_size=80), expand=st.booleans())
def test_no_window_trains_on_what_is_known_after_its_test_begins(rows, expand):
    splits = walk_forward(rows, interval=HOUR, train_slots=40, test_slots=15, expand=expand)

    assert splits
    for split in splits:
        training = split.training(rows)
        assert training.label_end_ms.max() <= split.testing(rows).open_time_ms[0]


@settings(max_examples=40, deadline=None, derandomize=True)
@given(rows=holed_rows(min_size=110), embargo=st.sampled_from([None, 0, 7]))
def test_combinations_train_on_every_row_far_enough_from_their_tests(rows, embargo):
    labelled = np.flatnonzero(~np.isnan(rows.label))
    hours = rows.open_time_ms // HOUR.ms
    horizon = int((rows.label_end_ms[0] - rows.open_time_ms[0]) // HOUR.ms) - 1
    n_slots = hours[labelled[-1]] - hours[labelled[0]] + 1
    edges = hours[labelled[0]] + np.append(np.arange(5) * (n_slots // 5), n_slots)
    embargo_slots = horizon if embargo is None else embargo

    combinations = combinatorial_purged(rows, interval=HOUR, n_folds=5, n_test_folds=2, embargo=embargo)

    assert len(combinations) == 10
    pairs = [(i, j) for i in range(5) for j in range(i + 1, 5)]
    for pair, combination in zip(pairs, combinations, strict=True):
        is_train = np.ones(len(labelled), bool)
        is_test = np.zeros(len(labelled), bool)
        for block in pair:
            first, stop = edges[block], edges[block + 1]
            inside = (hours[labelled] >= first) & (hours[labelled] < stop)
            # a label spans the slots from its row to the end of its horizon
            before = (hours[labelled] < first) & (hours[labelled] + horizon >= first)
            after = (hours[labelled] >= stop) & (hours[labelled] < stop + horizon + embargo_slots)
            is_test |= inside
            is_train &= ~(inside | before | after)
        np.testing.assert_array_equal(combination.train, labelled[is_train])
        np.testing.assert_array_equal(np.concatenate(combination.tests), labelled[is_test])
        combination.training(rows)  # would raise on a leak


@pytest.mark.parametrize(
    ("train", "n_late"),
    [
        (np.arange(20), 3),  # the labels of hours 17, 18, 19 reach into the block that opens at 20
        (np.arange(40, 60), 3),  # those of the block reach into hours 40, 41, 42
    ],
)
def test_an_unpurged_combination_is_refused(train, n_late):
    rows = rows_at(range(60), horizon=3)
    combination = Combination(train, (np.arange(20, 40),))

    with pytest.raises(LeakError, match=f"{n_late} of 20 training rows"):
        combination.training(rows)


@pytest.mark.parametrize("cut", [walk_forward, combinatorial_purged])
def test_rows_without_any_label_cannot_be_cut(cut):
    options = {"train_slots": 5, "test_slots": 5} if cut is walk_forward else {}

    with pytest.raises(DataError, match="no row has a label"):
        cut(rows_at(range(30), n_unlabelled=30), interval=HOUR, **options)


@pytest.mark.parametrize(
    ("cut", "options"),
    [
        (walk_forward, {"train_slots": 500, "test_slots": 5}),
        (walk_forward, {"train_slots": 5, "test_slots": 0}),
        (combinatorial_purged, {"n_folds": 20}),
        (combinatorial_purged, {"n_folds": 2}),
    ],
)
def test_windows_that_do_not_fit_are_refused(cut, options):
    with pytest.raises(DataError, match="100 slots of time cannot be cut like this"):
        cut(rows_at(range(100), horizon=5), interval=HOUR, **options)


def of_symbols(*hours, horizon=5):
    """Rows of several symbols, each with its own hours."""
    names = tuple("ABC"[: len(hours)])
    parts = [replace(rows_at(own, horizon=horizon), symbols=(name,)) for name, own in zip(names, hours, strict=True)]
    return stacked([part.among(names) for part in parts])


@given(st.integers(0, 2**32 - 1), st.sampled_from([0.2, 0.35, 0.5]))
@settings(max_examples=30)
def test_no_cut_parts_the_symbols_of_an_instant_and_none_has_a_label_across_it(seed, share):
    rng = np.random.default_rng(seed)
    rows = of_symbols(*(np.flatnonzero(rng.random(120) < p) for p in (0.9, 0.6, 0.95)))
    split = chronological_split(rows, test_share=share)
    assert rows.open_time_ms[split.test].min() == split.test_start_ms
    is_later = rows.open_time_ms >= split.test_start_ms
    assert split.test.tolist() == np.flatnonzero(is_later).tolist()
    assert (rows.label_end_ms[split.train] <= split.test_start_ms).all()
    a, b = out_of_fold_cut(split.training(rows))
    assert a.label_end_ms.max() <= b.open_time_ms.min()
    for train, valid in time_folds(split.training(rows), 3):
        times = rows.open_time_ms[split.train]
        assert rows.label_end_ms[split.train][train].max() <= times[valid].min()
        assert not np.isin(times[valid], np.delete(times, valid)).any()


def test_windows_in_time_hold_the_rows_of_all_symbols():
    rows = of_symbols(range(100), range(30, 100))
    alone = of_symbols(range(100))
    for cut in (walk_forward, combinatorial_purged):
        settings_ = {"train_slots": 40, "test_slots": 20} if cut is walk_forward else {"n_folds": 5}
        for together, one in zip(
            cut(rows, interval=HOUR, **settings_), cut(alone, interval=HOUR, **settings_), strict=True
        ):
            times = np.unique(rows.open_time_ms[together.train])
            assert times.tolist() == alone.open_time_ms[one.train].tolist()
            n_of_b = int((times >= 30 * HOUR.ms).sum())
            assert len(together.train) == len(times) + n_of_b
