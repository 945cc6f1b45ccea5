import json

import numpy as np
import polars as pl
import pytest

from mmf.tensor_flex import TensorFlex, tables
from tests.tensor_flex.planted import market


@pytest.fixture(scope="module")
def rows():
    return market()


@pytest.fixture(scope="module")
def flex(rows):
    return TensorFlex(max_clusters=4, n_shifts=6).fit_rows(rows)


@pytest.fixture(scope="module")
def latents(flex, rows):
    return flex.transform_rows(rows, mode="full_latents").x[:, 3:].astype(float)


def test_weights_make_the_latents(flex, rows, latents):
    x = rows.matrix(flex.refined_columns_).astype(float)
    Z = (x - x.mean(axis=0)) / x.std(axis=0)
    wide = flex.loadings_.pivot("latent", index="column", values="weight").fill_null(0).sort("column")

    made = Z @ wide.select(flex.latents_["latent"].to_list()).to_numpy()
    assert wide["column"].to_list() == list(flex.refined_columns_)
    np.testing.assert_allclose(made, latents, atol=1e-4)


def test_correlations_are_those_of_the_rows(flex, rows, latents):
    places = {name: j for j, name in enumerate(flex.latents_["latent"])}
    for latent, column, correlation in flex.loadings_.select("latent", "column", "correlation").iter_rows():
        expected = np.corrcoef(latents[:, places[latent]], rows.matrix((column,))[:, 0])[0, 1]
        assert correlation == pytest.approx(expected, abs=1e-4)


def test_alignments_are_correlations_with_the_label(flex, rows, latents):
    expected = [np.corrcoef(column, rows.label)[0, 1] for column in latents.T]
    np.testing.assert_allclose(flex.latents_["alignment"], expected, atol=1e-4)

    columns = [np.corrcoef(column, rows.label)[0, 1] for column in rows.matrix(flex.refined_columns_).T]
    np.testing.assert_allclose(flex.members_["alignment"], columns, atol=1e-5)


def test_alignments_of_folds_are_those_of_their_purged_rows(flex, rows, latents):
    label = (rows.label - rows.label.mean()) / rows.label.std()
    of_fold = flex.folds_.filter(pl.col("fold") == 4)

    index = np.arange(600, 747)  # three of 150 rows reach into the next fold
    np.testing.assert_allclose(of_fold["alignment"], (latents[index].T @ label[index]) / 147, atol=1e-4)
    assert of_fold["latent"].to_list() == flex.latents_["latent"].to_list()
    assert flex.folds_.height == 10 * flex.latents_.height


def test_one_row_a_cluster_tells_its_story(flex):
    clusters = flex.clusters_
    assert clusters.columns == [
        "cluster", "size", "representative", "neighbors", "alpha", "cross_left", "alignment_kept", "intra_before",
        "intra_after", "cross_before", "cross_after", "variance_left", "explained_variance", "n_latents", "n_stable",
    ]  # fmt: skip
    assert clusters["size"].sum() == flex.members_.height == 18
    assert clusters["n_latents"].sum() == flex.latents_.height
    assert clusters["n_stable"].sum() == flex.latents_["is_stable"].sum()
    for cluster, name in clusters.select("cluster", "representative").iter_rows():
        assert name in flex.members_.filter(pl.col("cluster") == cluster)["column"].to_list()


def test_intra_and_cross_correlations_are_those_of_the_rows(flex, rows):
    x = rows.matrix(flex.refined_columns_)
    R = np.abs(np.corrcoef(x.T))
    own = (flex.members_["cluster"] == 0).to_numpy()

    first = flex.clusters_.row(0, named=True)
    assert first["intra_before"] == pytest.approx(R[np.ix_(own, own)][~np.eye(own.sum(), dtype=bool)].mean(), abs=1e-5)
    assert first["cross_before"] == pytest.approx(R[np.ix_(own, ~own)].mean(), abs=1e-5)


def test_a_cluster_of_one_column_has_no_correlation_within(rows):
    one = TensorFlex(n_shifts=0).fit_rows(rows.select(rows.columns[:4]))

    assert one.clusters_["intra_before"].to_list() == [None]
    assert one.clusters_["cross_after"].to_list() == [None]
    assert one.report()["shifted_labels"]["mean_stable"] is None


def test_the_report_is_json_and_says_how_many_chance_would_keep(flex):
    report = json.loads(json.dumps(flex.report(), allow_nan=False))

    assert report["count_stable"] == flex.latents_["is_stable"].sum() == len(flex.names("selected")) - 3
    assert report["shifted_labels"] == {
        "count_shifts": 6,
        "mean_stable": pytest.approx(flex.shifted_stable_.mean()),
        "max_stable": flex.shifted_stable_.max(),
        "share_as_many": pytest.approx((flex.shifted_stable_ >= report["count_stable"]).mean()),
    }
    assert sum(len(cluster["columns"]) for cluster in report["clusters"]) == 18
    for latent in report["latents"]:
        sizes = [abs(loading["correlation"]) for loading in latent["loadings"]]
        assert sizes == sorted(sizes, reverse=True)
        assert 1 <= len(sizes) <= 5
        members = flex.members_.filter(pl.col("cluster") == latent["cluster"])["column"]
        assert {loading["column"] for loading in latent["loadings"]} <= set(members)


def test_the_first_of_columns_that_are_as_close_stands_for_a_cluster():
    R = np.array([[1, 0.9, 0.9], [0.9, 1, 0.9 + 1e-9], [0.9, 0.9 + 1e-9, 1]])

    assert tables._representatives(("a", "b", "c"), np.zeros(3, int), R) == ["a"]
    R[1, 2] = R[2, 1] = 0.95
    assert tables._representatives(("a", "b", "c"), np.zeros(3, int), R) == ["b"]
