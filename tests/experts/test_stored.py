import io
import json
import pickle
import zipfile

import numpy as np
import pytest
import safetensors.torch
import skops.io
import torch
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from mmf.errors import DataError
from mmf.experts.head import LogisticHead
from mmf.experts.range import RangeExpert
from mmf.experts.registry import EXPERTS
from mmf.experts.stored import BUILT_OF, expert_files, expert_from_files
from mmf.experts.stress import StressExpert
from mmf.experts.trend import TrendExpert
from mmf.scheduler import Effort
from tests.experts.synthetic import planted

SMALL = {"trend": {"graph__hidden": 4}, "cnn": {"channels": 8}}


def fitted(name):
    X, y = planted(600)
    return EXPERTS[name]().set_params(**SMALL.get(name, {})).fit(X, y, effort=Effort(10, 2))


@pytest.fixture(scope="module")
def files():
    return {name: expert_files(fitted(name)) for name in EXPERTS}


@pytest.mark.parametrize("name", sorted(EXPERTS))
def test_round_trip_predicts_the_same_bits(name):
    expert = fitted(name)
    if name == "trend":
        expert.head_ = LogisticHead((0.1 + 0.2, 0.9), -1 / 3)
    again = expert_from_files(name, expert_files(expert))
    query, _ = planted(400, seed=1)
    np.testing.assert_array_equal(again.predict_proba(query), expert.predict_proba(query))
    assert repr(again.get_params()) == repr(expert.get_params())
    assert again.vital_signs() == expert.vital_signs()
    assert again.history_ == expert.history_
    assert expert_files(again).keys() == expert_files(expert).keys()


def test_boosting_alone_comes_back_alone():
    X, y = planted(600)
    expert = TrendExpert().fit(X, y, effort=Effort(10, 1))
    files = expert_files(expert)
    assert set(files) == {"boosting.skops", "settings.json"}
    again = expert_from_files("trend", files)
    assert again.graph is again.graph_ is None
    np.testing.assert_array_equal(again.predict_proba(X), expert.predict_proba(X))


def test_no_file_is_a_pickle(files):
    for name, data in (item for expert in files.values() for item in expert.items()):
        assert not data.startswith(b"\x80")
        assert name.endswith((".json", ".skops", ".safetensors"))


def test_a_type_that_skops_itself_trusts_is_refused_all_the_same():
    data = skops.io.dumps(FunctionTransformer(np.sqrt))
    assert skops.io.get_untrusted_types(data=data) == []
    with pytest.raises(DataError, match=r"built of .*FunctionTransformer, which no model of MMF holds"):
        expert_from_files("range", {"expert.skops": data})


def test_an_unknown_type_inside_an_expert_is_refused():
    expert = RangeExpert(n_neighbors=io.BytesIO)
    with pytest.raises(DataError, match=r"built of _io.BytesIO"):
        expert_from_files("range", {"expert.skops": skops.io.dumps(expert)})


def test_a_network_in_a_skops_file_is_refused():
    with pytest.raises(DataError, match="no model of MMF holds"):
        expert_from_files("range", {"expert.skops": skops.io.dumps(fitted("trend").graph_.standardiser_)})


def test_a_listed_type_read_in_another_way_is_refused():
    data = skops.io.dumps(RangeExpert())
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        schema = archive.read("schema.json").replace(b'"ObjectNode"', b'"FunctionNode"')
    altered = io.BytesIO()
    with zipfile.ZipFile(altered, "w") as archive:
        archive.writestr("schema.json", schema)
    with pytest.raises(DataError, match="RangeExpert, which no model of MMF holds"):
        expert_from_files("range", {"expert.skops": altered.getvalue()})


@pytest.mark.parametrize(("kind", "part"), [("range", "expert.skops"), ("trend", "boosting.skops")])
def test_a_listed_type_that_is_not_the_expert_asked_for_is_refused(files, kind, part):
    assert ("sklearn.preprocessing._data", "StandardScaler", "ObjectNode") in BUILT_OF
    with pytest.raises(DataError, match="is a StandardScaler"):
        expert_from_files(kind, files[kind] | {part: skops.io.dumps(StandardScaler())})
    with pytest.raises(DataError, match="is a StressExpert"):
        expert_from_files(kind, files[kind] | {part: skops.io.dumps(StressExpert())})


@pytest.mark.parametrize("kind", sorted(EXPERTS))
def test_each_file_is_needed_and_read_for_what_it_is(files, kind):
    for part, data in files[kind].items():
        for spoiled in (pickle.dumps({"a": 1}), b"", data[: len(data) // 2]):
            with pytest.raises(DataError, match="not readable"):
                expert_from_files(kind, files[kind] | {part: spoiled})
        rest = {name: data for name, data in files[kind].items() if name != part}
        with pytest.raises(DataError, match="not readable"):
            expert_from_files(kind, rest)


@pytest.mark.parametrize(
    "change",
    [
        {"parameters": {"channels": 16}},
        {"parameters": {"channels": 8, "layers": 3}},
        {"epochs": [{"epoch": 1}]},
        {"epochs": None},
    ],
)
def test_settings_of_a_network_that_do_not_fit_are_refused(files, change):
    settings = json.dumps(json.loads(files["cnn"]["settings.json"]) | change).encode()
    with pytest.raises(DataError, match=r"not fit its settings|not readable"):
        expert_from_files("cnn", files["cnn"] | {"settings.json": settings})


def test_a_head_of_other_parts_is_refused(files):
    settings = json.loads(files["trend"]["settings.json"])
    settings["head"]["weights"] = [1.0]
    with pytest.raises(DataError, match="its head has 1 weights"):
        expert_from_files("trend", files["trend"] | {"settings.json": json.dumps(settings).encode()})


def test_tensors_of_another_network_are_refused(files):
    foreign = safetensors.torch.save({"mean": torch.zeros(5), "scale": torch.ones(5)})
    with pytest.raises(DataError, match="does not fit its settings"):
        expert_from_files("cnn", files["cnn"] | {"network.safetensors": foreign})


def test_an_unknown_kind_is_refused(files):
    with pytest.raises(DataError, match="unknown kind 'oracle'"):
        expert_from_files("oracle", files["range"])
