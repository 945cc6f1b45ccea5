"""A finished run opened for its leak audit, and what becomes of it where later bars are others."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import polars as pl

from mmf.bars import Interval, Series
from mmf.errors import DataError, MMFError
from mmf.evaluation.replays import HASHES, named, selection_difference, table_difference
from mmf.features.context import split_context
from mmf.features.lags import split_lag
from mmf.features.registry import FeatureSet, UserFeatures
from mmf.pipeline.finished import Finished
from mmf.pipeline.hashes import rows_hash, selection_hash
from mmf.pipeline.predict import LoadedRun
from mmf.pipeline.prepare import Prepared, prepare
from mmf.pipeline.rebuild import Change, altered_after, differing_columns, rebuilt, removed_after
from mmf.pipeline.refine import Refined, refine
from mmf.pipeline.state import TableState
from mmf.pipeline.train import OnProgress, select
from mmf.rows import PHYSICS_TRIO
from warehouse import SeriesKey, Snapshot, Warehouse

DO_NOT_BELIEVE = "Do not believe the run. Mend the cause, and train again: mmf train"


@dataclass(frozen=True)
class Case:
    """A run with all that it was made from.

    Attributes
    ----------
    features : FeatureSet or None
        The set that computes its columns; None where that code is gone, and then `lost` says which code it was.
    loaded : LoadedRun or None
        Its model; None where it cannot be read, and then `broken` says why.
    prepared : Prepared
        Its rows, read and cut anew from the table that it read.
    """

    warehouse: Warehouse
    snapshot: Snapshot
    run: Finished
    state: TableState
    user: UserFeatures
    features: FeatureSet | None
    lost: str
    loaded: LoadedRun | None
    broken: str
    prepared: Prepared

    @property
    def interval(self) -> Interval:
        """Grid of its series."""
        return self.run.series.grid

    @property
    def base_columns(self) -> tuple[str, ...]:
        """Features behind every column that its model reads; all of the set where the model cannot be read."""
        if self.loaded is None:
            return self.state.columns
        read = {split_context(split_lag(name)[0])[0] for name in (*self.loaded.columns, *PHYSICS_TRIO)}
        return tuple(name for name in self.state.columns if name in read)

    @property
    def is_past_of(self) -> int:
        """open_time of the last bar before the judged rows."""
        return int(self.prepared.judged.open_time_ms[0]) - self.interval.ms

    @cached_property
    def opinions(self) -> pl.DataFrame:
        """What the stored model says of the judged rows as they are stored."""
        return self.opinions_of(self.prepared)

    def opinions_of(self, prepared: Prepared, /) -> pl.DataFrame:
        """What the stored model says of some judged rows."""
        if self.loaded is None:
            raise MMFError(self.broken)
        flex = self.loaded.flex
        refined = Refined(self.loaded.columns) if flex is None else Refined(flex.names("selected"), flex)
        rows, history = refined.apply(prepared.judged), refined.apply(prepared.dataset.rows)
        return self.loaded.trader.predict(rows, history=history)


@contextmanager
def opened_case(warehouse: Warehouse, folder: Path, /, *, user: UserFeatures) -> Iterator[Case]:
    """Open a run, its snapshot pinned meanwhile.

    Raises
    ------
    DataError, WarehouseError
        The card, the snapshot or the rows of it cannot be read.
    """
    run = Finished.read(folder)
    if absent := [name for name in HASHES if name not in run.card["hashes"]]:
        raise DataError(f"the card of {run.run_id} is older and has no hash of its {absent[0]}. Train anew to audit.")
    state = run.state(warehouse)
    features, lost = run.features(user, warehouse.versions())
    try:
        loaded, broken = LoadedRun.load(folder), ""
    except MMFError as error:
        loaded, broken = None, str(error)
    with warehouse.pin(state.snapshot) as snapshot:
        prepared = prepare(warehouse, state, run.config, user=user, must_be_current=False)
        yield Case(warehouse, snapshot, run, state, user, features, lost, loaded, broken, prepared)


@dataclass
class OtherFuture:
    """What happened where bars from some time on were other ones, or none.

    Attributes
    ----------
    n_cuts : int
        Times from which on bars were changed.
    feature_faults, selection_faults, refinery_faults, model_faults : list of str
        What moved though it lies before.
    n_predictions : int
        Predictions that could have moved.
    has_answered : bool
        Whether predictions after a cut moved: else nothing was changed.
    """

    n_cuts: int = 0
    feature_faults: list[str] = field(default_factory=list)
    selection_faults: list[str] = field(default_factory=list)
    refinery_faults: list[str] = field(default_factory=list)
    model_faults: list[str] = field(default_factory=list)
    n_predictions: int = 0
    has_answered: bool = False


def other_futures(case: Case, /, *, on_progress: OnProgress = lambda *_: None) -> OtherFuture:
    """Build the table again with other bars after the last training label, and after two times among the judged rows.

    Every stored row up to the cut must stay, to the last bit. Council and refinery are fitted on the first of these
    tables: they must choose what the card says, though every judged row has other features and another label. The
    stored model predicts the judged rows of the others.

    Raises
    ------
    MMFError
        The code of the definitions is gone.
    """
    found, judged = OtherFuture(), case.prepared.judged.open_time_ms
    cuts = [int(judged[len(judged) // 3]), int(judged[2 * len(judged) // 3])]
    on_progress("other bars from the judged rows on", 0.1)
    with _with(case, found, altered_after, case.is_past_of) as (warehouse, state):
        _select_again(case, found, prepare(warehouse, state, case.run.config, user=case.user))
    for number, cut in enumerate(cuts):
        on_progress("other bars among the judged rows", 0.4 + number / 20)
        with _with(case, found, altered_after, cut) as (warehouse, state):
            if case.loaded is not None:
                _predict_again(case, found, prepare(warehouse, state, case.run.config, user=case.user), cut)
    on_progress("no bars after a judged row", 0.5)
    with _with(case, found, removed_after, cuts[0]):
        return found


# ------------------------------------------------------------------------------------


@contextmanager
def _with(
    case: Case, found: OtherFuture, changes: Callable[[int, Interval], Change], cut: int
) -> Iterator[tuple[Warehouse, TableState]]:
    """Build the table with changed bars, and compare all rows up to the cut with the stored ones."""
    if case.features is None:
        raise MMFError(case.lost)
    series, context = case.run.series, case.run.config.context
    change = changes(cut, case.interval)
    with rebuilt(case.snapshot, series, case.features, context=context, change=change) as (fresh, state):
        found.n_cuts += 1
        with fresh.pin(state.snapshot) as snapshot:
            for one in case.run.tables:
                until = cut + case.interval.ms - one.grid.ms  # a longer bar goes by its close
                stored, other = (
                    _scan(where, one, version)
                    for where, version in ((case.snapshot, case.state.version), (snapshot, state.version))
                )
                moved = differing_columns(stored, other, case.base_columns, until_ms=until)
                found.feature_faults += _moved(moved, one, cut)
        yield fresh, state


def _scan(snapshot: Snapshot, series: Series, version: str) -> pl.LazyFrame:
    return snapshot.scan("features", SeriesKey(*series.key), version=version)


def _moved(moved: dict[str, pl.Series], series: Series, cut: int) -> list[str]:
    if not moved:
        return []
    n_rows = max(map(len, moved.values()))
    at = pl.from_epoch(pl.Series([cut]), "ms")[0]
    what = f"{len(moved)} columns of {series} moved up to {at:%Y-%m-%d %H:%M} when only later bars changed or went"
    return [f"{what}: {named(list(moved))}; up to {n_rows:,} rows of one."]


def _select_again(case: Case, found: OtherFuture, prepared: Prepared) -> None:
    """Council and refinery on the training rows of a market with another future, against what the run left."""
    hashes = case.run.card["hashes"]
    selected = select(prepared.training, case.run.config)
    if selection_hash(selected.columns) != hashes["selection"]:
        found.selection_faults.append(
            "the council, shown the same training rows and other judged ones, chooses other columns than the run: "
            + _selection_detail(case, selected.council.votes_)
        )
    refined = refine(prepared.training, selected.columns, prepared.state, case.run.config)
    if rows_hash(refined.apply(prepared.training)) != hashes["refined_rows"]:
        found.refinery_faults.append("the refinery, fitted again, shows other training rows than the run's did.")


def _selection_detail(case: Case, votes: pl.DataFrame) -> str:
    chosen = pl.col("is_selected")
    try:
        before = pl.read_parquet(case.run.folder / "tables" / "council_votes.parquet")
    except (OSError, pl.exceptions.PolarsError):
        return "its votes are not readable."
    return selection_difference(*(one.filter(chosen)["column"].to_list() for one in (before, votes)))


def _predict_again(case: Case, found: OtherFuture, prepared: Prepared, cut: int) -> None:
    told = case.opinions_of(prepared)
    is_past = told["open_time"].to_physical() <= cut
    before, after = (_parts(case.opinions, is_past), _parts(told, is_past))
    found.n_predictions += before[0].height
    found.has_answered |= not before[1].equals(after[1])
    if not before[0].equals(after[0]):
        found.model_faults.append(
            "predictions moved when only later bars changed: " + table_difference(before[0], after[0])
        )


def _parts(table: pl.DataFrame, is_past: pl.Series) -> Sequence[pl.DataFrame]:
    return table.filter(is_past), table.filter(~is_past)
