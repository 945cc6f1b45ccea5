import numpy as np
import polars as pl
import pytest
from sklearn.feature_selection import f_classif

from mmf.alpha_council.ranking import anova_f, rank, standardise, votes_table

NAMES = ("a", "a_lag_1", "b", "b_lag_13", "c")


def table_of(linear, forest, mutual, *, f=(1, 1, 1, 1, 1), **options):
    scores = {"linear": np.array(linear), "forest": np.array(forest), "mutual": np.array(mutual)}
    options = {"top_ratio": 0.4, "max_features": None, "always_keep": ()} | options
    return votes_table(NAMES, scores, np.array(f), **options)


def selected(table):
    return table.filter("is_selected")["column"].to_list()


def test_standardised_columns_have_mean_0_and_variance_1():
    X = np.asfortranarray([[1e5, 5.0, 2.0], [1e5 + 1, 5.0, 4.0], [1e5 + 2, 5.0, 9.0]], np.float32)

    Z = standardise(X)

    np.testing.assert_allclose(Z.mean(axis=0), 0, atol=1e-6)
    np.testing.assert_allclose(Z.std(axis=0), [1, 0, 1], atol=1e-6)
    assert Z.dtype == np.float32
    assert Z.flags.f_contiguous


def test_a_column_whose_spread_is_rounding_is_constant():
    column = np.full(1_000, 0.1, np.float32)
    column[::2] = np.nextafter(np.float32(0.1), np.float32(1))

    assert not standardise(column[:, None]).any()


def test_f_is_that_of_scikit_learn():
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 2, 500)
    X = (rng.normal(size=(500, 30)) + codes[:, None] * rng.normal(size=30)).astype(np.float32)

    f = anova_f(standardise(np.asfortranarray(X)), codes)

    np.testing.assert_allclose(f, f_classif(X.astype(np.float64), codes)[0], rtol=1e-4)


def test_f_of_a_constant_is_0_and_of_a_perfect_column_without_bound():
    codes = np.arange(100) % 2
    Z = standardise(np.asfortranarray(np.column_stack([np.ones(100), codes]), np.float32))

    f = anova_f(Z, codes)

    assert f[0] == 0
    assert f[1] > 1e12


def test_equal_scores_go_by_f_then_by_place():
    assert rank(np.array([0.0, 2.0, 0.0, 0.0]), np.array([1.0, 0.0, 3.0, 1.0])).tolist() == [3, 1, 2, 4]


def test_two_votes_of_three_pass():
    table = table_of(linear=[9, 8, 0, 0, 0], forest=[9, 0, 0, 8, 0], mutual=[0, 0, 0, 8, 9], f=[5, 4, 3, 2, 1])

    assert dict(table.select("column", "count_votes").iter_rows()) == {
        "a": 2,
        "a_lag_1": 1,
        "b": 0,
        "b_lag_13": 2,
        "c": 1,
    }
    assert set(selected(table)) == {"a", "b_lag_13"}


@pytest.mark.parametrize(
    ("min_votes", "expected"), [(1, {"a", "a_lag_1", "b_lag_13"}), (2, {"a", "b_lag_13"}), (3, {"a"})]
)
def test_as_many_votes_pass_as_are_asked_for(min_votes, expected):
    table = table_of([9, 8, 0, 0, 0], [9, 0, 0, 8, 0], [9, 0, 0, 8, 0], f=[5, 4, 3, 2, 1], min_votes=min_votes)

    assert set(selected(table)) == expected


def test_of_a_family_the_best_that_passes_may_stand_for_all():
    linear, forest, mutual = [9, 8, 7, 6, 0], [9, 8, 7, 6, 0], [9, 8, 0, 7, 6]
    options = {"top_ratio": 0.8, "f": [5, 4, 3, 2, 1]}

    assert selected(table_of(linear, forest, mutual, **options)) == ["a", "a_lag_1", "b", "b_lag_13"]
    assert selected(table_of(linear, forest, mutual, one_per_family=True, **options)) == ["a", "b"]
    assert selected(table_of(linear, forest, mutual, one_per_family=True, max_features=1, **options)) == ["a"]


def test_a_representative_must_have_passed_itself():
    table = table_of([3, 2, 5, 4, 1], [2, 1, 3, 4, 5], [5, 4, 3, 1, 2], one_per_family=True)

    of_b = table.filter(base="b").select("column", "count_votes")
    assert of_b.rows() == [("b", 1), ("b_lag_13", 2)]  # the better mean rank first
    assert selected(table) == ["b_lag_13"]


def test_a_kept_column_is_the_representative_of_its_family():
    scores = [5, 4, 3, 2, 1]

    table = table_of(scores, scores, scores, top_ratio=1.0, one_per_family=True, always_keep=["a_lag_1"])

    assert selected(table) == ["a_lag_1", "b", "c"]


def test_voters_of_any_name_and_number_are_counted():
    scores = {"depth": np.array([1, 2, 3, 4, 5]), "width_2": np.array([1, 2, 3, 5, 4])}

    table = votes_table(NAMES, scores, np.ones(5), top_ratio=0.4, max_features=None, always_keep=())

    assert selected(table) == ["b_lag_13", "c"]
    assert table.columns[3:7] == ["depth_score", "depth_rank", "width_2_score", "width_2_rank"]


def test_one_row_a_column_best_mean_rank_first():
    table = table_of([5, 4, 3, 2, 1], [5, 4, 3, 2, 1], [5, 4, 3, 2, 1])

    assert table["column"].to_list() == list(NAMES)
    assert table["mean_rank"].to_list() == [1.0, 2.0, 3.0, 4.0, 5.0]
    assert table["base"].to_list() == ["a", "a", "b", "b", "c"]
    assert table["lag"].to_list() == [0, 1, 0, 13, 0]
    assert table.schema == pl.Schema(
        {
            "column": pl.String,
            "base": pl.String,
            "lag": pl.Int64,
            "linear_score": pl.Int64,
            "linear_rank": pl.Int64,
            "forest_score": pl.Int64,
            "forest_rank": pl.Int64,
            "mutual_score": pl.Int64,
            "mutual_rank": pl.Int64,
            "anova_f": pl.Int64,
            "mean_rank": pl.Float64,
            "count_votes": pl.Int64,
            "is_kept": pl.Boolean,
            "is_selected": pl.Boolean,
        }
    )


def test_kept_columns_need_no_vote():
    scores = [5, 4, 3, 2, 1]

    assert selected(table_of(scores, scores, scores, always_keep=["c"])) == ["a", "a_lag_1", "c"]


@pytest.mark.parametrize(("max_features", "expected"), [(1, ["c"]), (2, ["a", "c"]), (4, ["a", "a_lag_1", "b", "c"])])
def test_an_elite_list_gives_the_kept_their_places_and_the_best_the_rest(max_features, expected):
    scores = [5, 4, 3, 2, 1]

    table = table_of(scores, scores, scores, top_ratio=0.6, always_keep=["c"], max_features=max_features)

    assert selected(table) == expected


@pytest.mark.parametrize(("top_ratio", "n"), [(1e-9, 1), (0.2, 1), (0.21, 2), (0.5, 3), (0.6, 3), (1.0, 5)])
def test_the_top_share_is_rounded_up(top_ratio, n):
    scores = [5, 4, 3, 2, 1]

    assert len(selected(table_of(scores, scores, scores, top_ratio=top_ratio))) == n
