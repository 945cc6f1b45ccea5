import io
import pickle
import zipfile

import numpy as np
import pytest
import skops.io
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from mmf.errors import DataError
from mmf.experts.registry import EXPERTS
from mmf.experts.stored import BUILT_OF, expert_from_bytes, expert_to_bytes
from mmf.scheduler import Effort
from tests.experts.synthetic import planted


@pytest.mark.parametrize("name", sorted(EXPERTS))
def test_round_trip_predicts_the_same_bits(name):
    X, y = planted(600)
    expert = EXPERTS[name]().fit(X, y, effort=Effort(10, 1))
    again = expert_from_bytes(expert_to_bytes(expert))
    query, _ = planted(200, seed=1)
    np.testing.assert_array_equal(again.predict_proba(query), expert.predict_proba(query))
    assert again.get_params() == expert.get_params()
    assert again.n_parameters() == expert.n_parameters()


def test_a_type_that_skops_itself_trusts_is_refused_all_the_same():
    data = skops.io.dumps(FunctionTransformer(np.sqrt))
    assert skops.io.get_untrusted_types(data=data) == []
    with pytest.raises(DataError, match=r"built of .*FunctionTransformer, which no model of MMF holds"):
        expert_from_bytes(data)


def test_an_unknown_type_inside_an_expert_is_refused():
    expert = EXPERTS["range"](n_neighbors=io.BytesIO)
    with pytest.raises(DataError, match=r"built of _io.BytesIO"):
        expert_from_bytes(skops.io.dumps(expert))


def test_a_listed_type_read_in_another_way_is_refused():
    data = expert_to_bytes(EXPERTS["range"]())
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        schema = archive.read("schema.json").replace(b'"ObjectNode"', b'"FunctionNode"')
    altered = io.BytesIO()
    with zipfile.ZipFile(altered, "w") as archive:
        archive.writestr("schema.json", schema)
    with pytest.raises(DataError, match="RangeExpert, which no model of MMF holds"):
        expert_from_bytes(altered.getvalue())


def test_a_listed_type_that_is_no_expert_is_refused():
    assert ("sklearn.preprocessing._data", "StandardScaler", "ObjectNode") in BUILT_OF
    with pytest.raises(DataError, match="a stored expert is a StandardScaler"):
        expert_from_bytes(skops.io.dumps(StandardScaler()))


@pytest.mark.parametrize("data", [pickle.dumps({"a": 1}), b"", expert_to_bytes(EXPERTS["stress"]())[:200]])
def test_bytes_that_are_no_skops_file_are_refused(data):
    with pytest.raises(DataError, match="not readable"):
        expert_from_bytes(data)
