import logging

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal
from sklearn.ensemble import RandomForestClassifier
from sklearn.feature_selection import f_classif, mutual_info_classif
from sklearn.linear_model import LassoCV
from sklearn.model_selection import TimeSeriesSplit
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from mmf.alpha_council import AlphaCouncil
from mmf.alpha_council.agreement import agreement
from mmf.errors import CallError, DataError, LeakError
from mmf.rows import PHYSICS_TRIO, Rows, TrainingRows

N = 600
NAMES = tuple(f"f{j:02d}" for j in range(30))


def market(seed=0, p=30):
    """Autocorrelated columns, the first half of which leans towards the class, less and less."""
    rng = np.random.default_rng(seed)
    codes = (rng.random(N) < 0.45).astype(np.float64)
    lean = np.maximum(0, 1.2 - 0.1 * np.arange(p))
    return (rng.normal(size=(N, p)) + lean * codes[:, None]).astype(np.float32), codes


def council(**options):
    return AlphaCouncil(**({"always_keep": (), "n_estimators": 40} | options))


def training_rows(x, label, columns, kind=TrainingRows, **more):
    n = len(x)
    return kind(np.arange(n), x, columns, label, np.arange(n) + 37, **more)


def top_half(score, f):
    return set(np.lexsort((-f, -score))[: len(score) // 2])


def test_votes_are_those_of_scikit_learn():
    X, y = market()
    folds = list(TimeSeriesSplit(5).split(X))
    f = f_classif(X.astype(np.float64), y)[0]
    lasso = make_pipeline(StandardScaler(), LassoCV(cv=folds)).fit(X.astype(np.float64), y)[-1]
    forest = RandomForestClassifier(200, random_state=0).fit(X, y)
    mutual = mutual_info_classif(X, y, random_state=0)

    votes = council(n_estimators=200).fit(X, y, columns=NAMES, folds=folds).votes_.sort("column")

    for voter, twin, least in (
        ("linear", np.abs(lasso.coef_), 15),
        ("mutual", mutual, 14),
        ("forest", forest.feature_importances_, 13),
    ):
        ours = set(np.flatnonzero(votes[f"{voter}_rank"] <= 15))
        assert len(ours & top_half(twin, f)) >= least, voter


def test_a_planted_column_gets_all_votes_and_the_first_rank():
    X, y = market()
    X[:, 17] = y + 0.5 * np.random.default_rng(9).normal(size=N)

    fitted = council().fit(X, y, columns=NAMES)

    assert fitted.selected_[0] == "f17"
    best = fitted.votes_.row(0, named=True)
    assert (best["linear_rank"], best["forest_rank"], best["mutual_rank"], best["count_votes"]) == (1, 1, 1, 3)
    assert not fitted.is_lasso_empty_


def test_shuffled_labels_empty_the_lasso_and_f_ranks_in_its_place(caplog):
    X, y = market()
    shuffled = np.random.default_rng(3).permutation(y)

    with caplog.at_level(logging.INFO):
        fitted = council().fit(X, shuffled, columns=NAMES)

    assert fitted.is_lasso_empty_
    assert "kept none of 30 columns" in caplog.text
    by_f = fitted.votes_.sort("anova_f", descending=True)
    assert by_f["linear_rank"].to_list() == list(range(1, 31))
    assert fitted.votes_["mutual_score"].max() < 0.1


def test_the_same_inputs_give_the_same_votes_on_any_number_of_threads():
    X, y = market()

    first = council(n_jobs=1).fit(X, y, columns=NAMES)

    assert_frame_equal(first.votes_, council(n_jobs=1).fit(X, y, columns=NAMES).votes_, check_exact=True)
    assert_frame_equal(first.votes_, council(n_jobs=3).fit(X, y, columns=NAMES).votes_, check_exact=True)
    assert not first.votes_.equals(council(seed=1).fit(X, y, columns=NAMES).votes_)


def test_the_order_of_the_columns_does_not_matter():
    X, y = market()
    X[:, 5] = X[:, 4]  # two columns that only the name tells apart
    order = np.random.default_rng(0).permutation(30)

    straight = council().fit(X, y, columns=NAMES)
    shuffled = council().fit(X[:, order], y, columns=[NAMES[j] for j in order])

    assert_frame_equal(straight.votes_, shuffled.votes_, check_exact=True)
    ranks = dict(straight.votes_.select("column", "mutual_rank").iter_rows())
    assert ranks["f05"] == ranks["f04"] + 1


def test_transform_keeps_the_selected_columns_in_the_order_of_the_fit():
    X, y = market()

    fitted = council(max_features=4).fit(X, y, columns=NAMES)

    places = [NAMES.index(name) for name in sorted(fitted.selected_)]
    assert len(places) == 4
    np.testing.assert_array_equal(fitted.transform(X), X[:, places])
    assert fitted.get_feature_names_out().tolist() == sorted(fitted.selected_)
    assert fitted.get_support().sum() == 4


def test_frames_bring_their_own_names():
    X, y = market()
    frame = pl.DataFrame(X, schema=list(NAMES))

    assert_frame_equal(council().fit(frame, y).votes_, council().fit(X, y, columns=NAMES).votes_)


def test_the_trio_is_kept_whatever_the_votes():
    X, y = market()
    names = (*NAMES[:27], *PHYSICS_TRIO)  # the last columns carry nothing

    fitted = AlphaCouncil(n_estimators=10, max_features=5).fit(X, y, columns=names)

    assert set(PHYSICS_TRIO) < set(fitted.selected_)
    assert len(fitted.selected_) == 5
    assert fitted.votes_.filter("is_kept")["column"].sort().to_list() == sorted(PHYSICS_TRIO)


def test_a_missing_column_of_the_trio_names_the_command_that_builds_it():
    X, y = market()

    with pytest.raises(DataError, match=r"hurst_200 is always kept.*mmf features build --set core"):
        AlphaCouncil().fit(X, y, columns=NAMES)


def test_training_rows_bring_names_and_purged_folds():
    X, y = market()
    rows = training_rows(X, y, NAMES, known_before_ms=N + 37)

    by_rows = council().fit_rows(rows)

    folds = list(TimeSeriesSplit(5, gap=36).split(X))  # row i opens at i and is known at i + 37
    assert_frame_equal(by_rows.votes_, council().fit(X, y, columns=NAMES, folds=folds).votes_, check_exact=True)


def test_rows_that_were_not_admitted_are_refused():
    X, y = market()

    with pytest.raises(LeakError, match="training rows only"):
        council().fit_rows(training_rows(X, y, NAMES, kind=Rows))


class Likes:
    """A voter that likes the columns named, in their order."""

    def __init__(self, *columns, name="likes"):
        self.columns, self.name = columns, name

    def score(self, ballot):
        return np.array([-self.columns.index(c) if c in self.columns else -100 for c in ballot.columns])


def test_a_voter_of_ones_own_sits_beside_the_three():
    X, y = market()
    without = council().fit(X, y, columns=NAMES).votes_
    wanted = without.filter(pl.col("count_votes") == 1)["column"][0]

    fitted = council(voters=("linear", "forest", "mutual", Likes(wanted))).fit(X, y, columns=NAMES)

    row = fitted.votes_.filter(pl.col("column") == wanted).row(0, named=True)
    assert (row["likes_rank"], row["count_votes"], row["is_selected"]) == (1, 2, True)
    assert not without.filter(pl.col("column") == wanted)["is_selected"].item()
    theirs = fitted.votes_.select(without.columns).sort("column").drop("mean_rank", "count_votes", "is_selected")
    assert_frame_equal(theirs, without.sort("column").select(theirs.columns))


def test_voters_may_take_the_place_of_the_three():
    X, y = market()

    fitted = council(voters=[Likes("f29", "f03")], min_votes=1, top_ratio=0.05).fit(X, y, columns=NAMES)

    assert fitted.selected_ == ("f29", "f03")
    assert (fitted.lasso_alpha_, fitted.is_lasso_empty_, fitted.agreement_) == (None, False, None)


def test_all_votes_may_be_asked_for():
    X, y = market()

    fitted = council(min_votes=3).fit(X, y, columns=NAMES)

    assert set(fitted.selected_) == set(fitted.votes_.filter(pl.col("count_votes") == 3)["column"])


def test_a_family_may_have_one_representative():
    X, y = market()
    names = [name for base in range(5) for name in (f"b{base}", *(f"b{base}_lag_{lag}" for lag in (1, 2, 3, 5, 8)))]

    votes = council(one_per_family=True, always_keep=("b3_lag_2",)).fit(X, y, columns=names).votes_

    of_family = votes.group_by("base").agg(pl.col("is_selected").sum())
    assert of_family["is_selected"].max() == 1
    assert votes.filter(pl.col("base") == "b3").filter("is_selected")["column"].to_list() == ["b3_lag_2"]


def test_halves_of_the_forest_agree_as_two_seeds_do():
    X, y = market()
    two_seeds = [council(n_estimators=20, seed=seed).fit(X, y, columns=NAMES).votes_ for seed in (1, 2)]

    halves = council(n_estimators=40).fit(X, y, columns=NAMES).agreement_

    between = agreement(*two_seeds, top_ratio=0.5)
    assert halves["voter"].to_list() == between["voter"].to_list() == ["linear", "forest", "mutual", "council"]
    overlaps = dict(halves.select("voter", "overlap").iter_rows())
    assert overlaps["linear"] == overlaps["mutual"] == 1.0
    assert 0.5 < overlaps["forest"] < 1.0
    assert overlaps["forest"] == pytest.approx(between["overlap"][1], abs=0.15)


def test_one_tree_has_no_halves():
    X, y = market()

    assert council(n_estimators=1).fit(X, y, columns=NAMES).agreement_ is None


def test_undefined_values_are_refused():
    X, y = market()
    X[3, 4] = np.nan

    with pytest.raises(DataError, match="1 values to vote on are undefined"):
        council().fit_rows(training_rows(X, y, NAMES, known_before_ms=N + 37))


@pytest.mark.parametrize(
    ("options", "columns", "error", "message"),
    [
        ({"top_ratio": 0.0}, NAMES, CallError, "top_ratio 0.0 is not a share"),
        ({"top_ratio": 1.1}, NAMES, CallError, "top_ratio 1.1 is not a share"),
        ({"max_features": 0}, NAMES, CallError, "max_features 0 is not a whole number from 1 up"),
        ({"max_features": 2.5}, NAMES, CallError, "max_features 2.5 is not a whole number"),
        ({"n_folds": 1}, NAMES, CallError, "n_folds 1 is not a whole number from 2 up"),
        ({"n_estimators": 0}, NAMES, CallError, "n_estimators 0 is not a whole number from 1 up"),
        ({"max_depth": 0}, NAMES, CallError, "max_depth 0 is not"),
        ({"n_neighbors": 0}, NAMES, CallError, "n_neighbors 0 is not"),
        ({"seed": None}, NAMES, CallError, "seed None is not a whole number from 0 up"),
        ({"always_keep": ("f00", "f00")}, NAMES, CallError, "always_keep names a column twice: f00, f00"),
        ({"max_features": 1, "always_keep": ("f00", "f01")}, NAMES, CallError, "no room for the 2 columns"),
        ({"voters": ("linear", "oracle")}, NAMES, CallError, "voter 'oracle' is unknown"),
        ({"min_votes": 4}, NAMES, CallError, "min_votes 4 of 3 voters"),
        ({"min_votes": 0}, NAMES, CallError, "min_votes 0 of 3 voters"),
        ({}, NAMES[:29], CallError, "30 columns came with 29 names"),
        ({}, (*NAMES[:29], "f00"), CallError, "29 of them different"),
    ],
)
def test_a_wrong_call_is_refused(options, columns, error, message):
    X, y = market()

    with pytest.raises(error, match=message):
        council(**options).fit(X, y, columns=columns)


@pytest.mark.parametrize("labels", [np.zeros(N), np.arange(N) % 3])
def test_labels_must_be_of_two_classes(labels):
    with pytest.raises(DataError, match="where the council needs two"):
        council().fit(market()[0], labels)


@parametrize_with_checks([AlphaCouncil(always_keep=(), n_estimators=5)])
def test_keeps_the_contract_of_scikit_learn(estimator, check):
    check(estimator)
