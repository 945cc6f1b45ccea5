import numpy as np
import pytest

from mmf.experts.trend import TrendExpert
from mmf.scheduler import Effort
from tests.experts.synthetic import planted


@pytest.mark.parametrize("n_estimators", [1, 7])
def test_effort_is_the_number_of_trees_and_a_stump_has_three_nodes(n_estimators):
    expert = TrendExpert(max_leaf_nodes=2).fit(*planted(1_000), effort=Effort(n_estimators, 1))
    assert expert.boosting_.n_iter_ == n_estimators
    assert expert.n_parameters() == 3 * n_estimators


def test_no_rows_are_held_out_even_where_scikit_learn_would():
    X, y = planted(10_500)
    expert = TrendExpert().fit(X, y, effort=Effort(2, 1))
    assert len(expert.boosting_.validation_score_) == 0


def test_seed_draws_the_columns_of_a_split():
    X, y = planted(2_000, n_columns=20)
    fit = lambda seed: TrendExpert(seed=seed).fit(X, y, effort=Effort(5, 1)).predict_proba(X)  # noqa: E731
    np.testing.assert_array_equal(fit(3), fit(3))
    assert (fit(3) != fit(4)).any()
