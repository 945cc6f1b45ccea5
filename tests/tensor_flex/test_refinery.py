import json
import logging
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.utils.estimator_checks import parametrize_with_checks
from threadpoolctl import threadpool_limits

from mmf.errors import CallError, DataError, LeakError
from mmf.impute import MedianImputer
from mmf.rows import PHYSICS_TRIO, Rows
from mmf.splits import chronological_split
from mmf.tensor_flex import TensorFlex
from mmf.tensor_flex.tables import TABLES
from tests.tensor_flex.planted import factors, market, names, noise, relabelled, rows_of

LEARNT = ("median_", "mean_", "scale_", "weights_", "shifted_stable_")


def flex(**options):
    return TensorFlex(**({"max_clusters": 3, "n_shifts": 5} | options))


def assert_same_fit(one, other, *, exact=True):
    for name in LEARNT:
        np.testing.assert_allclose(getattr(one, name), getattr(other, name), rtol=0 if exact else 1e-5)
    for name in TABLES:
        assert_frame_equal(getattr(one, f"{name}_"), getattr(other, f"{name}_"), check_exact=exact)


def latents_of(fitted, rows):
    return fitted.transform_rows(rows, mode="full_latents").x[:, 3:].astype(float)


def plain_rows(fitted, rows):
    return Rows(rows.open_time_ms, rows.x, rows.columns, rows.label, rows.label_end_ms)


def test_the_planted_structure_is_found():
    rows, parts = market(), factors(1_500)

    fitted = flex(n_neighbors=2).fit_rows(rows)

    of_columns = fitted.members_.group_by("cluster").agg(pl.col("base").unique())
    assert sorted(of_columns["base"].to_list()) == [["a"], ["b"], ["c"]]
    first = {name: fitted.clusters_.row(k, named=True)["cluster"] for k, name in enumerate("abc")}
    latents = latents_of(fitted, rows)
    for name in "ab":
        (place,) = np.flatnonzero((fitted.latents_["cluster"] == first[name]) & (fitted.latents_["component"] == 1))
        assert np.corrcoef(latents[:, place], parts[name])[0, 1] > 0.9
    means = fitted.report()["mean_absolute_correlation"]
    assert means["cross_after"] < 0.7 * means["cross_before"]


def test_a_column_that_tells_the_label_lives_on_in_a_stable_latent():
    fitted = flex().fit_rows(market(signal="a"))

    stable = fitted.latents_.filter("is_stable")
    best = stable.sort(pl.col("alignment").abs()).tail(1)["latent"][0]
    assert set(fitted.loadings_.filter(pl.col("latent") == best, "is_member")["base"]) == {"a"}
    assert stable.filter(pl.col("latent") == best)["stability"][0] == 1
    assert fitted.report()["shifted_labels"]["mean_stable"] < stable.height


@pytest.mark.parametrize("strength", [0.15, 0.4])
def test_one_planted_column_among_many_families_stays_visible(strength):
    rows = noise(4_000, 60)
    label = (strength * rows.x[:, 20] + np.random.default_rng(9).normal(size=4_000) > 0).astype(float)
    rows = relabelled(rows, label)

    fitted = TensorFlex().fit_rows(rows)

    latents = fitted.transform_rows(rows).x[:, 3:]
    assert np.abs(np.corrcoef(latents.T, rows.x[:, 20])[-1, :-1]).max() > 0.8


def test_latents_are_a_whitened_pca_of_the_residuals_on_rows():
    rows = market()
    fitted = flex(explained_variance=0.97).fit_rows(rows)
    x = rows.matrix(fitted.refined_columns_).astype(float)
    Z = (x - x.mean(axis=0)) / x.std(axis=0)
    latents = latents_of(fitted, rows)

    for cluster, near, alpha in fitted.clusters_.select("cluster", "neighbors", "alpha").iter_rows():
        own = (fitted.members_["cluster"] == cluster).to_numpy()
        scores = []
        for j in near:
            other = Z[:, (fitted.members_["cluster"] == j).to_numpy()]
            k = min(3, int(np.searchsorted(np.cumsum(PCA().fit(other).explained_variance_ratio_), 0.97)) + 1)
            scores.append(PCA(k).fit_transform(other))
        scores = np.hstack(scores)
        residuals = Z[:, own] - alpha * scores @ np.linalg.lstsq(scores, Z[:, own], rcond=None)[0]
        ours = latents[:, (fitted.latents_["cluster"] == cluster).to_numpy()]
        theirs = PCA(ours.shape[1], whiten=True).fit_transform(residuals) * np.sqrt(1_500 / 1_499)
        np.testing.assert_allclose(np.abs(ours), np.abs(theirs), atol=1e-3)


def test_latents_of_the_training_rows_have_mean_0_and_variance_1():
    rows = market()
    latents = latents_of(flex().fit_rows(rows), rows)

    np.testing.assert_allclose(latents.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(latents.std(axis=0), 1, atol=1e-4)


def test_the_trio_comes_first_and_unchanged():
    rows = market()
    rows.x[5:9, 1] = np.nan
    fitted = flex().fit_rows(rows.select((*rows.columns[3:10], *rows.columns[:3], *rows.columns[10:])))

    for mode in ("selected", "full_latents"):
        refined = fitted.transform_rows(rows, mode=mode)
        assert refined.columns[:3] == PHYSICS_TRIO
        np.testing.assert_array_equal(refined.x[:, :3], rows.x[:, :3])
        assert np.isfinite(refined.x[:, 3:]).all()
    assert not set(PHYSICS_TRIO) & set(fitted.refined_columns_)


def test_one_fit_serves_both_modes():
    rows = market()
    fitted = flex().fit_rows(rows)
    everything = fitted.set_params(mode="full_latents").transform(rows.x)
    selected = fitted.set_params(mode="selected").transform(rows.x)

    is_kept = np.append([True] * 3, fitted.latents_["is_stable"].to_numpy())
    assert 3 < selected.shape[1] < everything.shape[1] == 3 + fitted.latents_.height
    np.testing.assert_array_equal(selected, everything[:, is_kept])
    assert fitted.get_feature_names_out().tolist() == np.array(fitted.names("full_latents"))[is_kept].tolist()


def test_noise_leaves_the_trio_and_a_clear_report(caplog):
    with caplog.at_level(logging.INFO):
        fitted = flex(max_clusters=64, min_stability=0.95).fit_rows(noise())

    assert "0 of 10 latents are stable; on labels shifted in time" in caplog.text
    refined = fitted.transform_rows(noise())
    assert refined.columns == PHYSICS_TRIO
    np.testing.assert_array_equal(refined.x, noise().x[:, :3])
    report = fitted.report()
    assert report["count_stable"] == 0
    assert report["shifted_labels"]["share_as_many"] == 1


def test_few_latents_of_noise_are_stable_and_shifted_labels_say_how_many():
    fits = [flex(max_clusters=64, n_shifts=20).fit_rows(noise(800, 120, seed=seed)) for seed in range(8)]

    kept = np.mean([fit.latents_["is_stable"].mean() for fit in fits])
    expected = np.mean([fit.shifted_stable_.mean() / fit.latents_.height for fit in fits])
    assert kept < 0.12
    assert kept == pytest.approx(expected, abs=0.04)


def test_judged_rows_change_nothing_that_was_learnt():
    whole = market(2_000)
    split = chronological_split(whole)
    altered = whole.x.copy()
    altered[split.test] = 1e6 * np.random.default_rng(1).normal(size=altered[split.test].shape)
    label = whole.label.copy()
    label[split.test] = 1 - label[split.test]

    one = flex().fit_rows(split.training(whole))
    other = flex().fit_rows(split.training(replace(whole, x=altered, label=label)))

    assert_same_fit(one, other)
    judged = split.testing(whole)
    before = one.transform_rows(judged).x
    one.transform_rows(split.testing(replace(whole, x=altered)))
    np.testing.assert_array_equal(one.transform_rows(judged).x, before)


def test_rows_outside_the_training_window_are_refused():
    rows = market()
    with pytest.raises(LeakError, match="training rows only"):
        flex().fit_rows(plain_rows(flex(), rows))
    with pytest.raises(LeakError, match="labels that end after the judged rows begin"):
        flex().fit_rows(replace(rows, known_before_ms=rows.known_before_ms - 1))


def test_judged_rows_come_out_as_what_they_were():
    rows = market()
    fitted = flex().fit_rows(rows)

    judged = fitted.transform_rows(plain_rows(fitted, rows))

    assert type(judged) is Rows
    assert type(fitted.transform_rows(rows)) is type(rows)
    np.testing.assert_array_equal(judged.label, rows.label)


def test_undefined_values_become_training_medians():
    rows = market()
    rows.x[::7, 5] = np.nan
    rows.x[:, 8] = np.nan
    filled = replace(rows, x=rows.x.copy())
    filled.x[:, 3:] = MedianImputer().fit(rows.x[:, 3:]).transform(rows.x[:, 3:])

    one, other = flex().fit_rows(rows), flex().fit_rows(filled)

    assert_same_fit(one, other)
    assert one.constant_columns_ == (rows.columns[8],)
    np.testing.assert_array_equal(one.transform_rows(rows).x, other.transform_rows(filled).x)


def test_any_number_of_threads_gives_the_same_bits():
    rows = noise(2_000, 600)
    one = TensorFlex(n_jobs=1).fit_rows(rows)
    with threadpool_limits(1):
        assert_same_fit(one, TensorFlex(n_jobs=1).fit_rows(rows))
    with threadpool_limits(4):
        four = TensorFlex(n_jobs=4).fit_rows(rows)
    assert_same_fit(one, four)
    expected = latents_of(one, rows)
    with threadpool_limits(4):
        np.testing.assert_array_equal(latents_of(four, rows), expected)


def test_a_row_is_refined_alike_whatever_stands_beside_it():
    rows = market(700)
    fitted = flex().fit_rows(rows)
    whole = fitted.transform_rows(rows).x

    for index in (np.array([400]), np.arange(130, 141), np.arange(699, 200, -1)):
        np.testing.assert_array_equal(fitted.transform_rows(rows.take(index)).x, whole[index])


def test_the_order_of_the_columns_does_not_matter():
    rows = market()
    order = np.random.default_rng(0).permutation(len(rows.columns))
    shuffled = rows.select(tuple(rows.columns[j] for j in order))

    one, other = flex().fit_rows(rows), flex().fit_rows(shuffled)

    assert_same_fit(one, other)
    np.testing.assert_array_equal(one.transform_rows(shuffled).x, other.transform_rows(rows).x)


def test_the_scale_and_sign_of_a_column_do_not_matter():
    rows = market()
    scaled = replace(rows, x=rows.x.copy())
    scaled.x[:, 6] *= 1_024
    mirrored = replace(rows, x=rows.x.copy())
    mirrored.x[:, 4] *= -1  # not the column whose weight fixes the sign

    one = flex().fit_rows(rows)

    assert_same_fit(one.set_params(), flex().fit_rows(rows))
    np.testing.assert_allclose(latents_of(one, rows), latents_of(flex().fit_rows(scaled), scaled), atol=1e-5)
    sizes = np.abs(latents_of(one, rows)), np.abs(latents_of(flex().fit_rows(mirrored), mirrored))
    np.testing.assert_allclose(*sizes, atol=1e-4)


def test_copies_and_constants_change_no_latent():
    rows = market()
    x = np.column_stack([rows.x, np.full(len(rows), 3.0, np.float32), -rows.x[:, 3:9]])
    padded = replace(rows, x=x, columns=(*rows.columns, "still", *(f"a_copy_{j}" for j in range(6))))

    one, other = flex(max_components=1).fit_rows(rows), flex(max_components=1).fit_rows(padded)

    assert other.constant_columns_ == ("still",)
    assert one.clusters_["size"].to_list() == [6, 6, 6]
    assert other.clusters_["size"].to_list() == [12, 6, 6]
    for ours, theirs in zip(latents_of(one, rows).T, latents_of(other, padded).T, strict=True):
        assert abs(np.corrcoef(ours, theirs)[0, 1]) > 0.999


@pytest.mark.parametrize("n_columns", [0, 1, 2])
def test_few_columns_are_refined_too(n_columns):
    rows = market()
    few = rows.select((*PHYSICS_TRIO, *rows.columns[3 : 3 + n_columns]))

    fitted = flex().fit_rows(few)

    assert fitted.transform_rows(few, mode="full_latents").x.shape == (len(rows), 3 + min(n_columns, 1))
    assert fitted.clusters_.height == min(n_columns, 1)
    json.dumps(fitted.report(), allow_nan=False)
    if n_columns == 1:
        assert abs(np.corrcoef(latents_of(fitted, few)[:, 0], rows.x[:, 3])[0, 1]) > 0.9999


@settings(max_examples=40)
@given(
    n=st.integers(10, 60),
    p=st.integers(0, 30),
    copies=st.integers(0, 3),
    constants=st.integers(0, 2),
    max_clusters=st.integers(1, 64),
    seed=st.integers(0, 999),
)
def test_odd_shapes_are_refined(*, n, p, copies, constants, max_clusters, seed):
    random = np.random.default_rng(seed)
    x = random.standard_t(2, size=(n, p))
    x[random.random((n, p)) < 0.1] = np.nan
    x = np.column_stack([x, *([x[:, : p // 2]] * copies), np.ones((n, constants)), random.normal(size=(n, 3))])
    columns = (*(f"f{j}" for j in range(x.shape[1] - 3)), *PHYSICS_TRIO)
    rows = rows_of(x.astype(np.float32), np.arange(n) % 2.0, columns, horizon=0)

    fitted = TensorFlex(max_clusters=max_clusters, n_shifts=2).fit_rows(rows)

    refined = fitted.transform_rows(rows, mode="full_latents")
    assert np.isfinite(refined.x).all()
    assert refined.columns == fitted.names("full_latents")
    assert fitted.clusters_.height <= max_clusters
    assert np.abs(refined.x[:, 3:]).max(initial=0) < 2 * np.sqrt(n)  # of variance 1
    json.dumps(fitted.report(), allow_nan=False)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mode": "all"}, "mode 'all' is unknown"),
        ({"max_clusters": 0}, "max_clusters 0 is not between 1 and 1000"),
        ({"n_folds": 3}, "n_folds 3 is not between 4 and 14"),
        ({"n_folds": 15}, "n_folds 15 is not between"),
        ({"explained_variance": 1.1}, "explained_variance 1.1 is not between"),
        ({"min_stability": -0.1}, "min_stability -0.1 is not between"),
        ({"max_clusters": 2.5}, "max_clusters 2.5 is not a whole number"),
        ({"bypass": (*PHYSICS_TRIO, "hurst_200")}, "bypass names a column twice: hurst_200, entropy_200, fdi_200, hu"),
    ],
)
def test_wrong_options_are_refused(options, message):
    with pytest.raises(CallError, match=message):
        flex(**options).fit_rows(market(200))


def test_a_wrong_mode_is_refused_after_the_fit_too():
    fitted = flex().fit_rows(market(200))

    with pytest.raises(CallError, match="mode 'latents' is unknown"):
        fitted.transform_rows(market(200), mode="latents")
    with pytest.raises(CallError, match="mode 'latents' is unknown"):
        fitted.set_params(mode="latents").transform(market(200).x)


def test_wrong_names_and_folds_are_refused():
    rows = market(200)
    with pytest.raises(CallError, match="21 columns came with 20 names"):
        flex().fit(rows.x, rows.label, columns=rows.columns[:20])
    with pytest.raises(CallError, match="3 folds came where n_folds says 10"):
        flex().fit(rows.x, rows.label, columns=rows.columns, folds=np.array_split(np.arange(200), 3))


def test_absent_columns_and_classes_are_named():
    rows = market(200)
    with pytest.raises(DataError, match=r"hurst_200 bypasses.*mmf features build --set core"):
        flex().fit_rows(rows.select(rows.columns[3:]))
    with pytest.raises(DataError, match="1 class, where the refinery needs two"):
        flex().fit_rows(relabelled(rows, np.ones(200)))
    with pytest.raises(DataError, match=r"column 'b_lag_8' is not among"):
        flex().fit_rows(rows).transform_rows(rows.select(tuple(c for c in rows.columns if c != "b_lag_8")))


def test_fewer_rows_than_folds_are_refused():
    rows = market(200)
    with pytest.raises(ValueError, match="minimum of 10 is required"):
        flex().fit(rows.x[:9], rows.label[:9], columns=rows.columns)


def test_the_fit_leaves_its_rows_alone():
    rows = market(300)
    rows.x[::5, 7] = np.nan
    before = rows.x.copy()

    flex().fit_rows(rows)

    np.testing.assert_array_equal(rows.x, before)


def test_frames_bring_their_own_names():
    rows = market(400)
    by_rows = flex().fit(rows.x, rows.label, columns=rows.columns)

    by_frame = flex().fit(rows.frame(), rows.label)

    assert_same_fit(by_rows, by_frame)
    assert by_frame.set_output(transform="polars").transform(rows.frame()).columns == list(by_frame.names("selected"))


def test_a_clone_is_not_fitted_and_fits_alike():
    fitted = flex().fit_rows(market(300))

    assert_same_fit(fitted, clone(fitted).fit_rows(market(300)))


def test_lags_are_told_from_their_base():
    fitted = flex().fit_rows(market(300))

    assert fitted.members_.select("column", "base", "lag").row(5) == ("a_lag_8", "a", 8)
    assert set(fitted.members_["column"]) == set(names())


@parametrize_with_checks([TensorFlex(bypass=()), TensorFlex(bypass=(), mode="full_latents")])
def test_keeps_the_contract_of_scikit_learn(estimator, check):
    check(estimator)
