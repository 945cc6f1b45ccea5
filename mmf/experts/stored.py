"""Fitted experts as files: scikit-learn models by skops under a fixed list of types, networks as safetensors."""

import io
import json
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any, TypeVar

import safetensors
import safetensors.torch
import skops.io
from sklearn.ensemble import HistGradientBoostingClassifier

from mmf.errors import DataError
from mmf.experts.graph_visionary import GraphVisionary
from mmf.experts.head import LogisticHead
from mmf.experts.neural import NeuralExpert
from mmf.experts.protocol import EpochRecord, Expert
from mmf.experts.range import RangeExpert
from mmf.experts.stress import StressExpert
from mmf.experts.temporal_cnn import TemporalCNN
from mmf.experts.trend import TrendExpert

Network = TypeVar("Network", bound=NeuralExpert)
Model = TypeVar("Model")

# What a stored scikit-learn model may be made of: (module, class, how skops reads it). Everything else is
# refused, the types that skops itself trusts included.
BUILT_OF = frozenset(
    {
        ("builtins", "dict", "DictNode"),
        ("builtins", "list", "ListNode"),
        ("builtins", "tuple", "TupleNode"),
        ("builtins", "str", "JsonNode"),
        ("builtins", "str", "TypeNode"),
        ("builtins", "float", "TypeNode"),
        ("numpy", "float64", "NdArrayNode"),
        ("numpy", "ndarray", "NdArrayNode"),
        ("numpy", "uint64", "NdArrayNode"),
        ("numpy.random._generator", "Generator", "RandomGeneratorNode"),
        ("sklearn._loss._loss", "CyHalfBinomialLoss", "LossNode"),
        ("sklearn._loss.link", "Interval", "ObjectNode"),
        ("sklearn._loss.link", "LogitLink", "ObjectNode"),
        ("sklearn._loss.loss", "HalfBinomialLoss", "ObjectNode"),
        ("sklearn.ensemble._hist_gradient_boosting.binning", "_BinMapper", "ObjectNode"),
        (
            "sklearn.ensemble._hist_gradient_boosting.gradient_boosting",
            "HistGradientBoostingClassifier",
            "ObjectNode",
        ),
        ("sklearn.ensemble._hist_gradient_boosting.predictor", "TreePredictor", "ObjectNode"),
        ("sklearn.linear_model._logistic", "LogisticRegression", "ObjectNode"),
        ("sklearn.neighbors._classification", "KNeighborsClassifier", "ObjectNode"),
        ("sklearn.preprocessing._data", "StandardScaler", "ObjectNode"),
        ("sklearn.preprocessing._label", "LabelEncoder", "ObjectNode"),
        *((kind.__module__, kind.__qualname__, "ObjectNode") for kind in (RangeExpert, StressExpert)),
    }
)


def expert_files(expert: Expert, /) -> dict[str, bytes]:
    """Return a fitted expert of the registry as files by name; none of them runs code when it is read.

    scikit-learn models are in the skops format, which holds data and type names only, networks in that of
    safetensors, settings and epochs in JSON.
    """
    match expert:
        case TrendExpert():
            settings: dict[str, Any] = {"parameters": _shallow(expert), "head": asdict(expert.head_), "graph": None}
            files = {"boosting.skops": skops.io.dumps(expert.boosting_)}
            if expert.graph_ is not None:
                settings["graph"] = _network_settings(expert.graph_)
                files["graph.safetensors"] = safetensors.torch.save(expert.graph_.state())
            return files | {"settings.json": _json(settings)}
        case TemporalCNN():
            tensors = safetensors.torch.save(expert.state())
            return {"network.safetensors": tensors, "settings.json": _json(_network_settings(expert))}
        case _:
            return {"expert.skops": skops.io.dumps(expert)}


def expert_from_files(kind: str, files: Mapping[str, bytes], /) -> Expert:
    """Return the expert that `expert_files` was given; its predictions are the same to the last bit.

    No code of the files' choosing runs. The numbers themselves are taken as they are: an altered file
    with a fitting checksum may predict anything, or end the process.

    Parameters
    ----------
    kind : str
        The expert's name in the registry.
    files : mapping of str to bytes
        By the names that `expert_files` gave.

    Raises
    ------
    DataError
        A file is absent or not readable, names a type that is not in `BUILT_OF`, or does not hold what it should.
    """
    try:
        match kind:
            case "trend":
                return _trend(files)
            case "cnn":
                return _network(TemporalCNN, json.loads(files["settings.json"]), files["network.safetensors"])
            case "range":
                return _read(files["expert.skops"], RangeExpert)
            case "stress":
                return _read(files["expert.skops"], StressExpert)
    except (zipfile.BadZipFile, safetensors.SafetensorError, KeyError, ValueError, TypeError, AttributeError) as error:
        raise DataError(f"a stored {kind} expert is not readable: {error!r}. Train the model again.") from error
    raise DataError(f"a stored expert is of the unknown kind {kind!r}. Train the model again.")


# ------------------------------------------------------------------------------------

# Those of BUILT_OF that skops does not know
_TRUSTED = [
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    *(f"{kind.__module__}.{kind.__qualname__}" for kind in (RangeExpert, StressExpert)),
]


def _trend(files: Mapping[str, bytes]) -> TrendExpert:
    settings = json.loads(files["settings.json"])
    graph, head = settings["graph"], settings["head"]
    expert = TrendExpert(**settings["parameters"])
    expert.graph_ = None if graph is None else _network(GraphVisionary, graph, files["graph.safetensors"])
    expert.graph = None if expert.graph_ is None else GraphVisionary(**expert.graph_.get_params())
    expert.boosting_ = _read(files["boosting.skops"], HistGradientBoostingClassifier)
    expert.head_ = LogisticHead(tuple(float(weight) for weight in head["weights"]), float(head["bias"]))
    if len(expert.head_.weights) != len(expert.part_names):
        raise ValueError(f"its head has {len(expert.head_.weights)} weights")
    return expert


def _network(kind: type[Network], settings: Mapping[str, Any], tensors: bytes) -> Network:
    network = kind(**settings["parameters"]).restore(safetensors.torch.load(tensors))
    network.history_ = tuple(EpochRecord(**record) for record in settings["epochs"])
    network.device_ = str(settings["device"])
    return network


def _network_settings(network: NeuralExpert) -> dict[str, Any]:
    epochs = [asdict(record) for record in network.history_]
    return {"parameters": network.get_params(), "epochs": epochs, "device": network.device_}


def _shallow(expert: TrendExpert) -> dict[str, Any]:
    parameters = expert.get_params(deep=False)
    del parameters["graph"]
    return parameters


def _json(settings: Mapping[str, Any]) -> bytes:
    return json.dumps(settings, sort_keys=True, indent=1, allow_nan=False).encode()


def _read(data: bytes, kind: type[Model]) -> Model:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        schema = json.loads(archive.read("schema.json"))
    _check_types(schema, data)
    model = skops.io.loads(data, trusted=_TRUSTED)
    if type(model) is not kind:
        raise DataError(f"a stored {kind.__name__} is a {type(model).__name__}. Train the model again.")
    return model


def _check_types(schema: Any, data: bytes) -> None:
    foreign = {f"{module}.{kind}" for module, kind, _ in set(_nodes(schema)) - BUILT_OF}
    foreign |= set(skops.io.get_untrusted_types(data=data)) - set(_TRUSTED)
    if foreign:
        raise DataError(
            f"a stored expert is built of {', '.join(sorted(foreign))}, which no model of MMF holds. "
            "Do not use this file; train the model again."
        )


def _nodes(schema: Any) -> Iterator[tuple[str, str, str]]:
    """Walk a skops schema: (module, class, loader) of each object."""
    if isinstance(schema, dict):
        if "__class__" in schema or "__loader__" in schema:
            yield str(schema.get("__module__")), str(schema.get("__class__")), str(schema.get("__loader__"))
        schema = list(schema.values())
    if isinstance(schema, list):
        for part in schema:
            yield from _nodes(part)
