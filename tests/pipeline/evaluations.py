"""A small run, and what is asked of its evaluation."""

from pathlib import Path

from mmf.features.registry import feature_set
from mmf.pipeline.artifacts import RunArtifacts
from mmf.pipeline.build import build_features
from mmf.pipeline.config import TrainConfig
from mmf.pipeline.evaluation_tasks import Plan
from mmf.pipeline.ingest import ingest
from mmf.pipeline.run import run
from mmf.pipeline.state import resolve_state
from tests.pipeline.sources import SERIES, ListSource, walk
from warehouse import Warehouse

N_BARS = 2_700
PLAIN = TrainConfig(days=None, lags=(1,), use_tensor_flex=False, experts=("stress",))
WITH_CNN = TrainConfig(days=None, lags=(1,), experts=("stress", "cnn"))
FOLDS = Plan(walk_forward=2)


def small_run(warehouse: Warehouse, artifacts: Path, *, config: TrainConfig = PLAIN) -> RunArtifacts:
    """Train on a random walk."""
    ingest(warehouse, ListSource((walk(0, N_BARS),)), SERIES)
    build_features(warehouse, SERIES, feature_set("core"))
    return run(warehouse, resolve_state(warehouse, SERIES, "core"), config, artifacts=artifacts)[1]
