"""A training that is interrupted, and goes on when it is asked for again."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from mmf.features.registry import feature_set
from mmf.pipeline.build import build_features
from mmf.pipeline.config import TrainConfig
from mmf.pipeline.ingest import ingest
from mmf.pipeline.run import UNFINISHED, run
from mmf.pipeline.schedule import read_memory
from mmf.pipeline.state import TableState, resolve_state
from mmf.scheduler import SchedulerMemory
from tests.pipeline.sources import SERIES, ListSource, walk
from warehouse import Warehouse

CONFIG = TrainConfig(days=None, lags=(1,), experts=("range", "stress"), use_tensor_flex=False)
OTHER = TrainConfig(days=None, lags=(1,), experts=("stress",), use_tensor_flex=False)


@pytest.fixture
def warehouse(tmp_path: Path) -> Iterator[Warehouse]:
    with Warehouse.open(tmp_path / "w", create=True) as opened:
        ingest(opened, ListSource((walk(0, 2_600),)), SERIES)
        build_features(opened, SERIES, feature_set("core"))
        yield opened


def interrupted(warehouse: Warehouse, state: TableState, config: TrainConfig, artifacts: Path) -> None:
    def interrupt(step: str, _: float) -> None:
        if step == "gate":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(warehouse, state, config, artifacts=artifacts, on_progress=interrupt)


def test_it_ends_as_if_it_had_never_been_interrupted_and_leaves_the_fits_of_others_alone(
    warehouse: Warehouse, tmp_path: Path
) -> None:
    state, artifacts = resolve_state(warehouse, SERIES, "core"), tmp_path / "artifacts"
    for config in (OTHER, CONFIG):
        interrupted(warehouse, state, config, artifacts)
    assert warehouse.runs() == []
    assert read_memory(artifacts, [SERIES], CONFIG) == SchedulerMemory()
    folders = {path: {fit.name for fit in path.iterdir()} for path in (artifacts / UNFINISHED).iterdir()}
    fits = {"out_of_fold_range", "out_of_fold_stress", "all_rows_range", "all_rows_stress"}
    assert fits in folders.values()
    _, resumed = run(warehouse, state, CONFIG, artifacts=artifacts)
    _, whole = run(warehouse, state, CONFIG, artifacts=tmp_path / "elsewhere")
    assert resumed.content["hashes"] == whole.content["hashes"]
    assert list((artifacts / UNFINISHED).iterdir()) == [p for p, names in folders.items() if names != fits]
