"""The first stage of a run: the rows of a table state, cut in time."""

from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from mmf.bars import Series
from mmf.errors import CallError, DataError
from mmf.evaluation.linked import joined_gaps, linked_bars, outside
from mmf.evaluation.portfolio import Desk
from mmf.features.registry import UserFeatures
from mmf.pipeline.config import TrainConfig
from mmf.pipeline.dataset import Dataset, join_datasets, load_dataset, stored_times
from mmf.pipeline.freshness import require_current
from mmf.pipeline.lineage import MMF_ONLY
from mmf.pipeline.state import TableState
from mmf.rows import Rows, TrainingRows
from mmf.splits import Combination, Split, chronological_split
from warehouse import Snapshot, Warehouse
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
        symbol, funding_time and rate; empty or None where the warehouse has none.
    """

    state: TableState
    dataset: Dataset
    training: TrainingRows
    judged: Rows
    n_purged: int
    funding: pl.DataFrame | None = None

    @property
    def before_judged(self) -> Rows:
        """All rows before the first judged one, with or without a label that a fit may see.

        Where some training rows lie behind judged ones, all rows up to the last of them: experts that look back read
        the features of what lies between.
        """
        rows = self.dataset.rows
        end_ms = max(self.judged.open_time_ms[0], self.training.open_time_ms[-1] + 1)
        return rows.take(rows.open_time_ms < end_ms)

    @property
    def desks(self) -> tuple[Desk, ...]:
        """Each symbol as it is traded by itself."""
        return desks_of(self)

    @property
    def n_unlabelled(self) -> int:
        """Judged rows whose horizon is not over, or whose label's bar is missing."""
        return int(np.isnan(self.judged.label).sum())


@dataclass(frozen=True)
class Loaded:
    """The rows of a table state, not cut yet.

    Attributes
    ----------
    state, dataset, funding
        See `Prepared`.
    """

    state: TableState
    dataset: Dataset
    funding: pl.DataFrame | None = None

    @property
    def desks(self) -> tuple[Desk, ...]:
        """Each symbol as it is traded by itself."""
        return desks_of(self)


def desks_of(of: Prepared | Loaded, /) -> tuple[Desk, ...]:
    """Return the bars and the funding of each symbol, in their order."""

    def funding_of(symbol: str) -> pl.DataFrame | None:
        if of.funding is None:
            return None
        return of.funding.filter(pl.col("symbol") == symbol).select("funding_time", "rate")

    names = [one.symbol for one in of.state.all_series]
    return tuple(Desk(name, of.dataset.bars_of(i), funding_of(name)) for i, name in enumerate(names))


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
    loaded = load(warehouse, state, config, user=user, must_be_current=must_be_current)
    return cut(loaded, chronological_split(loaded.dataset.rows, test_share=config.test_share))


def load(
    warehouse: Warehouse,
    state: TableState,
    config: TrainConfig,
    /,
    *,
    user: UserFeatures = MMF_ONLY,
    must_be_current: bool = True,
) -> Loaded:
    """Read the rows; parameters and errors are those of `prepare`."""
    with warehouse.pin(state.snapshot) as snapshot:
        newest_ms = max(int(stored_times(snapshot, one, state.version)[-1]) for one in state.all_series)
        datasets = []
        for one in state.each():
            dataset = _dataset(snapshot, one, config, until_ms=newest_ms)
            if must_be_current:
                since = dataset.first_read_ms
                require_current(warehouse, snapshot, one, since_ms=since, context=config.context, user=user)
            datasets.append(dataset)
        funding = pl.concat([_funding(snapshot, one) for one in state.all_series])
    return Loaded(state, join_datasets(datasets), funding)


def cut(loaded: Loaded, split: Split, /, *, stop_ms: int | None = None) -> Prepared:
    """Cut rows in two: those that a fit may see, and the later ones that judge it.

    Parameters
    ----------
    loaded : Loaded
        The rows.
    split : Split
        Of them; all rows from its `test_start_ms` on are judged, labelled or not.
    stop_ms : int, optional
        End of the judged rows, itself left out. Nothing behind it is in what is returned.

    Raises
    ------
    DataError
        A symbol has no training row.
    LeakError
        The label of a training row is known only after the judged rows begin.
    """
    if stop_ms is not None:
        loaded = replace(loaded, dataset=loaded.dataset.before(stop_ms))
    rows = loaded.dataset.rows
    is_judged = rows.open_time_ms >= split.test_start_ms
    n_purged = int((~is_judged & ~np.isnan(rows.label)).sum()) - len(split.train)
    _require_learned(rows, split)
    return Prepared(loaded.state, loaded.dataset, split.training(rows), rows.take(is_judged), n_purged, loaded.funding)


def cut_around(loaded: Loaded, combination: Combination, /) -> Prepared:
    """Cut rows into blocks that are judged, and those around them that a fit may see.

    The bars of each judged block, and those behind it that its labels look at, are taken out of what thresholds are
    chosen by, and the prices around are linked: see `mmf.evaluation.linked.linked_bars`. What happened meanwhile is in
    no fit and in no threshold; only the features of later rows remember it.

    Raises
    ------
    CallError
        The rows are of several series: prices of one would be linked to those of another.
    LeakError
        The label of a training row overlaps a judged block.
    """
    if loaded.state.beside:
        raise CallError(
            f"{loaded.state} is of several series, and combinations take one. Evaluate a run of one series."
        )
    rows, dataset, funding = loaded.dataset.rows, loaded.dataset, loaded.funding
    gaps = [(int(rows.open_time_ms[block[0]]), int(rows.label_end_ms[block].max())) for block in combination.tests]
    if funding is not None:
        funding = funding.filter(outside(funding["funding_time"], gaps))
    judged = np.concatenate(combination.tests)
    n_purged = int((~np.isnan(rows.label)).sum()) - len(combination.train) - len(judged)
    linked = replace(dataset, bars=linked_bars(dataset.bars, joined_gaps(gaps)))
    return Prepared(loaded.state, linked, combination.training(rows), rows.take(judged), n_purged, funding)


# ------------------------------------------------------------------------------------


def _require_learned(rows: Rows, split: Split) -> None:
    untold = set(range(len(rows.symbols))) - set(rows.symbol[split.train].tolist())
    if untold:
        raise DataError(
            f"{rows.symbols[min(untold)]} has no training row: it was listed too late to be learned from beside the "
            "others. Leave it out, or ask for fewer --days, so that the judged rows begin later."
        )


def _dataset(snapshot: Snapshot, state: TableState, config: TrainConfig, *, until_ms: int) -> Dataset:
    return load_dataset(
        snapshot,
        state.series,
        version=state.version,
        base_columns=state.columns,
        label=config.label,
        lags=config.lags,
        context=config.context,
        days=config.days,
        until_ms=until_ms,
    )


def _funding(snapshot: Snapshot, series: Series) -> pl.DataFrame:
    rates = funding_rates(snapshot, *series.key[:3])
    return rates.select(pl.lit(series.symbol).alias("symbol"), "funding_time", "rate")
