"""Fitted traders on disk, in formats that run no code when read."""

import io
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import safetensors
import safetensors.torch
from sklearn.base import clone

from mmf.calibration import PlattCalibration
from mmf.errors import CallError, DataError
from mmf.experts.stored import expert_files, expert_from_files
from mmf.gate import GatingNetwork
from mmf.impute import MedianImputer
from mmf.model_files import read_files, write_files
from mmf.trader import MoneyMachineTrader


@dataclass(frozen=True)
class StoredModel:
    """What `load` returns.

    Attributes
    ----------
    trader : MoneyMachineTrader
        Fitted; predicts what the saved one predicted, to the last bit.
    extra : dict
        What was handed to `save` beside it.
    """

    trader: MoneyMachineTrader
    extra: dict[str, Any]


def save(trader: MoneyMachineTrader, folder: Path, /, *, extra: Mapping[str, Any] | None = None) -> None:
    """Write a fitted trader into a folder of its own, in one step replacing the model that may be there.

    scikit-learn models are stored by skops, networks as safetensors, the tables of out-of-fold opinions
    and of epochs as Parquet, all else as JSON.

    Parameters
    ----------
    trader : MoneyMachineTrader
        Fitted, of experts in the registry.
    folder : Path
        Made where it does not exist.
    extra : mapping, optional
        JSON values kept beside the trader: configuration, threshold, definition hash.

    Raises
    ------
    CallError
        `extra` is not JSON.
    DataError
        The folder holds files that are not a model's.
    """
    contents = {
        "trader.json": _json(_settings(trader) | {"extra": dict(extra or {})}),
        "gate.safetensors": safetensors.torch.save(trader.gate_.state()),
        "out_of_fold.parquet": _parquet(trader.oof_),
        "epochs.parquet": _parquet(trader.epochs_),
    }
    for name, expert in trader.experts_.items():
        contents |= {_file_of(name, part): data for part, data in expert_files(expert).items()}
    write_files(folder, contents)


def load(folder: Path, /) -> StoredModel:
    """Read a trader that `save` wrote.

    Checksums find damage. What keeps a model made with intent from running code is that every file
    is data, and that scikit-learn objects are built from a fixed list of types.

    Raises
    ------
    DataError
        See `mmf.model_files.read_files` and `mmf.experts.stored.expert_from_files`.
    """
    files = read_files(folder)
    try:
        return _assemble(files)
    except _MALFORMED as error:
        raise DataError(f"the model in {folder} is not readable: {error!r}. Train it again.") from error


# ------------------------------------------------------------------------------------

_MALFORMED = (
    KeyError,
    TypeError,
    ValueError,
    AttributeError,
    CallError,
    safetensors.SafetensorError,
    pl.exceptions.PolarsError,
)


def _settings(trader: MoneyMachineTrader) -> dict[str, Any]:
    """All of a trader that is neither expert, tensor nor table."""
    medians = zip(trader.columns_, trader.imputer_.median_.tolist(), strict=True)
    empty = set(trader.imputer_.empty_columns_)
    return {
        "experts": [[name, expert.name] for name, expert in trader.experts_.items()],  # in the order of the gate
        "absent": trader.absent_,
        "symbols": list(trader.symbols_),
        "views": {view: list(columns) for view, columns in trader.views_.items()},
        "seed": trader.seed,
        "gate": trader.gate_.get_params(),
        "columns": list(trader.columns_),
        "medians": [None if name in empty else median for name, median in medians],
        "calibration": asdict(trader.calibration_),
    }


def _assemble(files: Mapping[str, bytes]) -> StoredModel:
    settings = json.loads(files["trader.json"])
    experts = {name: expert_from_files(kind, _files_of(name, files)) for name, kind in settings["experts"]}
    gate = GatingNetwork(**settings["gate"]).restore(safetensors.torch.load(files["gate.safetensors"]))
    unfitted = {name: clone(expert) for name, expert in experts.items()}
    trader = MoneyMachineTrader(experts=unfitted, gate=clone(gate), seed=settings["seed"])
    trader.columns_, trader.absent_ = tuple(settings["columns"]), dict(settings["absent"])
    trader.symbols_ = tuple(settings["symbols"])
    trader.views_ = {view: tuple(columns) for view, columns in settings["views"].items()}
    # the median of one row is that row, and a column without any number is NaN in it
    medians = np.array([settings["medians"]], dtype=np.float32)
    trader.imputer_ = MedianImputer().fit(medians, columns=trader.columns_)
    trader.experts_, trader.gate_ = experts, gate
    trader.calibration_ = PlattCalibration(**settings["calibration"])
    trader.oof_ = pl.read_parquet(io.BytesIO(files["out_of_fold.parquet"]))
    trader.epochs_ = pl.read_parquet(io.BytesIO(files["epochs.parquet"]))
    return StoredModel(trader, settings["extra"])


def _json(settings: Mapping[str, Any]) -> bytes:
    try:
        return json.dumps(settings, sort_keys=True, indent=1, allow_nan=False).encode()
    except (TypeError, ValueError) as error:
        raise CallError(f"extra holds something that JSON does not: {error}.") from error


def _parquet(frame: pl.DataFrame) -> bytes:
    data = io.BytesIO()
    frame.write_parquet(data)
    return data.getvalue()


def _file_of(name: str, part: str) -> str:
    """`boosting_trend.skops` for the part boosting.skops of trend; the part, which holds no _, comes first."""
    stem, suffix = part.split(".")
    return f"{stem}_{name}.{suffix}"


def _files_of(name: str, files: Mapping[str, bytes]) -> dict[str, bytes]:
    """Files of one expert by part."""
    split = {file: (*file.partition(".")[0].partition("_"), file.partition(".")[2]) for file in files}
    return {f"{stem}.{suffix}": files[file] for file, (stem, _, rest, suffix) in split.items() if rest == name}
