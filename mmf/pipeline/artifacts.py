"""What a run leaves behind: predictions, card and model, whole or not at all."""

import json
import os
import platform
import secrets
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import Any

import polars as pl

from mmf.errors import DataError

CARD_NAME = "card.json"
PREDICTIONS_NAME = "predictions.parquet"
LATEST_PREDICTIONS = "money_machine_snapshot.parquet"
LATEST_CARD = "money_machine_snapshot.json"
_PACKAGES = ("money-machine-framework", "polars", "numpy", "numba", "scikit-learn", "torch", "duckdb", "pyarrow")


@dataclass(frozen=True)
class RunArtifacts:
    """Where a run's files lie.

    Attributes
    ----------
    run_id : str
        Time and a random part, such as `20260102T030405-1a2b3c`; it sorts by time.
    folder : Path
        `ARTIFACTS/runs/RUN`, with card.json, predictions.parquet and the model.
    predictions : Path
        The predictions file of the latest run, `ARTIFACTS/money_machine_snapshot.parquet`.
    card : Path
        The run card beside it.
    """

    run_id: str
    folder: Path
    predictions: Path
    card: Path


def new_run_id() -> str:
    """Return an identifier that sorts by time."""
    return f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{secrets.token_hex(3)}"


def environment() -> dict[str, Any]:
    """Return the versions that a result depends on."""
    return {
        "packages": {name: version(name) for name in _PACKAGES},
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
    }


def publish_run(
    root: Path, run_id: str, /, *, staged: Path, card: Mapping[str, Any], predictions: pl.DataFrame
) -> RunArtifacts:
    """Move a staged run folder into place and make it the latest.

    Parameters
    ----------
    root : Path
        Folder of the artifacts.
    run_id : str
        Name of the run.
    staged : Path
        Folder beside the final one that holds the model.
    card : mapping
        The run card.
    predictions : pl.DataFrame
        The predictions file.
    """
    predictions.write_parquet(staged / PREDICTIONS_NAME)
    (staged / CARD_NAME).write_text(json.dumps(card, indent=2, sort_keys=False, default=str) + "\n")
    folder = root / "runs" / run_id
    staged.rename(folder)
    latest = RunArtifacts(run_id, folder, root / LATEST_PREDICTIONS, root / LATEST_CARD)
    _replace(folder / PREDICTIONS_NAME, latest.predictions)
    _replace(folder / CARD_NAME, latest.card)
    return latest


def read_card(root: Path, run_id: str, /) -> dict[str, Any]:
    """Read the card of a run.

    Raises
    ------
    DataError
        There is no such run.
    """
    path = root / "runs" / run_id / CARD_NAME
    if not path.exists():
        raise DataError(f"there is no run {run_id} in {root}. See them: mmf runs list")
    return json.loads(path.read_text())


# ------------------------------------------------------------------------------------


def _replace(source: Path, target: Path) -> None:
    """Copy beside the target, then rename: a reader sees the old file or the new one."""
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
    shutil.copyfile(source, temporary)
    temporary.replace(target)
