"""What every expert of the registry keeps."""

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.metrics import roc_auc_score
from threadpoolctl import threadpool_limits

from mmf.errors import CallError
from mmf.experts.protocol import Session
from mmf.experts.registry import EXPERTS, build_experts
from mmf.scheduler import Effort
from tests.experts.synthetic import planted

EFFORT = Effort(n_estimators=20, epochs=5)
NEURAL = {"trend": {"graph__learning_rate": 1e-2}, "cnn": {"channels": 16, "learning_rate": 5e-3, "segment_bars": 200}}


@pytest.fixture(params=sorted(EXPERTS))
def expert(request):
    return build_experts([request.param])[request.param].set_params(**NEURAL.get(request.param, {}))


def own_params(expert):
    return set(expert.get_params(deep=False))


def test_registry_knows_each_expert_by_its_own_name():
    assert list(EXPERTS) == ["trend", "range", "stress", "cnn"]
    assert all(name == expert.name for name, expert in build_experts().items())


def test_unknown_expert_is_refused():
    with pytest.raises(CallError, match=r"'oracle' is unknown. Use some of trend, range, stress, cnn"):
        build_experts(["trend", "oracle"])


def test_init_only_stores_and_clone_forgets_what_was_learned(expert):
    assert set(vars(expert)) == own_params(expert)
    fitted = clone(expert).fit(*planted(500), effort=EFFORT)
    assert set(vars(clone(fitted))) == own_params(expert)
    assert all(name.endswith("_") for name in set(vars(fitted)) - own_params(expert))


def test_predicts_float64_probabilities_and_finds_a_planted_signal(expert):
    assert expert.fit(*planted(2_000), effort=Effort(n_estimators=20, epochs=12)) is expert
    X, y = planted(1_000, seed=1)
    probability = expert.predict_proba(X)
    assert probability.shape == (1_000,)
    assert probability.dtype == np.float64
    assert probability.min() >= 0
    assert probability.max() <= 1
    assert roc_auc_score(y, probability) > 0.85


def test_a_row_is_predicted_by_itself_and_its_context(expert):
    expert.fit(*planted(1_000), effort=EFFORT)
    X, _ = planted(expert.context_bars + 50, seed=1)
    ends = range(expert.context_bars, len(X))
    alone = [expert.predict_proba(X[i - expert.context_bars : i + 1])[-1] for i in ends]
    np.testing.assert_allclose(alone, expert.predict_proba(X)[expert.context_bars :], rtol=1e-5)


def test_epochs_are_told_and_recorded_by_those_that_have_them(expert):
    told = []
    session = Session(on_epoch=lambda name, record: told.append((name, record)))
    expert.fit(*planted(600), effort=Effort(n_estimators=2, epochs=3), session=session)
    assert tuple(record for _, record in told) == expert.history_
    assert {name for name, _ in told} == {"trend": {"graph"}, "cnn": {"cnn"}}.get(expert.name, set())
    assert len(expert.history_) == (3 if expert.context_bars else 0)


@pytest.mark.parametrize("expert", ["trend", "cnn"], indirect=True)
def test_rows_that_are_context_only_are_not_learned_from(expert):
    X, y = planted(900)
    unknown = np.where(np.arange(900) % 3 == 0, np.nan, y)
    shifted = X + np.where(np.isnan(unknown), 50, 0)[:, None].astype(np.float32)
    scale_of = lambda fitted: fitted.standardiser_ if expert.name == "cnn" else fitted.graph_.standardiser_  # noqa: E731
    plain, moved = (scale_of(clone(expert).fit(x, unknown, effort=Effort(2, 1))) for x in (X, shifted))
    np.testing.assert_array_equal(plain.mean, moved.mean)


def test_vital_signs_are_counts(expert):
    signs = expert.fit(*planted(500), effort=EFFORT).vital_signs()
    assert signs
    assert all(isinstance(count, int) and count > 0 for count in signs.values())


def test_same_bits_whatever_the_number_of_threads(expert):
    n_rows = 1_500 if expert.context_bars else 6_000
    X, y = planted(n_rows, n_columns=100)  # enough for BLAS to share a product among threads
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
