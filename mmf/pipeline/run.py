"""A whole run: train on a table state that is held meanwhile, then save what came out."""

from collections.abc import Callable
from pathlib import Path

from mmf.pipeline.artifacts import RunArtifacts, save_run
from mmf.pipeline.config import TrainConfig
from mmf.pipeline.state import TableState
from mmf.pipeline.train import OnProgress, RunResult, train
from warehouse import Warehouse


def run(
    warehouse: Warehouse,
    state: TableState,
    config: TrainConfig,
    /,
    *,
    artifacts: Path,
    on_stage: Callable[[object], None] = lambda _: None,
    on_progress: OnProgress = lambda *_: None,
) -> tuple[RunResult, RunArtifacts]:
    """Train, judge and save; see `mmf.pipeline.train.train` and `mmf.pipeline.artifacts.save_run`.

    The snapshot is pinned from the first read until the run is recorded, so that no expiry can take away what the run
    says it came from.

    Raises
    ------
    ReadOnlyError
        The run could not be recorded; found before anything is trained.
    """
    warehouse.begin()  # refuses a warehouse that is open for reading only
    with warehouse.pin(state.snapshot):
        result = train(warehouse, state, config, on_stage=on_stage, on_progress=on_progress)
        return result, save_run(warehouse, result, artifacts)
