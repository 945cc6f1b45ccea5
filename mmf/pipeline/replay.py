"""A finished run done again from its card, and compared hash by hash."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from mmf.errors import DataError, MMFError
from mmf.evaluation.replays import (
    HASHES,
    Line,
    Replay,
    compared,
    compared_hashes,
    environment_changes,
    named,
    selection_difference,
    table_difference,
)
from mmf.features.registry import UserFeatures
from mmf.pipeline.artifacts import environment, run_hashes
from mmf.pipeline.finished import Finished
from mmf.pipeline.hashes import predictions_hash
from mmf.pipeline.lineage import MMF_ONLY
from mmf.pipeline.rebuild import altered_files, differing_columns, rebuilt
from mmf.pipeline.stages import RunResult
from mmf.pipeline.state import TableState
from mmf.pipeline.train import OnProgress, train
from warehouse import SeriesKey, Snapshot, Warehouse
from warehouse.errors import WarehouseError


def replay(
    warehouse: Warehouse,
    folder: Path,
    /,
    *,
    user: UserFeatures = MMF_ONLY,
    on_stage: Callable[[object], None] = lambda _: None,
    on_progress: OnProgress = lambda *_: None,
) -> Replay:
    """Do a finished run again from its card, and compare what comes out.

    Features are computed anew from the bars of the run's snapshot, in a warehouse of their own; council, refinery,
    experts, gate and threshold are fitted anew with the card's configuration, seed and what the scheduler remembered.
    Nothing that the run stored is read, except to name differences. Nothing is written.

    Parameters
    ----------
    warehouse : Warehouse
        Where the run was trained.
    folder : Path
        The run's folder.
    user : UserFeatures
        Features and sets beyond those of MMF.
    on_stage : callable
        See `mmf.pipeline.train.train`.
    on_progress : callable(step, share)
        Told how far it is.

    Raises
    ------
    DataError
        There is no card to start from, or it is of several series.
    """
    run = Finished.read(folder)
    causes = environment_changes(run.card.get("environment", {}), environment())
    lines = [run.recorded(warehouse), _stored_predictions(run)]
    if "scheduler_memory" not in run.card:
        causes.append("the card is older and does not say what the scheduler remembered: the effort may differ")
    try:
        with _source(warehouse, run, user, on_progress) as source:
            lines.extend(_done_again(source, run, user, on_stage, on_progress))  # what comes before an error stays
    except (MMFError, WarehouseError) as error:
        causes.append(str(error))
    told = {line.what for line in lines}
    lines += [Line(name, "not compared", detail=_NOT_REACHED) for name in _EXPECTED if name not in told]
    return Replay(run.run_id, tuple(lines), tuple(causes))


# ------------------------------------------------------------------------------------

_NOT_REACHED = "the run could not be done again: see below."
_EXPECTED = ("bars", "features", *(name.replace("_", " ") for name in HASHES[:-1]), "effort", "thresholds", HASHES[-1])


@dataclass(frozen=True)
class _Source:
    """Where the run's table lies: as it was stored, and as it is read now."""

    snapshot: Snapshot
    stored: TableState
    warehouse: Warehouse
    state: TableState
    lost: str

    @property
    def is_anew(self) -> bool:
        """Whether features were computed anew."""
        return not self.lost


@contextmanager
def _source(warehouse: Warehouse, run: Finished, user: UserFeatures, on_progress: OnProgress) -> Iterator[_Source]:
    """Features computed anew; the stored ones where the code that computes them is gone."""
    state = run.state(warehouse)
    features, lost = run.features(user, warehouse.versions())
    with warehouse.pin(state.snapshot) as snapshot, ExitStack() as stack:
        if features is None:
            yield _Source(snapshot, state, warehouse, state, lost)
            return
        on_progress("features from bars", 0.0)
        anew = stack.enter_context(rebuilt(snapshot, run.series, features, context=run.config.context))
        yield _Source(snapshot, state, *anew, lost="")


def _done_again(
    source: _Source,
    run: Finished,
    user: UserFeatures,
    on_stage: Callable[[object], None],
    on_progress: OnProgress,
) -> Iterator[Line]:
    yield _bars(source.snapshot, run)
    yield _compared_features(source, run)
    result = train(
        source.warehouse,
        source.state,
        run.config,
        user=user,
        memory=run.memory,
        on_stage=on_stage,
        on_progress=on_progress,
    )
    yield from _compared_results(run, result)


def _stored_predictions(run: Finished) -> Line:
    recorded = run.card["hashes"].get("predictions")
    try:
        found = predictions_hash(run.predictions())
    except DataError as error:
        return Line("predictions file", "differs", detail=str(error))
    return compared("predictions file", recorded, found, detail="predictions.parquet was altered after the run.")


def _bars(snapshot: Snapshot, run: Finished) -> Line:
    altered = [path for one in run.tables for path in altered_files(snapshot, "bars", one)]
    if not altered:
        n_files = sum(len(snapshot.files("bars", SeriesKey(*one.key))) for one in run.tables)
        return Line("bars", "same", detail=f"{n_files} files of S{snapshot.id}, as the catalog knows them.")
    return Line("bars", "differs", detail=f"files are absent, or altered since they were committed: {named(altered)}.")


def _compared_features(source: _Source, run: Finished) -> Line:
    if not source.is_anew:
        why = f"{source.lost} What follows was done with the features as they are stored."
        return Line("features", "not compared", detail=why)
    state, differing = source.stored, {}
    with source.warehouse.pin(source.state.snapshot) as anew:
        for one in run.tables:
            stored, other = (
                where.scan("features", SeriesKey(*one.key), version=version)
                for where, version in ((source.snapshot, state.version), (anew, source.state.version))
            )
            try:
                differing |= differing_columns(stored, other, state.columns)
            except (DataError, OSError, pl.exceptions.PolarsError) as error:
                return Line("features", "differs", detail=f"{one}: {error}")
    if not differing:
        return Line("features", "same", detail=f"{len(state.columns)} columns, computed anew from the bars.")
    first = min(times[0] for times in differing.values())
    n_rows = max(len(times) for times in differing.values())
    return Line(
        "features",
        "differs",
        detail=f"{len(differing)} of {len(state.columns)} stored columns are not what the bars give: "
        f"{named(list(differing))}; in up to {n_rows:,} rows, the first {first:%Y-%m-%d %H:%M}.",
    )


def _compared_results(run: Finished, result: RunResult) -> Iterator[Line]:
    card = run.card
    details = {"selection": _selection_detail(run, result), "predictions": _predictions_detail(run, result)}
    by_what = {line.what: line for line in compared_hashes(card["hashes"], run_hashes(result), details=details)}
    predictions = by_what.pop("predictions")
    yield from by_what.values()
    yield _effort(card.get("effort"), result)
    yield _thresholds(card.get("thresholds"), dict(result.trained.thresholds))
    yield predictions


def _effort(recorded: Mapping[str, int] | None, result: RunResult) -> Line:
    found, reasons = result.trained.recommendation.effort.as_dict(), result.trained.recommendation.reasons
    line = compared("effort", recorded, found, detail=f"now because {'; '.join(reasons)}.")
    before, now = (", ".join(f"{n} {name}" for name, n in one.items()) for one in (recorded or {}, found))
    return Line("effort", line.status, before.replace("n_", ""), now.replace("n_", ""), line.detail)


def _thresholds(recorded: Mapping[str, float] | None, found: Mapping[str, float]) -> Line:
    line = compared("thresholds", recorded, found)
    before, now = (f"{one['mixture']:.4f}" if one else "" for one in (recorded, found))
    names = [name for name in found if (recorded or {}).get(name) != found[name]]
    return Line("thresholds", line.status, before, now, f"of {named(names)}." if line.status == "differs" else "")


def _selection_detail(run: Finished, result: RunResult) -> str:
    path = run.folder / "tables" / "council_votes.parquet"
    try:
        votes = pl.read_parquet(path)
    except (OSError, pl.exceptions.PolarsError):
        return f"{path} is not readable, so the columns cannot be named."
    before = votes.filter(pl.col("is_selected"))["column"].to_list()
    now = result.selected.council.votes_.filter(pl.col("is_selected"))["column"].to_list()
    return selection_difference(before, now)


def _predictions_detail(run: Finished, result: RunResult) -> str:
    try:
        return table_difference(run.predictions(), result.judged.predictions)
    except DataError as error:
        return str(error)
