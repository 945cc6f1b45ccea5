"""What surrounds an evaluation on disk: one at a time, told meanwhile, stopped cleanly, recorded at its end."""

import fcntl
import json
import shutil
import signal
import threading
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import polars as pl

from mmf.errors import CallError
from mmf.pipeline.artifacts import TABLES
from mmf.pipeline.part_task import STOP, PartTask
from warehouse import Warehouse

SUMMARY = "evaluation.json"  # within a run's folder
LOGGED = ("folds", "fold_scores", "fold_equity", "combinations", "noise_floor")  # tables of the warehouse
_WORK, _LOCK = "unfinished", "lock"
_LOOK_S = 0.5


@contextmanager
def exclusive(root: Path, /) -> Generator[Path, None, None]:
    """Hold the evaluation of a run, and give the folder of what is unfinished.

    What only this call needs is removed at its end; unfinished parts stay.

    Raises
    ------
    CallError
        Another process is at it.
    """
    root.mkdir(parents=True, exist_ok=True)
    work = root / _WORK
    with (root / _LOCK).open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise CallError(f"another evaluation of {root.parent.name} is at work. Wait for it to end.") from None
        _sweep(work)  # a killed call leaves them
        (work / STOP).unlink(missing_ok=True)
        work.mkdir(exist_ok=True)
        try:
            yield work
        finally:
            _sweep(work)


@contextmanager
def stopped_by_interrupt(stop: Path, /) -> Generator[None, None, None]:
    """Let Ctrl-C end the parts that other processes are at, at their next step.

    They do not hear of it otherwise, and would go on for minutes while the caller waits for them.
    """

    def handle(_: int, __: FrameType | None) -> None:
        stop.touch()
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, handle)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def told_meanwhile(
    wanted: Sequence[PartTask], due: Sequence[PartTask], on_progress: Callable[[str, float], None], /
) -> Generator[Callable[[str], None], None, None]:
    """Tell how far all parts are, twice a second, from a thread; gives what takes the name of each finished one."""
    running = {task.name: task for task in due}
    n_kept, n_all = len(wanted) - len(due), max(1, len(wanted))
    is_over = threading.Event()

    def tell() -> None:
        shares = {name: task.share_done() for name, task in dict(running).items()}
        at_work = [f"{name} ({share:.0%})" for name, share in shares.items() if 0 < share < 1]
        done = n_kept + len(due) - len(shares) + sum(shares.values())
        on_progress(", ".join(at_work) or (due[0].name if due else "everything is there"), done / n_all)

    def watch() -> None:
        while not is_over.wait(_LOOK_S):
            tell()

    tell()
    watcher = threading.Thread(target=watch, name="evaluation-progress", daemon=True)
    watcher.start()
    try:
        yield running.__delitem__
    finally:
        is_over.set()
        watcher.join()
    tell()


def record_evaluation(
    warehouse: Warehouse,
    run_folder: Path,
    run_id: str,
    tables: Mapping[str, pl.DataFrame],
    summary: Mapping[str, Any],
    /,
) -> None:
    """Write the tables into the run's folder and commit them to the warehouse, each in place of an earlier one.

    Parameters
    ----------
    warehouse : Warehouse
        Receives those of `LOGGED`, under run_id.
    run_folder : Path
        Receives all in `tables`, and the summary, whose parts replace those of an earlier evaluation.
    run_id : str
        Of the run.
    tables : mapping of str to pl.DataFrame
        By name.
    summary : mapping
        What is no table, or short enough to be both.
    """
    folder = run_folder / TABLES
    folder.mkdir(exist_ok=True)
    for name, table in tables.items():
        draft = folder / f".{name}.tmp"
        table.write_parquet(draft)
        draft.replace(folder / f"{name}.parquet")
    path = run_folder / SUMMARY
    earlier = _summary(path)
    draft = path.with_name(f".{SUMMARY}.tmp")
    draft.write_text(json.dumps(earlier | dict(summary), indent=1, default=str) + "\n", encoding="utf-8")
    draft.replace(path)
    commit = warehouse.begin(f"evaluation of run {run_id}")
    with warehouse.pin() as snapshot:
        for name in (name for name in LOGGED if name in tables and not tables[name].is_empty()):
            for file in snapshot.files(name):
                if file.content == run_id:
                    commit.remove(file)
            own = tables[name].select(pl.lit(run_id).alias("run_id"), pl.all())
            commit.write(name, None, own, start=0, stop=1, content=run_id)
        commit.publish()


# ------------------------------------------------------------------------------------


def _summary(path: Path) -> dict[str, Any]:
    """What an earlier evaluation told; nothing where it is not there or damaged: it is written anew."""
    try:
        earlier = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return earlier if isinstance(earlier, dict) else {}


def _sweep(work: Path) -> None:
    """Remove what an evaluation writes for its own parts to read; they may still be on their way to see `STOP`."""
    shutil.rmtree(work / "rows", ignore_errors=True)
    (work / "bars.parquet").unlink(missing_ok=True)
