import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmf.errors import CallError, DataError
from mmf.evaluation.scores import choose_threshold, evaluate

PROBABILITY = np.array([0.1, 0.4, 0.35, 0.8])
LABEL = np.array([0.0, 0.0, 1.0, 1.0])


def random_case(seed, n=300):
    random = np.random.default_rng(seed)
    label = (random.random(n) < 0.3).astype(float)
    return np.round(np.clip(0.3 * label + 0.7 * random.random(n), 0, 1), 2), label


def pairs_ranked_right(probability, label):
    ones, zeros = probability[label == 1], probability[label == 0]
    difference = ones[:, None] - zeros[None, :]
    return (difference > 0).mean() + 0.5 * (difference == 0).mean()


def mean_precision(probability, label):
    """Precision at each distinct threshold, weighted by the recall that it adds."""
    total, recall_before = 0.0, 0.0
    for threshold in np.unique(probability)[::-1]:
        chosen = probability >= threshold
        recall = label[chosen].sum() / label.sum()
        total += (recall - recall_before) * label[chosen].mean()
        recall_before = recall
    return total


def test_a_case_done_by_hand():
    scores = evaluate(PROBABILITY, LABEL, threshold=0.35, horizon=2)
    assert (scores.n, scores.n_effective, scores.base_rate) == (4, 2.0, 0.5)
    assert (scores.long_share, scores.precision, scores.recall) == (0.5, 0.5, 0.5)
    assert scores.roc_auc == 0.75
    assert scores.pr_auc == pytest.approx(5 / 6)
    assert scores.brier == pytest.approx((0.01 + 0.16 + 0.4225 + 0.04) / 4)
    assert scores.log_loss == pytest.approx(-np.log([0.9, 0.6, 0.35, 0.8]).mean())
    assert scores.threshold == 0.35


@pytest.mark.parametrize("seed", range(5))
def test_ranking_scores_equal_their_definitions(seed):
    probability, label = random_case(seed)
    scores = evaluate(probability, label, threshold=0.5, horizon=36)
    assert scores.roc_auc == pytest.approx(pairs_ranked_right(probability, label))
    assert scores.pr_auc == pytest.approx(mean_precision(probability, label))


def test_no_skill_scores_the_base_rate():
    _, label = random_case(0)
    scores = evaluate(np.full(300, label.mean()), label, threshold=0.5, horizon=36)
    assert scores.pr_auc == pytest.approx(label.mean())
    assert scores.roc_auc == 0.5
    assert scores.brier == pytest.approx(label.mean() * (1 - label.mean()))


def test_rows_without_a_label_are_left_out():
    probability, label = random_case(1)
    unknown = np.r_[label, np.full(36, np.nan)]
    with_unknown = evaluate(np.r_[probability, np.full(36, 0.99)], unknown, threshold=0.5, horizon=36)
    assert with_unknown == evaluate(probability, label, threshold=0.5, horizon=36)


@pytest.mark.parametrize(
    ("label", "threshold", "undefined"),
    [
        ([0.0, 1.0], 0.99, {"precision"}),
        ([0.0, 0.0], 0.99, {"precision", "recall", "pr_auc", "roc_auc"}),
        ([1.0, 1.0], 0.0, {"roc_auc"}),
        (
            [np.nan, np.nan],
            0.5,
            {"base_rate", "long_share", "precision", "recall", "pr_auc", "roc_auc", "brier", "log_loss"},
        ),
    ],
)
def test_undefined_scores_are_none(label, threshold, undefined):
    scores = evaluate(np.array([0.2, 0.6]), np.array(label), threshold=threshold, horizon=36)
    assert {name for name, value in scores.as_dict().items() if value is None} == undefined


def test_a_certain_mistake_has_a_finite_log_loss():
    scores = evaluate(np.array([0.0, 1.0]), np.array([1.0, 1.0]), threshold=0.5, horizon=1)
    assert scores.log_loss == pytest.approx(-np.log(1e-15) / 2)


def test_scores_are_plain_numbers():
    probability, label = random_case(2)
    scores = evaluate(probability.astype(np.float32), label, threshold=np.float32(0.5), horizon=36)
    assert json.loads(json.dumps(scores.as_dict())) == scores.as_dict()


@pytest.mark.parametrize(
    ("probability", "label", "horizon", "error", "message"),
    [
        ([0.5, 0.5], [1.0], 36, CallError, r"must be \(n,\) both"),
        ([0.5], [1.0], 0, CallError, "horizon is 0"),
        ([np.nan], [1.0], 36, DataError, "outside 0..1"),
        ([1.1], [1.0], 36, DataError, "outside 0..1"),
        ([0.5], [2.0], 36, DataError, "neither 0, 1|neither 0 nor 1"),
    ],
)
def test_what_cannot_be_scored_is_refused(probability, label, horizon, error, message):
    with pytest.raises(error, match=message):
        evaluate(np.array(probability), np.array(label), threshold=0.5, horizon=horizon)


@given(st.lists(st.tuples(st.integers(0, 20), st.booleans()), min_size=2, max_size=60))
def test_threshold_calls_no_more_rows_long_than_have_label_1(pairs):
    probability = np.array([p / 20 for p, _ in pairs])
    label = np.array([float(is_one) for _, is_one in pairs])
    if 0 < label.sum() < len(label):
        n_long = (probability > choose_threshold(probability, label)).sum()
        assert n_long <= label.sum()
        if len(set(probability)) == len(probability):
            assert n_long == label.sum()


def test_threshold_of_equal_probabilities_calls_none_long():
    probability, label = np.full(10, 0.4), np.r_[np.ones(9), 0.0]
    scores = evaluate(probability, label, threshold=choose_threshold(probability, label), horizon=1)
    assert scores.long_share == 0


def test_threshold_looks_at_ranks_only():
    probability, label = random_case(3)
    chosen = probability > choose_threshold(probability, label)
    squared = probability**2 > choose_threshold(probability**2, label)
    np.testing.assert_array_equal(chosen, squared)


def test_threshold_ignores_rows_without_a_label():
    probability, label = random_case(4)
    unknown = choose_threshold(np.r_[probability, 0.5], np.r_[label, np.nan])
    assert unknown == choose_threshold(probability, label)


def test_threshold_needs_both_labels():
    with pytest.raises(DataError, match="needs both labels, got 0 ones in 4 rows"):
        choose_threshold(PROBABILITY, np.zeros(4))
