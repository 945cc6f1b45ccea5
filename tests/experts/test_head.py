import numpy as np
import pytest
from scipy.special import expit

from mmf.experts.head import LogisticHead, logits_of

LOGITS = np.random.default_rng(0).normal(size=(500, 2))


def test_it_is_the_sigmoid_of_an_affine_map():
    told = LogisticHead((0.7, -0.2), 0.1).probability(LOGITS)
    np.testing.assert_allclose(told, expit(LOGITS @ [0.7, -0.2] + 0.1))


@pytest.mark.parametrize("n_parts", [1, 2, 3])
def test_equal_weights_average(n_parts):
    logits = np.resize(LOGITS, (200, n_parts))
    np.testing.assert_allclose(LogisticHead.equal(n_parts).probability(logits), expit(logits.mean(axis=1)))


def test_a_row_is_answered_by_itself_to_the_last_bit():
    head = LogisticHead((0.7, -0.2), 0.1)
    alone = np.concatenate([head.probability(LOGITS[i : i + 1]) for i in range(500)])
    np.testing.assert_array_equal(alone, head.probability(LOGITS))


def test_a_head_of_other_parts_is_refused():
    with pytest.raises(ValueError, match="zip"):
        LogisticHead.equal(3).probability(LOGITS)


def test_logits_of_certainties_are_finite():
    np.testing.assert_allclose(expit(logits_of(np.array([0.0, 0.3, 1.0]))), [0.0, 0.3, 1.0], atol=1e-5)
