import numpy as np
import pytest
from sklearn.metrics import (
    average_precision_score,
    brier_score_loss,
    log_loss,
    precision_score,
    recall_score,
    roc_auc_score,
)

from mmf.evaluation.bootstrap import block_samples
from mmf.evaluation.intervals import score_intervals

N = 400


def sample(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    probability = rng.uniform(0.05, 0.95, N).round(2)  # ties
    return probability, (rng.random(N) < probability).astype(float)


def test_every_sample_is_scored_as_scikit_learn_does() -> None:
    probability, label = sample()
    found = score_intervals({"m": probability}, label, thresholds={"m": 0.5}, horizon=5, n_samples=40, seed=3)
    drawn = [np.arange(N), *block_samples(N, mean_block=10.0, n_samples=40, seed=3)]
    measures = {
        "precision": lambda y, p: precision_score(y, p > 0.5),
        "recall": lambda y, p: recall_score(y, p > 0.5),
        "pr_auc": average_precision_score,
        "roc_auc": roc_auc_score,
        "brier": brier_score_loss,
        "log_loss": log_loss,
    }
    for score, measure in measures.items():
        values = [measure(label[rows], probability[rows]) for rows in drawn]
        row = found.filter(score=score).row(0, named=True)
        low, high = np.quantile(values[1:], (0.025, 0.975))
        assert (row["value"], row["low"], row["high"]) == pytest.approx((values[0], low, high), abs=1e-9)


def test_models_are_compared_on_the_same_samples() -> None:
    probability, label = sample()
    found = score_intervals(
        {"a": probability, "b": probability}, label, thresholds={"a": 0.5, "b": 0.5}, horizon=5, n_samples=50
    )
    assert found.filter(model="a").drop("model").equals(found.filter(model="b").drop("model"))


def test_longer_horizons_give_wider_intervals_where_neighbours_are_alike() -> None:
    rng = np.random.default_rng(1)
    label = np.repeat(rng.integers(0, 2, N // 20), 20).astype(float)
    probability = np.clip(0.5 + 0.2 * (label - 0.5) + np.repeat(rng.normal(0, 0.3, N // 20), 20), 0.01, 0.99)
    widths = []
    for horizon in (1, 20):
        row = score_intervals({"m": probability}, label, thresholds={"m": 0.5}, horizon=horizon).filter(score="roc_auc")
        widths.append((row["high"] - row["low"]).item())
    assert widths[1] > 1.5 * widths[0]


def test_undefined_scores_are_null_and_unknown_labels_left_out() -> None:
    probability, label = sample()
    unknown = np.append(label, np.nan)
    told = score_intervals({"m": np.append(probability, 0.5)}, unknown, thresholds={"m": 0.5}, horizon=5)
    assert told.equals(score_intervals({"m": probability}, label, thresholds={"m": 0.5}, horizon=5))
    never = score_intervals({"m": probability}, label, thresholds={"m": 1.0}, horizon=5)
    assert never.filter(score="precision").row(0) == ("m", "precision", None, None, None)
    zeros = score_intervals({"m": probability}, np.zeros(N), thresholds={"m": 0.5}, horizon=5)
    assert zeros.filter(score="pr_auc")["value"].item() is None
