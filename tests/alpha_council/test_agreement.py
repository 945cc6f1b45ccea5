import polars as pl

from mmf.alpha_council.agreement import agreement


def votes(ranks, selected):
    return pl.DataFrame(
        {
            "column": list("abcd"),
            "linear_rank": ranks,
            "mean_rank": [float(rank) for rank in ranks],
            "is_selected": [name in selected for name in "abcd"],
        }
    )


def test_common_columns_are_counted_voter_by_voter():
    table = agreement(votes([1, 2, 3, 4], "ab"), votes([1, 3, 2, 4], "abd"), top_ratio=0.5)

    assert table.rows() == [("linear", 2, 2, 1, 0.5, 1 / 3), ("council", 2, 3, 2, 1.0, 2 / 3)]
    assert table.columns == ["voter", "count_one", "count_other", "count_both", "overlap", "jaccard"]


def test_rows_may_come_in_any_order():
    other = votes([1, 3, 2, 4], "abd")

    assert agreement(votes([1, 2, 3, 4], "ab"), other, top_ratio=0.5).equals(
        agreement(votes([1, 2, 3, 4], "ab"), other.reverse(), top_ratio=0.5)
    )


def test_nothing_selected_has_no_share():
    last = agreement(votes([1, 2, 3, 4], ""), votes([1, 2, 3, 4], ""), top_ratio=0.5).row(1, named=True)

    assert (last["count_both"], last["overlap"], last["jaccard"]) == (0, None, None)


def test_voters_that_sit_in_one_council_only_are_left_out():
    one = votes([1, 2, 3, 4], "a").rename({"linear_rank": "depth_rank"})

    assert agreement(one, votes([1, 2, 3, 4], "a"), top_ratio=0.5)["voter"].to_list() == ["council"]
