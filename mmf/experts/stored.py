"""Fitted experts as bytes, read back under a fixed list of types."""

import io
import json
import zipfile
from collections.abc import Iterator
from typing import Any

import skops.io

from mmf.errors import DataError
from mmf.experts.protocol import Expert
from mmf.experts.registry import EXPERTS

# What a stored expert may be made of: (module, class, how skops reads it). Everything else is
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
        *((kind.__module__, kind.__qualname__, "ObjectNode") for kind in EXPERTS.values()),
    }
)


def expert_to_bytes(expert: Expert, /) -> bytes:
    """Return a fitted expert of the registry in the skops format, which holds data and type names only."""
    return skops.io.dumps(expert)


def expert_from_bytes(data: bytes, /) -> Expert:
    """Return the expert that `expert_to_bytes` was given; its predictions are the same to the last bit.

    No code of the file's choosing runs. The numbers themselves are taken as they are: an altered file
    with a fitting checksum may predict anything, or end the process.

    Raises
    ------
    DataError
        The bytes are not a skops file, name a type that is not in `BUILT_OF`, or hold no expert.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            schema = json.loads(archive.read("schema.json"))
        _check_types(schema, data)
        expert = skops.io.loads(data, trusted=_TRUSTED)
    except (zipfile.BadZipFile, KeyError, ValueError, TypeError, AttributeError) as error:
        raise DataError(f"a stored expert is not readable: {error!r}. Train the model again.") from error
    if type(expert) not in EXPERTS.values():
        raise DataError(f"a stored expert is a {type(expert).__name__}. Train the model again.")
    return expert


# ------------------------------------------------------------------------------------

# Those of BUILT_OF that skops does not know
_TRUSTED = [
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    *(f"{kind.__module__}.{kind.__qualname__}" for kind in EXPERTS.values()),
]


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
