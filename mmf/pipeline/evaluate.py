"""Evidence beyond one split, for a finished run: walk-forward, combinations, noise floor."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import polars as pl

from mmf.bars import Series
from mmf.errors import CallError, DataError
from mmf.features.registry import UserFeatures
from mmf.markets.surrogates import KINDS
from mmf.pipeline.config import TrainConfig
from mmf.pipeline.evaluation import WalkForward, combination_table, join_folds, noise_standing, noise_table
from mmf.pipeline.evaluation_store import exclusive, record_evaluation, stopped_by_interrupt, told_meanwhile
from mmf.pipeline.evaluation_tasks import Plan, Workshop, tasks_of
from mmf.pipeline.executors import Executor, Serial
from mmf.pipeline.hashes import rows_hash
from mmf.pipeline.ledger import read_ledger, traded_of
from mmf.pipeline.lineage import MMF_ONLY
from mmf.pipeline.part import PartResult
from mmf.pipeline.part_task import STOP, PartTask
from mmf.pipeline.prepare import Loaded, load
from mmf.pipeline.reports import read_run
from mmf.pipeline.state import resolve_state
from mmf.splits import chronological_split
from warehouse import Warehouse

FOLDER = "evaluation"  # within a run's own

OnProgress = Callable[[str, float], None]


@dataclass(frozen=True)
class Evaluation:
    """What came of it; None for what was not asked for.

    Attributes
    ----------
    run_id : str
        Which run it is about.
    own : mapping
        The run's own roc_auc, pr_auc, base_rate and net_return.
    walk_forward : WalkForward or None
        Folds, one after the other and joined.
    combinations : pl.DataFrame or None
        One row a combination.
    noise_floor, noise_standing : pl.DataFrame or None
        One row a surrogate, and where the run lies among them.
    """

    run_id: str
    own: Mapping[str, float | None]
    walk_forward: WalkForward | None = None
    combinations: pl.DataFrame | None = None
    noise_floor: pl.DataFrame | None = None
    noise_standing: pl.DataFrame | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON types, times as datetime."""
        found: dict[str, Any] = {"run_id": self.run_id, "own": dict(self.own)}
        if self.walk_forward is not None:
            found["walk_forward"] = self.walk_forward.as_dict()
        for name in ("combinations", "noise_floor", "noise_standing"):
            if (table := getattr(self, name)) is not None:
                found[name] = table.to_dicts()
        return found

    def tables(self) -> dict[str, pl.DataFrame]:
        """Return the tables by the names of their files and of the warehouse's tables."""
        found: dict[str, pl.DataFrame | None] = {"combinations": self.combinations, "noise_floor": self.noise_floor}
        if self.walk_forward is not None:
            found["folds"] = self.walk_forward.folds
            found["fold_scores"] = self.walk_forward.scores
            found["fold_equity"] = self.walk_forward.equity
            found["fold_predictions"] = self.walk_forward.predictions
        return {name: table for name, table in found.items() if table is not None}


def evaluate(
    warehouse: Warehouse,
    run_folder: Path,
    plan: Plan,
    /,
    *,
    user: UserFeatures = MMF_ONLY,
    executor: Executor | None = None,
    on_progress: OnProgress = lambda *_: None,
) -> Evaluation:
    """Train the whole pipeline of a run anew on other cuts of its time, or on surrogates of its bars, and judge that.

    Every finished part is kept under a name made of all that decides it: run, configuration, place in the plan, code
    and packages. A repeated call goes on where it was interrupted, and asking for more computes only what is new.
    Tables are written when all parts of all that was asked for are there.

    Parameters
    ----------
    warehouse : Warehouse
        Where the run read its rows; receives the tables.
    run_folder : Path
        Folder of the run; receives the tables too, in `tables`.
    plan : Plan
        What is wanted.
    user : UserFeatures
        Features and sets beyond those of MMF.
    executor : Executor, optional
        Where parts are computed; in this process by default. Changes no result.
    on_progress : callable(step, share)
        Told about twice a second how far it is, from a thread of its own.

    Raises
    ------
    CallError
        The run was trained on several series, or reads context where a noise floor is asked for.
    DataError
        The rows are not those that the run read, the code no longer computes its features, or a part holds one label
        only.
    ReadOnlyError
        The tables could not be recorded; found before anything is trained.
    """
    warehouse.begin()  # refuses a warehouse that is open for reading only
    card = read_run(run_folder).card
    series = _series(card)
    config = TrainConfig.from_dict(card["config"])
    state = resolve_state(warehouse, series, card["table_state"])
    root = run_folder / FOLDER
    with warehouse.pin(state.snapshot) as snapshot, exclusive(root) as work:
        loaded = load(warehouse, state, config, user=user)
        _require_same_rows(loaded, config, card)
        shop = Workshop(root, work, loaded, config, str(card["run_id"]), n_threads=1 if _is_shared(executor) else 2)
        tasks = tasks_of(shop, plan, snapshot, user)
        parts = _computed(tasks, work, executor or Serial(), on_progress)
        others = read_ledger(warehouse, str(series)).others(_hash(card, "predictions"), traded_of(card))
        suspects = [finding["subject"] for finding in card.get("suspicious", ())]
        found = _joined(plan, parts, shop, _own(card), others=others, suspects=suspects)
        record_evaluation(warehouse, run_folder, found.run_id, found.tables(), found.as_dict())
    return found


# ------------------------------------------------------------------------------------


def _series(card: Mapping[str, Any]) -> Series:
    named = card["series"]
    if not isinstance(named, str):
        raise CallError(
            f"run {card['run_id']} was trained on several series ({', '.join(map(str, named))}), and evaluation takes "
            "one series a run. Train one of them alone: mmf train SERIES"
        )
    return Series.parse(named)


def _require_same_rows(loaded: Loaded, config: TrainConfig, card: Mapping[str, Any]) -> None:
    rows = loaded.dataset.rows
    training = chronological_split(rows, test_share=config.test_share).training(rows)
    if rows_hash(training) != _hash(card, "training_rows"):
        raise DataError(
            f"{loaded.state} of {loaded.state.series} no longer gives the rows that run {card['run_id']} was trained "
            f"on. Train anew, and evaluate that run: mmf train {loaded.state.series}"
        )


def _hash(card: Mapping[str, Any], name: str) -> str:
    try:
        return card["hashes"][name]
    except (KeyError, TypeError):
        raise DataError(
            f"the card of {card['run_id']} has no hash of its {name}, so nothing tells whether the rows are the same. "
            "Train anew, and evaluate that run: mmf train"
        ) from None


def _is_shared(executor: Executor | None) -> bool:
    return executor is not None and executor.n_workers > 1


def _computed(
    tasks: Mapping[str, Sequence[PartTask]], work: Path, executor: Executor, on_progress: OnProgress
) -> dict[str, list[PartResult]]:
    """Compute what is not kept, and return the results of all in the order of the tasks."""
    wanted = [task for several in tasks.values() for task in several]
    due = [task for task in wanted if task.result() is None]
    for task in due:
        task.clear()
    with (
        told_meanwhile(wanted, due, on_progress) as finish,
        stopped_by_interrupt(work / STOP),
        closing(executor.run(due)) as results,
    ):
        for name in results:
            finish(name)
    return {kind: [_result(task) for task in several] for kind, several in tasks.items()}


def _result(task: PartTask) -> PartResult:
    result = task.result()
    if result is None:
        raise DataError(f"{task.name} was computed, but {task.kept} does not hold it. Is the disk full? Run it again.")
    return result


def _own(card: Mapping[str, Any]) -> dict[str, float | None]:
    scores = card["scores"]["mixture"]
    traded = (card.get("verdict") or {}).get("performance") or {}
    return {name: scores.get(name) for name in ("roc_auc", "pr_auc", "base_rate")} | {
        "net_return": traded.get("net_return")
    }


def _joined(
    plan: Plan,
    parts: Mapping[str, Sequence[PartResult]],
    shop: Workshop,
    own: Mapping[str, float | None],
    *,
    others: pl.DataFrame,
    suspects: Sequence[str],
) -> Evaluation:
    found: dict[str, Any] = {}
    if plan.walk_forward:
        found["walk_forward"] = join_folds(
            parts["walk_forward"], shop.loaded, shop.config, others=others, suspects=suspects
        )
    if plan.blocks:
        tested = list(combinations(range(plan.blocks), plan.tested))
        found["combinations"] = combination_table(parts["combinations"], tested)
    if plan.noise_floor:
        kinds = [(kind, seed) for kind in KINDS for seed in range(plan.noise_floor)]
        noise = noise_table(parts["noise_floor"], kinds)
        found |= {"noise_floor": noise, "noise_standing": noise_standing(noise, own)}
    return Evaluation(shop.run_id, own, **found)
