"""The leak audit of a finished run: features, labels, split, selection, target proxies and model, one check each."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import get_args

import polars as pl

from mmf.errors import LeakError, MMFError
from mmf.evaluation.leaks import Check, Group, LeakAudit
from mmf.features.registry import UserFeatures
from mmf.pipeline.artifacts import TABLES
from mmf.pipeline.leak_case import DO_NOT_BELIEVE, Case, opened_case, other_futures
from mmf.pipeline.leak_checks import closed_bars, each_column, labels, split, stored_rows
from mmf.pipeline.leak_fits import (
    features_of_another_future,
    model_of_another_future,
    scores,
    selection_of_another_future,
    shuffled_labels,
    single_columns,
    stored_predictions,
)
from mmf.pipeline.lineage import MMF_ONLY
from mmf.pipeline.reports import write_text
from mmf.pipeline.train import OnProgress
from mmf.report.audit import audit_page
from warehouse import Warehouse
from warehouse.errors import WarehouseError

SHIFTS = 2


def audit_run(
    warehouse: Warehouse,
    folder: Path,
    /,
    *,
    user: UserFeatures = MMF_ONLY,
    n_shifts: int = SHIFTS,
    on_progress: OnProgress = lambda *_: None,
) -> LeakAudit:
    """Look for leaks in a finished run; nothing is written.

    Parameters
    ----------
    warehouse : Warehouse
        Where the run was trained.
    folder : Path
        The run's folder.
    user : UserFeatures
        Features and sets beyond those of MMF.
    n_shifts : int
        Trainings on labels shifted in time; 0 leaves that check out.
    on_progress : callable(step, share)
        Told how far it is.

    Raises
    ------
    DataError
        There is no card to start from, or it is of several series.
    WarehouseError
        The run's snapshot is not there any more.

    Notes
    -----
    What a run did is judged by what it left behind (card, predictions, votes, model), against rows that are read, cut
    and labelled anew, so that a fault of the code that trained is seen even after that code was mended.
    """
    with opened_case(warehouse, folder, user=user) as case:
        checks = [_record(case)]
        on_progress("features from bars", 0.0)
        checks += _guarded("Features", "no bar was forming", lambda: closed_bars(case))
        checks += _guarded("Features", "stored rows are what the bars give", lambda: stored_rows(case))
        checks += _guarded("Features", "each feature is blind to later bars", lambda: each_column(case))
        try:
            future = other_futures(case, on_progress=on_progress)
        except (MMFError, WarehouseError) as error:
            future = str(error)
        checks += features_of_another_future(future)
        on_progress("labels and split", 0.6)
        checks += _guarded("Labels", "labels", lambda: labels(case))
        checks += _guarded("Split", "split", lambda: split(case))
        checks += selection_of_another_future(future)
        on_progress("target proxies", 0.65)
        checks += _guarded("Target proxies", "no column tells the target", lambda: single_columns(case))
        checks += _guarded("Target proxies", "no score is too good", lambda: scores(case))
        checks += _guarded(
            "Target proxies",
            "labels of other times teach nothing",
            lambda: shuffled_labels(case, n_shifts=n_shifts, on_progress=on_progress),
        )
        on_progress("model", 0.95)
        checks += _guarded("Model", "the stored model says the same", lambda: stored_predictions(case))
        checks += model_of_another_future(case, future)
    order = list(get_args(Group))
    return LeakAudit(case.run.run_id, tuple(sorted(checks, key=lambda check: order.index(check.group))))


def save_audit(audit: LeakAudit, folder: Path, output: Path | None = None, /) -> Path:
    """Write the page, and beside the run's card audit.json and the table `audit`; return where the page lies."""
    path = output or folder / "audit.html"
    write_text(path, audit_page(audit))
    write_text(folder / "audit.json", json.dumps(audit.as_dict(), indent=2) + "\n")
    (folder / TABLES).mkdir(exist_ok=True)
    draft = folder / TABLES / ".audit.parquet.tmp"
    audit.table().write_parquet(draft)
    draft.replace(folder / TABLES / "audit.parquet")
    return path


# ------------------------------------------------------------------------------------


def _guarded(group: Group, name: str, checks: Callable[[], Iterator[Check]]) -> list[Check]:
    """Checks that end in an error are skipped with it; a guard that raised found a leak."""
    done: list[Check] = []
    try:
        done.extend(checks())
    except LeakError as error:
        done.append(Check(group, name, "fail", str(error), DO_NOT_BELIEVE))
    except (MMFError, WarehouseError, OSError, pl.exceptions.PolarsError) as error:
        done.append(Check(group, name, "skipped", str(error), "Mend what it says, and audit again."))
    return done


def _record(case: Case) -> Check:
    line = case.run.recorded(case.warehouse)
    status = {"same": "pass", "differs": "fail", "not compared": "skipped"}[line.status]
    step = "" if status == "pass" else "Judge by the recorded card, not by this folder."
    return Check("Record", "the card is the recorded one", status, line.detail, step)  # type: ignore[arg-type]
