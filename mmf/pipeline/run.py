"""A whole run: train on a table state that is held meanwhile, then save what came out."""

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from mmf.errors import CallError
from mmf.features.registry import UserFeatures
from mmf.pipeline.artifacts import RunArtifacts, save_run
from mmf.pipeline.code_version import source_version
from mmf.pipeline.config import TrainConfig
from mmf.pipeline.lineage import MMF_ONLY
from mmf.pipeline.refine import FOLDER, save_refined
from mmf.pipeline.schedule import read_memory, remember
from mmf.pipeline.stages import RunResult
from mmf.pipeline.state import TableState
from mmf.pipeline.train import OnProgress, distil, train
from warehouse import Warehouse

UNFINISHED = "unfinished"  # within the artifacts


@dataclass(frozen=True)
class Primed:
    """A refinery fitted ahead of the runs that will use it.

    Attributes
    ----------
    folder : Path
        Where it lies.
    report : dict
        What it did; see `mmf.tensor_flex.tables.report`.
    """

    folder: Path
    report: dict[str, Any]


def prime_refinery(
    warehouse: Warehouse,
    state: TableState,
    config: TrainConfig,
    /,
    *,
    artifacts: Path,
    user: UserFeatures = MMF_ONLY,
    must_refine: bool = False,
    on_stage: Callable[[object], None] = lambda _: None,
    on_progress: OnProgress = lambda *_: None,
) -> Primed:
    """Fit council and refinery, and keep the refinery where a run looks for it.

    Raises
    ------
    CallError
        The configuration does without a refinery.
    """
    if not config.use_tensor_flex:
        raise CallError("there is no refinery to train: leave out --no-tensor-flex, or --tensor-flex-train-only.")
    with warehouse.pin(state.snapshot):
        _, _, refined = distil(
            warehouse,
            state,
            config,
            user=user,
            artifacts=artifacts,
            must_refine=must_refine,
            on_stage=on_stage,
            on_progress=on_progress,
        )
    folder = artifacts / FOLDER
    save_refined(refined, folder)
    return Primed(folder, refined.flex.report() if refined.flex else {})


def run(
    warehouse: Warehouse,
    state: TableState,
    config: TrainConfig,
    /,
    *,
    artifacts: Path,
    user: UserFeatures = MMF_ONLY,
    must_refine: bool = False,
    on_stage: Callable[[object], None] = lambda _: None,
    on_progress: OnProgress = lambda *_: None,
) -> tuple[RunResult, RunArtifacts]:
    """Train, judge and save; see `mmf.pipeline.train.train` and `mmf.pipeline.artifacts.save_run`.

    An interrupted run leaves its finished fits behind, and the same run goes on from there.

    The snapshot is pinned from the first read until the run is recorded, so that no expiry can take away what the run
    says it came from.

    Raises
    ------
    ReadOnlyError
        The run could not be recorded; found before anything is trained.
    """
    warehouse.begin()  # refuses a warehouse that is open for reading only
    unfinished = _unfinished(artifacts, state, config)
    with warehouse.pin(state.snapshot):
        result = train(
            warehouse,
            state,
            config,
            user=user,
            artifacts=artifacts,
            must_refine=must_refine,
            unfinished=unfinished,
            memory=read_memory(artifacts, state.all_series, config),
            on_stage=on_stage,
            on_progress=on_progress,
        )
        saved = save_run(warehouse, result, artifacts)
        remember(artifacts, result, saved.run_id)
        shutil.rmtree(unfinished, ignore_errors=True)
        return result, saved


# ------------------------------------------------------------------------------------


def _unfinished(artifacts: Path, state: TableState, config: TrainConfig) -> Path:
    """Folder of the same training by the same code: others that go on beside it have their own."""
    asked = [*map(str, state.all_series), state.definition_hash, config.as_dict(), source_version()]
    return artifacts / UNFINISHED / sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()[:12]
