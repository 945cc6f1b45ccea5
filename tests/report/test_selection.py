import polars as pl

from mmf.report.drawing import BLUE, GREY
from mmf.report.selection import PALE, council_charts, refinery_charts, strongest

VOTES = pl.DataFrame(
    {
        "column": ["a", "a_lag_1", "b", "b_lag_1"],
        "base": ["a", "a", "b", "b"],
        "lag": [0, 1, 0, 1],
        "count_votes": [3, 2, 1, 0],
        "is_selected": [True, True, False, False],
        "mean_rank": [1.0, 2.0, 3.0, 4.0],
        "forest_rank": [1, 2, 3, 4],
        "forest_score": [0.5, 0.25, 0.125, 0.0625],
    }
)


def test_the_council_is_drawn_with_the_best_feature_on_top() -> None:
    ranks, lags = council_charts(VOTES)
    heat = ranks.figure.data[0]
    assert list(heat.y) == ["b", "a"]
    assert [list(row) for row in heat.z] == [[3.0, 4.0], [1.0, 2.0]]
    assert heat.customdata[0][1] == "0 votes<br>forest: rank 4, score 0.0625"
    assert list(lags.figure.data[0].y) == [0.5, 0.5]


CLUSTERS = pl.DataFrame(
    {
        "cluster": [0, 1],
        "size": [2, 1],
        "representative": ["a_lag_1", "b"],
        "alpha": [0.5, 0.0],
        "variance_left": [0.6, 1.0],
        "explained_variance": [0.9, 1.0],
        "n_latents": [1, 1],
        "n_stable": [0, 1],
        "cross_before": [0.4, 0.4],
        "cross_after": [0.1, 0.1],
        "intra_before": [0.9, None],
        "intra_after": [0.8, None],
    }
)
MEMBERS = pl.DataFrame({"column": ["a", "a_lag_1", "b"], "cluster": [0, 0, 1]})
LATENTS = pl.DataFrame(
    {
        "latent": ["latent_00_1", "latent_01_1"],
        "alignment": [0.1, -0.3],
        "explained_variance": [0.9, 1.0],
        "stability": [0.2, 0.9],
        "is_stable": [False, True],
    }
)
LOADINGS = pl.DataFrame(
    {
        "latent": ["latent_00_1", "latent_00_1", "latent_01_1"],
        "base": ["a", "a", "b"],
        "correlation": [0.9, -0.95, 1.0],
        "is_member": [True, True, True],
    }
)


def test_the_refinery_is_drawn() -> None:
    clusters, talk, latents, loadings = refinery_charts(CLUSTERS, MEMBERS, LATENTS, LOADINGS)
    tree = clusters.figure.data[0]
    assert dict(zip(tree.labels, tree.parents, strict=True)) == {
        "0: a_lag_1": "",
        "1: b": "",
        "a": "0: a_lag_1",
        "a_lag_1": "0: a_lag_1",
        "b": "1: b",
    }
    assert list(tree.marker.colors) == [GREY, BLUE, PALE[GREY], PALE[GREY], PALE[BLUE]]
    before, after = talk.figure.data[:2]
    assert list(before.x) == ["a_lag_1", "b"]
    assert (before.y, after.y) == ((0.4, 0.4), (0.1, 0.1))
    assert before.customdata[0] == (
        "2 columns, alpha 0.5, 60% of the variance left, 1 latents explain 90% of that, 0 of them stable"
    )
    assert list(latents.figure.data[0].x) == ["latent_01_1", "latent_00_1"]
    assert list(loadings.figure.data[0].x) == ["latent_01_1"]
    assert list(loadings.figure.data[0].y) == ["b"]
    assert strongest(LOADINGS) == {"latent_00_1": "a", "latent_01_1": "b"}
