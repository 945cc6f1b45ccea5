import numpy as np
import pytest
from scipy.special import expit, logit
from sklearn.base import clone

from mmf.experts.graph_visionary import GraphVisionary
from mmf.experts.head import LogisticHead
from mmf.experts.protocol import JoinedExpert, Session
from mmf.experts.trend import TrendExpert
from mmf.scheduler import Effort
from tests.experts.synthetic import planted


@pytest.mark.parametrize("n_estimators", [1, 7])
def test_effort_is_the_number_of_trees_and_a_stump_has_three_nodes(n_estimators):
    expert = TrendExpert(max_leaf_nodes=2).fit(*planted(1_000), effort=Effort(n_estimators, 1))
    assert expert.boosting_.n_iter_ == n_estimators
    assert expert.vital_signs() == {"trend_expert_nodes": 3 * n_estimators}


def test_no_rows_are_held_out_even_where_scikit_learn_would():
    X, y = planted(10_500)
    expert = TrendExpert().fit(X, y, effort=Effort(2, 1))
    assert len(expert.boosting_.validation_score_) == 0


def test_seed_draws_the_columns_of_a_split():
    X, y = planted(2_000, n_columns=20)
    fit = lambda seed: TrendExpert(seed=seed).fit(X, y, effort=Effort(5, 1)).predict_proba(X)  # noqa: E731
    np.testing.assert_array_equal(fit(3), fit(3))
    assert (fit(3) != fit(4)).any()


@pytest.fixture(scope="module")
def joined():
    expert = TrendExpert(graph=GraphVisionary(hidden=8, learning_rate=1e-2), min_samples_leaf=20)
    return expert.fit(*planted(1_500), effort=Effort(10, 4))


def test_its_parts_are_boosting_and_the_graph_alone(joined):
    X, y = planted(1_500)
    effort = Effort(10, 4)
    boosting = TrendExpert(min_samples_leaf=20).fit(X, y, effort=effort)
    there = np.ones((1_500, 1), bool)
    graph = clone(joined.graph).fit(X[:, None], y[:, None], present=there, effort=effort)
    parts = joined.parts(X)
    assert joined.part_names == ("boosting", "graph")
    np.testing.assert_allclose(expit(parts[:, 0]), boosting.predict_proba(X))
    np.testing.assert_allclose(expit(parts[:, 1]), graph.predict_proba(X[:, None], present=there)[:, 0])
    assert joined.history_ == graph.history_


def test_the_head_averages_logits_until_it_is_fitted(joined):
    X, _ = planted(300, seed=1)
    parts = joined.parts(X)
    np.testing.assert_allclose(logit(joined.predict_proba(X)), parts.mean(axis=1), atol=1e-12)
    other = clone(joined)
    other.boosting_, other.graph_, other.head_ = joined.boosting_, joined.graph_, LogisticHead((1.5, -0.5), 0.25)
    np.testing.assert_allclose(logit(other.predict_proba(X)), 1.5 * parts[:, 0] - 0.5 * parts[:, 1] + 0.25, atol=1e-9)


def test_a_joined_expert_counts_nodes_graph_and_head(joined):
    assert isinstance(joined, JoinedExpert)
    assert joined.context_bars == 15
    assert TrendExpert().context_bars == 0
    signs = joined.vital_signs()
    assert set(signs) == {"trend_expert_nodes", "graph_params", "trend_head_params"}
    assert signs["trend_head_params"] == 3
    assert signs["graph_params"] == joined.graph_.vital_signs()["graph_params"]


def test_boosting_learns_from_the_rows_by_which_the_graph_stops():
    X, y = planted(900)
    held = np.arange(900) >= 800
    fit = lambda label: TrendExpert(graph=GraphVisionary(hidden=4), min_samples_leaf=20).fit(  # noqa: E731
        X, label, effort=Effort(5, 2), session=Session(stop_on=held)
    )
    plain, turned = fit(y), fit(np.where(held, 1 - y, y))
    assert [r.loss for r in plain.history_] == [r.loss for r in turned.history_]
    assert (plain.parts(X)[:, 0] != turned.parts(X)[:, 0]).any()


def test_what_was_passed_in_stays_unfitted():
    graph = GraphVisionary(hidden=4)
    expert = TrendExpert(graph=graph).fit(*planted(500), effort=Effort(2, 1))
    assert not hasattr(graph, "network_")
    assert expert.graph is graph
