"""What every expert of the registry keeps."""

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.metrics import roc_auc_score
from threadpoolctl import threadpool_limits

from mmf.errors import CallError
from mmf.experts.registry import EXPERTS, build_experts
from mmf.scheduler import Effort
from tests.experts.synthetic import planted

EFFORT = Effort(n_estimators=20, epochs=5)


@pytest.fixture(params=sorted(EXPERTS))
def expert(request):
    return build_experts([request.param])[request.param]


def test_registry_knows_each_expert_by_its_own_name():
    assert list(EXPERTS) == ["trend", "range", "stress"]
    assert all(name == expert.name for name, expert in build_experts().items())


def test_unknown_expert_is_refused():
    with pytest.raises(CallError, match=r"'oracle' is unknown. Use some of trend, range, stress"):
        build_experts(["trend", "oracle"])


def test_init_only_stores_and_clone_forgets_what_was_learned(expert):
    assert set(vars(expert)) == set(expert.get_params())
    fitted = clone(expert).fit(*planted(500), effort=EFFORT)
    assert set(vars(clone(fitted))) == set(expert.get_params())
    assert all(name.endswith("_") for name in set(vars(fitted)) - set(expert.get_params()))


def test_predicts_float64_probabilities_and_finds_a_planted_signal(expert):
    assert expert.fit(*planted(2_000), effort=EFFORT) is expert
    X, y = planted(1_000, seed=1)
    probability = expert.predict_proba(X)
    assert probability.shape == (1_000,)
    assert probability.dtype == np.float64
    assert probability.min() >= 0
    assert probability.max() <= 1
    assert roc_auc_score(y, probability) > 0.85


def test_a_row_is_predicted_by_itself(expert):
    expert.fit(*planted(1_000), effort=EFFORT)
    X, _ = planted(50, seed=1)
    alone = np.concatenate([expert.predict_proba(X[i : i + 1]) for i in range(len(X))])
    np.testing.assert_allclose(alone, expert.predict_proba(X), rtol=1e-6)


def test_same_bits_whatever_the_number_of_threads(expert):
    X, y = planted(6_000, n_columns=100)  # enough for BLAS to share a product among threads
    results = []
    for n_threads in (1, 2):
        with threadpool_limits(n_threads):
            results.append(clone(expert).fit(X, y, effort=EFFORT).predict_proba(X[:700]))
    np.testing.assert_array_equal(*results)


def test_inputs_are_not_written_to(expert):
    X, y = planted(500)
    before = X.copy(), y.copy()
    expert.fit(X, y, effort=EFFORT).predict_proba(X)
    np.testing.assert_array_equal(X, before[0])
    np.testing.assert_array_equal(y, before[1])


def test_scaled_experts_do_not_mind_the_unit_of_a_column():
    X, y = planted(1_000)
    rescaled = X * np.float32(1024) + np.float32(8)
    for name in ("range", "stress"):
        plain = EXPERTS[name]().fit(X, y, effort=EFFORT).predict_proba(X[:100] + 0.1)
        other = EXPERTS[name]().fit(rescaled, y, effort=EFFORT).predict_proba((X[:100] + 0.1) * 1024 + 8)
        np.testing.assert_allclose(plain, other, atol=2e-3)
