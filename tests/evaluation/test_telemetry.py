import numpy as np
import polars as pl
import pytest
from scipy.stats import entropy

from mmf.errors import CallError, LeakError
from mmf.evaluation.telemetry import (
    Regimes,
    collapsed_on,
    reliability,
    switched_off,
    telemetry,
    telemetry_by_regime,
)
from mmf.rows import PHYSICS_TRIO, Rows, TrainingRows

RNG = np.random.default_rng(11)
N = 3_000
NAMES = ("trend", "range", "cnn")


def table(told, weights, *, names=NAMES, label=None) -> pl.DataFrame:
    columns = {f"{name}_probability": told[:, i] for i, name in enumerate(names)}
    columns |= {f"{name}_weight": weights[:, i] for i, name in enumerate(names)}
    return pl.DataFrame(columns | ({} if label is None else {"label": label}))


def rows_of(trio) -> Rows:
    time = np.arange(len(trio)) * 3_600_000
    return Rows(time, trio.astype(np.float32), PHYSICS_TRIO, np.zeros(len(trio)), time + 1)


TOLD = RNG.uniform(0.2, 0.8, (N, 3))
WEIGHTS = RNG.dirichlet([4, 2, 1], N)
TRIO = RNG.normal(size=(N, 3))


def test_shares_are_mean_weights_and_entropy_is_that_of_scipy():
    figures = telemetry(table(TOLD, WEIGHTS))
    assert [figures[f"share_{name}"] for name in NAMES] == pytest.approx(WEIGHTS.mean(axis=0).tolist())
    assert figures["gating_entropy"] == pytest.approx(entropy(WEIGHTS, axis=1).mean() / np.log(3))


def test_the_delta_of_the_cnn_is_the_mixture_less_that_of_the_others():
    figures = telemetry(table(TOLD, WEIGHTS))
    others = (TOLD[:, :2] * WEIGHTS[:, :2]).sum(axis=1) / WEIGHTS[:, :2].sum(axis=1)
    delta = (TOLD * WEIGHTS).sum(axis=1) - others
    assert figures["cnn_delta_mean"] == pytest.approx(delta.mean())
    assert figures["cnn_delta_std"] == pytest.approx(delta.std())


@pytest.mark.parametrize(
    ("weights", "expected"), [([1.0, 0.0, 0.0], 0.0), ([1 / 3] * 3, 1.0), ([0.5, 0.5, 0.0], np.log(2) / np.log(3))]
)
def test_entropy_runs_from_one_expert_to_all_alike(weights, expected):
    assert telemetry(table(TOLD, np.tile(weights, (N, 1))))["gating_entropy"] == pytest.approx(expected, abs=1e-12)


def test_without_a_cnn_or_without_others_there_is_no_delta():
    two = telemetry(table(TOLD[:, :2], WEIGHTS[:, :2], names=("trend", "range")))
    one = telemetry(table(TOLD[:, :1], np.ones((N, 1)), names=("cnn",)))
    assert not any("delta" in name for name in two | one)
    assert one == {"share_cnn": 1.0, "gating_entropy": 0.0}


def test_an_expert_that_has_all_the_weight_leaves_a_plain_average_behind():
    figures = telemetry(table(TOLD, np.tile([0.0, 0.0, 1.0], (N, 1))))
    assert figures["cnn_delta_mean"] == pytest.approx((TOLD[:, 2] - TOLD[:, :2].mean(axis=1)).mean())


def test_regimes_are_thirds_of_the_training_rows():
    train = rows_of(TRIO)
    train.x[:50, 1] = np.nan
    regimes = Regimes.of(TrainingRows.of(train, known_before_ms=10**15))
    masks = dict(regimes.masks(train))
    assert list(masks) == [
        f"{name} {level}" for name in ("hurst_200", "entropy_200") for level in ("low", "middle", "high")
    ]
    for name, mask in masks.items():
        assert mask.sum() == pytest.approx((N if "hurst" in name else N - 50) / 3, abs=1)
    assert not any(mask[:50].any() for name, mask in masks.items() if "entropy" in name)
    assert train.x[masks["hurst_200 low"], 0].max() < train.x[masks["hurst_200 middle"], 0].min()
    assert train.x[masks["hurst_200 middle"], 0].max() < train.x[masks["hurst_200 high"], 0].min()


def test_regimes_are_cut_on_training_rows_only():
    with pytest.raises(LeakError, match="training rows only"):
        Regimes.of(rows_of(TRIO))


def test_figures_by_regime_are_those_of_its_rows():
    rows = rows_of(TRIO)
    regimes = Regimes.of(TrainingRows.of(rows, known_before_ms=10**15))
    weights = np.where((TRIO[:, 0] > regimes.bounds["hurst_200"][1])[:, None], [0.02, 0.96, 0.02], WEIGHTS)
    found = telemetry_by_regime(table(TOLD, weights), rows, regimes)
    assert found["regime"].to_list()[:4] == ["all", "hurst_200 low", "hurst_200 middle", "hurst_200 high"]
    assert found["n"][0] == N == found["n"][1:4].sum()
    high = found.filter(pl.col("regime") == "hurst_200 high")
    assert high["share_range"].item() == pytest.approx(0.96)
    assert high["collapsed_on"].item() == "range"
    assert found["collapsed_on"].null_count() == 6
    low = telemetry(table(TOLD, weights).filter(dict(regimes.masks(rows))["hurst_200 low"]))
    assert found.row(1, named=True).items() >= low.items()


def test_a_regime_without_rows_is_left_out_and_other_rows_are_refused():
    regimes = Regimes({"hurst_200": (100.0, 200.0)})
    found = telemetry_by_regime(table(TOLD, WEIGHTS), rows_of(TRIO), regimes)
    assert found["regime"].to_list() == ["all", "hurst_200 low"]
    with pytest.raises(CallError, match="are not those of 5 rows"):
        telemetry_by_regime(table(TOLD, WEIGHTS), rows_of(TRIO[:5]), regimes)


@pytest.mark.parametrize(
    ("shares", "expected"),
    [((0.96, 0.04), "a"), ((0.95, 0.05), None), ((0.01, 0.99), "b"), ((1.0,), None)],
)
def test_a_collapse_is_named(shares, expected):
    figures = {f"share_{name}": share for name, share in zip("ab", shares, strict=False)}
    assert collapsed_on(figures | {"gating_entropy": 0.1}) == expected


def knowing(n: int, seed: int) -> tuple[pl.DataFrame, np.ndarray]:
    """`trend` knows the chance of each label, `range` is a coin, and `cnn` is always half as sure as it may be."""
    random = np.random.default_rng(seed)
    chance = random.uniform(0.05, 0.95, n)
    label = (random.random(n) < chance).astype(float)
    told = np.column_stack([chance, random.uniform(0.3, 0.7, n), np.full(n, 0.5)])
    return table(told, np.full((n, 3), 1 / 3), label=label), label


def test_switching_off_the_expert_that_knows_costs_and_switching_off_a_coin_does_not():
    past, _ = knowing(4_000, 0)
    judged, label = knowing(4_000, 1)
    label[:100] = np.nan
    found = {
        uplift.expert: uplift for uplift in switched_off(judged, label, out_of_fold=past, horizon=1, n_samples=200)
    }
    assert list(found) == list(NAMES)
    assert found["trend"].low > 0.1
    assert found["range"].high < 0
    assert abs(found["cnn"].uplift) < 0.01  # a constant is mended by calibration
    for uplift in found.values():
        assert uplift.n == 3_900
        assert uplift.low < uplift.uplift < uplift.high
        assert uplift.uplift == pytest.approx(uplift.log_loss_without - uplift.log_loss_with)


def test_uplift_is_of_mixtures_calibrated_alike():
    past, _ = knowing(2_000, 0)
    judged, label = knowing(2_000, 1)
    wary = pl.col("cnn_probability") * 0.2  # far too low, always
    found = switched_off(judged.with_columns(wary), label, out_of_fold=past.with_columns(wary), horizon=1, n_samples=50)
    assert abs(found[2].uplift) < 0.01


def test_intervals_of_overlapping_labels_are_wider():
    past, _ = knowing(2_000, 0)
    judged, label = knowing(100, 1)
    repeated, labels = judged[np.repeat(np.arange(100), 20).tolist()], np.repeat(label, 20)
    width = [
        (found := switched_off(repeated, labels, out_of_fold=past, horizon=horizon, n_samples=400)[0]).high - found.low
        for horizon in (1, 20)
    ]
    assert width[1] > 2 * width[0]


def test_a_single_expert_is_not_switched_off():
    alone = table(TOLD[:, :1], np.ones((N, 1)), names=("range",), label=(TOLD[:, 1] > 0.5).astype(float))
    assert switched_off(alone, alone["label"].to_numpy(), out_of_fold=alone, horizon=3) == ()


def test_reliability_bins_hold_equally_many_rows():
    probability = np.array([0.1, 0.9, 0.2, 0.8, 0.3, 0.7, 0.55])
    label = np.array([0, 1, 0, 1, 1, 0, np.nan])
    assert reliability(probability, label, n_bins=3).rows() == [
        (pytest.approx(0.15), 0.0, 2),
        (pytest.approx(0.5), 0.5, 2),
        (pytest.approx(0.85), 1.0, 2),
    ]


def test_probabilities_that_mean_what_they_say_lie_on_the_diagonal():
    chance = RNG.uniform(0, 1, 50_000)
    curve = reliability(chance, (RNG.random(50_000) < chance).astype(float))
    assert curve["count"].to_list() == [5_000] * 10
    np.testing.assert_allclose(curve["observed_rate"], curve["mean_predicted"], atol=0.025)
    wary = reliability(chance / 2, (RNG.random(50_000) < chance).astype(float))
    assert (wary["observed_rate"] > 1.7 * wary["mean_predicted"]).all()


def test_few_rows_make_few_bins_and_none_make_none():
    assert reliability(np.array([0.3, 0.4]), np.array([0.0, 1.0]))["count"].to_list() == [1, 1]
    assert reliability(np.zeros(0), np.zeros(0)).is_empty()
    with pytest.raises(CallError, match="0 bins"):
        reliability(np.zeros(1), np.zeros(1), n_bins=0)


def test_a_frame_without_weights_is_refused():
    with pytest.raises(CallError, match="no predictions of a trader"):
        telemetry(pl.DataFrame({"probability": [0.5]}))
