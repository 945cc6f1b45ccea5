"""The first stage of a run: the rows of a table state, cut in time."""

from dataclasses import dataclass

import numpy as np
import polars as pl

from mmf.features.registry import UserFeatures
from mmf.pipeline.config import TrainConfig
from mmf.pipeline.dataset import Dataset, load_dataset
from mmf.pipeline.freshness import require_current
from mmf.pipeline.lineage import MMF_ONLY
from mmf.pipeline.state import TableState
from mmf.rows import Rows, TrainingRows
from mmf.splits import chronological_split
from warehouse import Warehouse
from warehouse.funding import funding_rates


@dataclass(frozen=True)
class Prepared:
    """Stage 1: the rows of a table state, cut in time.

    Attributes
    ----------
    training : TrainingRows
        Rows whose labels are known before the first judged row.
    judged : Rows
        All later rows, the newest ones without a label included.
    n_purged : int
        Earlier rows left out because their labels reach into the judged rows.
    funding : pl.DataFrame or None
        funding_time and rate of the symbol; empty or None where the warehouse has none.
    """

    state: TableState
    dataset: Dataset
    training: TrainingRows
    judged: Rows
    n_purged: int
    funding: pl.DataFrame | None = None

    @property
    def before_judged(self) -> Rows:
        """All rows before the first judged one, with or without a label that a fit may see."""
        rows = self.dataset.rows
        return rows.take(rows.open_time_ms < self.judged.open_time_ms[0])

    @property
    def n_unlabelled(self) -> int:
        """Judged rows whose horizon is not over, or whose label's bar is missing."""
        return int(np.isnan(self.judged.label).sum())


def prepare(
    warehouse: Warehouse,
    state: TableState,
    config: TrainConfig,
    /,
    *,
    user: UserFeatures = MMF_ONLY,
    must_be_current: bool = True,
) -> Prepared:
    """Read the rows and cut them in time, purged by the label's horizon.

    Parameters
    ----------
    must_be_current : bool
        Refuse features that are not what their bars give, or that other code computed; False where the rows of a
        finished run are looked at as they are.

    Raises
    ------
    DataError
        The features are older than the bars of their snapshot, or see `mmf.pipeline.dataset.load_dataset`.
    """
    with warehouse.pin(state.snapshot) as snapshot:
        dataset = load_dataset(
            snapshot,
            state.series,
            version=state.version,
            base_columns=state.columns,
            label=config.label,
            lags=config.lags,
            context=config.context,
            days=config.days,
        )
        funding = funding_rates(snapshot, *state.series.key[:3]).select("funding_time", "rate")
        if must_be_current:
            since = dataset.first_read_ms
            require_current(warehouse, snapshot, state, since_ms=since, context=config.context, user=user)
    rows, split = dataset.rows, chronological_split(dataset.rows, test_share=config.test_share)
    is_judged = rows.open_time_ms >= split.test_start_ms
    n_purged = int((~is_judged & ~np.isnan(rows.label)).sum()) - len(split.train)
    return Prepared(state, dataset, split.training(rows), rows.take(is_judged), n_purged, funding)
