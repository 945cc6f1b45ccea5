import polars as pl
import pytest

from mmf.alpha_council.families import by_feature, by_lag

VOTES = pl.DataFrame(
    {
        "column": ["b_lag_3", "a", "b", "a_lag_3", "c"],
        "base": ["b", "a", "b", "a", "c"],
        "lag": [3, 0, 0, 3, 0],
        "linear_score": [5.0, 4.0, 3.0, 2.0, 1.0],
        "linear_rank": [1, 2, 3, 4, 5],
        "mutual_score": [1, 2, 3, 4, 5],
        "mutual_rank": [5, 4, 3, 2, 1],
        "mean_rank": [1.0, 2.0, 3.0, 4.0, 5.0],
        "count_votes": [3, 2, 2, 1, 0],
        "is_selected": [True, True, True, False, False],
    }
)


@pytest.mark.parametrize("votes", [VOTES, VOTES.reverse()])
def test_votes_are_summed_by_feature_the_best_first(votes):
    table = by_feature(votes)

    assert table.rows() == [
        ("b", 2, 5, 2, 1.0, "b_lag_3", [0, 3]),
        ("a", 2, 3, 1, 2.0, "a", [0]),
        ("c", 1, 0, 0, 5.0, "c", []),
    ]


def test_votes_are_summed_by_lag():
    table = by_lag(VOTES)

    assert table["lag"].to_list() == [0, 3]
    assert table.select("count_columns", "count_votes", "count_selected").rows() == [(3, 4, 2), (2, 4, 1)]
    assert table["share_selected"].to_list() == [pytest.approx(2 / 3), 0.5]
    assert table["mean_rank"].to_list() == [pytest.approx(10 / 3, abs=1e-6), 2.5]
