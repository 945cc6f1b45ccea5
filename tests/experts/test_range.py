import numpy as np
import pytest

from mmf.errors import DataError
from mmf.experts.range import RangeExpert
from mmf.scheduler import Effort
from tests.experts.synthetic import planted


def slow_neighbours(X, y, query, *, k):
    """Inverse-distance vote over the k nearest standardised rows, one query at a time."""
    mean, deviation = X.mean(axis=0, dtype=np.float64), X.std(axis=0, dtype=np.float64)
    stored = (X - mean) / deviation
    votes = []
    for row in (query - mean) / deviation:
        distance = np.sqrt(((stored - row) ** 2).sum(axis=1))
        nearest = np.argsort(distance)[:k]
        weight = 1 / distance[nearest]
        votes.append((weight * y[nearest]).sum() / weight.sum())
    return np.array(votes)


@pytest.mark.parametrize("k", [1, 15])
def test_equals_the_definition(k):
    X, y = planted(600)
    query, _ = planted(40, seed=1)
    expert = RangeExpert(n_neighbors=k).fit(X, y, effort=Effort())
    np.testing.assert_allclose(expert.predict_proba(query), slow_neighbours(X, y, query, k=k), atol=1e-5)


def test_an_exact_copy_of_a_stored_row_outvotes_the_rest():
    X, y = planted(300)
    expert = RangeExpert().fit(X, y, effort=Effort())
    np.testing.assert_array_equal(expert.predict_proba(X), y)


def test_memory_is_rows_times_columns():
    assert RangeExpert().fit(*planted(300, n_columns=7), effort=Effort()).vital_signs() == {"range_memory_units": 2_100}


def test_fewer_rows_than_neighbours():
    with pytest.raises(DataError, match="needs 15 rows to find as many neighbours, got 14"):
        RangeExpert().fit(*planted(14), effort=Effort())
