"""Finished runs made cheap: eight columns, two lags, the experts without networks."""

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import polars as pl

from mmf.bars import Series
from mmf.features.registry import UserFeatures, feature_set
from mmf.labels import LabelConfig
from mmf.markets.source import Batch
from mmf.pipeline.artifacts import save_run
from mmf.pipeline.build import build_features
from mmf.pipeline.config import TrainConfig
from mmf.pipeline.ingest import ingest
from mmf.pipeline.state import TableState, resolve_state
from mmf.pipeline.train import NOTHING_YET, train
from mmf.scheduler import SchedulerMemory
from tests.pipeline.sources import SERIES, ListSource, walk
from warehouse import Warehouse

N_BARS = 2_700
COLUMNS = ("log_return", "volatility_20", "rsi_14", "roc_5", "sma_dist_21", "hurst_200", "entropy_200", "fdi_200")
USER = UserFeatures(None, (("few", COLUMNS),))
LABEL = LabelConfig(horizon=6, hurdle=0.002)
CONFIG = TrainConfig(feature_set="few", lags=(1, 2), days=None, experts=("range", "stress"), label=LABEL)


@dataclass(frozen=True)
class ClosedSource(ListSource):
    """Was asked long after the last of its bars had closed."""

    def batches(self, series: Series, wanted: Sequence[tuple[int, int]], /) -> Iterator[Batch]:
        for batch in super().batches(series, wanted):
            yield replace(batch, fetched_at_ms=1 << 40)


@dataclass(frozen=True)
class Place:
    """A warehouse and artifacts in one folder, and the run that lies there."""

    root: Path
    run_id: str = ""

    @property
    def artifacts(self) -> Path:
        return self.root / "artifacts"

    @property
    def folder(self) -> Path:
        return self.artifacts / "runs" / self.run_id

    @property
    def card(self) -> dict[str, Any]:
        return json.loads((self.folder / "card.json").read_text())

    @contextmanager
    def opened(self) -> Iterator[Warehouse]:
        with Warehouse.open(self.root / "w", create=True) as warehouse:
            yield warehouse

    def copy(self, root: Path) -> "Place":
        """The same elsewhere, to be tampered with."""
        shutil.copytree(self.root, root)
        return Place(root, self.run_id)

    def write_card(self, changed: Mapping[str, Any]) -> None:
        """Change the card in the folder, not the recorded one; None takes a key away."""
        card = {name: value for name, value in (self.card | dict(changed)).items() if value is not None}
        (self.folder / "card.json").write_text(json.dumps(card))

    def stored_file(self, table: str, *, version: str = "", place: int = 0) -> Path:
        """A file of the series in the run's snapshot."""
        with self.opened() as warehouse, warehouse.pin(int(self.card["table_state"].partition("@S")[2])) as snapshot:
            return snapshot.root / snapshot.files(table, SERIES.key, version=version)[place].path


def rewrite(path: Path, **changed: pl.Expr) -> None:
    """Change columns of a Parquet file behind everybody's back."""
    frame = pl.read_parquet(path, hive_partitioning=False).with_columns(**changed)
    path.chmod(0o644)
    frame.write_parquet(path)


def fill(warehouse: Warehouse, *, user: UserFeatures = USER, set_name: str = "few") -> TableState:
    """Bring bars and features in."""
    ingest(warehouse, ClosedSource((walk(0, N_BARS),)), SERIES)
    build_features(warehouse, SERIES, feature_set(set_name, user))
    return resolve_state(warehouse, SERIES, set_name)


def finished(
    root: Path, *, memory: SchedulerMemory = NOTHING_YET, user: UserFeatures = USER, set_name: str = "few"
) -> Place:
    """A run from bars to its folder."""
    with Place(root).opened() as warehouse:
        state = fill(warehouse, user=user, set_name=set_name)
        config = replace(CONFIG, feature_set=set_name)
        result = train(warehouse, state, config, user=user, memory=memory)
        return Place(root, save_run(warehouse, result, root / "artifacts").run_id)
