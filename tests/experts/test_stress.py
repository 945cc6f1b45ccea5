import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from mmf.experts.stress import StressExpert
from mmf.scheduler import Effort
from tests.experts.synthetic import planted


def test_double_cost_is_as_if_each_row_of_label_0_came_twice():
    X, y = planted(800)
    expert = StressExpert().fit(X, y, effort=Effort())
    scaled = (X - X.mean(axis=0, dtype=np.float64)) / X.std(axis=0, dtype=np.float64)
    twice = np.concatenate([scaled, scaled[y == 0]]), np.concatenate([y, y[y == 0]])
    plain = LogisticRegression(C=0.03, max_iter=2_000, tol=1e-8).fit(*twice)
    np.testing.assert_allclose(expert.predict_proba(X), plain.predict_proba(scaled)[:, 1], atol=1e-3)


def test_the_odds_of_a_long_are_about_halved():
    X, y = planted(4_000)
    y = np.random.default_rng(5).permutation(y)  # nothing to learn but the base rate
    odds = {}
    for cost in (1.0, 2.0):
        p = StressExpert(false_long_cost=cost).fit(X, y, effort=Effort()).predict_proba(X).mean()
        odds[cost] = p / (1 - p)
    assert odds[2.0] / odds[1.0] == pytest.approx(0.5, abs=0.02)


def test_coefficients_and_intercept_are_counted():
    assert StressExpert().fit(*planted(200, n_columns=7), effort=Effort()).vital_signs() == {"stress_coefficients": 8}
