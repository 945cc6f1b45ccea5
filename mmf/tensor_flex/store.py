"""Fitted refineries on disk, in formats that run no code when read."""

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import safetensors
import safetensors.numpy
from sklearn.utils.validation import check_is_fitted

from mmf.errors import CallError, DataError
from mmf.model_files import read_files, write_files
from mmf.tensor_flex.identity import ArtifactIdentity
from mmf.tensor_flex.refinery import TensorFlex
from mmf.tensor_flex.tables import TABLES


@dataclass(frozen=True)
class StoredTensorFlex:
    """What `load` returns.

    Attributes
    ----------
    flex : TensorFlex
        Fitted; transforms as the saved one did, to the last bit.
    identity : ArtifactIdentity
        What it was fitted on.
    """

    flex: TensorFlex
    identity: ArtifactIdentity


def save(flex: TensorFlex, folder: Path, /, *, identity: ArtifactIdentity) -> None:
    """Write a fitted refinery into a folder of its own, in one step replacing the one that may be there.

    Numbers go into safetensors, tables into Parquet, the rest into JSON.

    Raises
    ------
    DataError
        The folder holds files that are not a model's.
    """
    check_is_fitted(flex)
    settings = {
        "parameters": flex.get_params() | {"bypass": list(flex.bypass)},
        "identity": identity.as_dict(),
    } | {name: list(getattr(flex, name)) for name in _NAMES}
    contents = {
        "tensor_flex.json": json.dumps(settings, sort_keys=True, indent=1, allow_nan=False).encode(),
        "tensor_flex.safetensors": safetensors.numpy.save({name: getattr(flex, name) for name in _ARRAYS}),
    }
    write_files(folder, contents | {f"{name}.parquet": _parquet(getattr(flex, f"{name}_")) for name in TABLES})


def load(folder: Path, /) -> StoredTensorFlex:
    """Read a refinery that `save` wrote.

    Raises
    ------
    DataError
        See `mmf.model_files.read_files`; or the parts do not fit together.
    """
    files = read_files(folder)
    try:
        return _assemble(files)
    except _MALFORMED as error:
        raise DataError(f"the refinery in {folder} is not readable: {error!r}. Fit it again.") from error


# ------------------------------------------------------------------------------------

_NAMES = ("columns_", "refined_columns_", "constant_columns_")
_ARRAYS = ("median_", "mean_", "scale_", "weights_", "shifted_stable_")
_KINDS = (np.float32, np.float64, np.float64, np.float64, np.int64)
_MALFORMED = (
    KeyError,
    TypeError,
    ValueError,
    AttributeError,
    CallError,
    safetensors.SafetensorError,
    pl.exceptions.PolarsError,
)


def _assemble(files: Mapping[str, bytes]) -> StoredTensorFlex:
    settings: dict[str, Any] = json.loads(files["tensor_flex.json"])
    arrays = safetensors.numpy.load(files["tensor_flex.safetensors"])
    flex = TensorFlex(**settings["parameters"] | {"bypass": tuple(settings["parameters"]["bypass"])})
    for name in _NAMES:
        setattr(flex, name, tuple(settings[name]))
    for name, kind in zip(_ARRAYS, _KINDS, strict=True):
        setattr(flex, name, _checked(name, arrays[name], kind))
    for name in TABLES:
        setattr(flex, f"{name}_", pl.read_parquet(io.BytesIO(files[f"{name}.parquet"])))
    flex.n_features_in_ = len(flex.columns_)
    _check_fit(flex)
    return StoredTensorFlex(flex, ArtifactIdentity.from_dict(settings["identity"]))


def _checked(name: str, array: np.ndarray, kind: type) -> np.ndarray:
    if array.dtype != kind or not np.isfinite(array).all():
        raise DataError(f"{name} of the stored refinery is not finite {np.dtype(kind)}. Fit it again.")
    return np.ascontiguousarray(array)


def _check_fit(flex: TensorFlex) -> None:
    """Refuse parts that do not belong together: read by place, they would give wrong numbers and no error."""
    p, q = flex.weights_.shape
    are_columns = all(array.shape == (p,) for array in (flex.median_, flex.mean_, flex.scale_))
    are_names = {*flex.refined_columns_, *flex.bypass} <= set(flex.columns_) and len(flex.refined_columns_) == p
    if not (are_columns and are_names and flex.latents_.height == q and (flex.scale_ > 0).all()):
        raise DataError("the parts of the stored refinery do not fit together. Fit it again.")
    flex.names(flex.mode)  # refuses a mode that does not exist, and a table without its columns


def _parquet(table: pl.DataFrame) -> bytes:
    buffer = io.BytesIO()
    table.write_parquet(buffer)
    return buffer.getvalue()
