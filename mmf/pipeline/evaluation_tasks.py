"""Which parts an evaluation is made of: folds, combinations and surrogates as tasks."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from mmf.errors import CallError, DataError
from mmf.experts.neural import choose_device
from mmf.features.record import LEAD_BARS
from mmf.features.registry import FeatureSet, UserFeatures
from mmf.markets.surrogates import KINDS
from mmf.pipeline.artifacts import environment
from mmf.pipeline.code_version import source_version
from mmf.pipeline.config import TrainConfig
from mmf.pipeline.lineage import features_of_code
from mmf.pipeline.material import Material
from mmf.pipeline.part_task import DIGEST, CombinationSource, FoldSource, PartTask, Source, SurrogateSource
from mmf.pipeline.prepare import Loaded
from mmf.pipeline.tables import stored_bars
from mmf.splits import Combination, combinatorial_purged, expanding_folds
from warehouse import Snapshot


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Which evidence is wanted.

    Attributes
    ----------
    walk_forward : int
        Folds; 0 for none.
    blocks, tested : int
        Blocks of time, of which each combination is judged on some; 0 blocks for none.
    noise_floor : int
        Surrogates of each kind; 0 for none.
    """

    walk_forward: int = 0
    blocks: int = 0
    tested: int = 2
    noise_floor: int = 0

    def __post_init__(self) -> None:
        if min(self.walk_forward, self.blocks, self.noise_floor) < 0:
            raise CallError(f"{self}: counts are 0 or more.")
        if not (self.walk_forward or self.blocks or self.noise_floor):
            raise CallError(
                "nothing to evaluate: ask for --walk-forward 8, --combinations or --noise-floor 20, or several of them."
            )
        if self.blocks and not 2 <= self.tested < self.blocks:
            raise CallError(
                f"{self.tested} of {self.blocks} blocks cannot be judged while the others train. Judge 2 or more, and "
                "leave one: 2 of 6 are usual."
            )


@dataclass(frozen=True)
class Workshop:
    """What the parts of one evaluation have in common.

    Attributes
    ----------
    root, work : Path
        Folders of finished and of unfinished parts.
    loaded, config : Loaded, TrainConfig
        Rows and configuration of the run.
    run_id : str
        Its name.
    n_threads : int
        Experts that a part fits at a time.
    """

    root: Path
    work: Path
    loaded: Loaded
    config: TrainConfig
    run_id: str
    n_threads: int

    def task(self, kind: str, name: str, source: Source, *place: object) -> PartTask:
        """Name a part after all that decides it."""
        decides = [
            self.run_id,
            self.config.as_dict(),
            str(self.loaded.state),
            source_version(),
            environment()["packages"],
            str(choose_device()),
            [kind, *map(str, place)],
        ]
        digest = hashlib.sha256(json.dumps(decides).encode()).hexdigest()[:DIGEST]
        slug = "_".join([kind, *map(str, place)])
        kept, work = self.root / f"{slug}_{digest}", self.work / f"{slug}_{digest}"
        return PartTask(name, source, self.config, kept, work, self.n_threads)

    def material(self) -> Material:
        """Write the rows where parts can read them."""
        return Material.write(self.loaded, self.work / "rows")


def tasks_of(shop: Workshop, plan: Plan, snapshot: Snapshot, user: UserFeatures) -> dict[str, list[PartTask]]:
    """Return the parts of a plan by kind: `walk_forward`, `combinations`, `noise_floor`.

    What they read is written into the folder of unfinished parts.

    Raises
    ------
    CallError
        A noise floor of a run that reads context.
    DataError
        The time is too short for the plan, or the code no longer computes the run's features.
    """
    tasks: dict[str, list[PartTask]] = {}
    material = shop.material() if plan.walk_forward or plan.blocks else None
    if material is not None and plan.walk_forward:
        tasks["walk_forward"] = _folds(shop, material, plan.walk_forward)
    if material is not None and plan.blocks:
        tasks["combinations"] = _combinations(shop, material, plan)
    if plan.noise_floor:
        tasks["noise_floor"] = _surrogates(shop, plan.noise_floor, snapshot, user)
    return tasks


# ------------------------------------------------------------------------------------


def _folds(shop: Workshop, material: Material, n_folds: int) -> list[PartTask]:
    rows = shop.loaded.dataset.rows
    splits = expanding_folds(rows, n_folds, interval=shop.loaded.state.series.grid)
    stops = [*(split.test_start_ms for split in splits[1:]), int(rows.open_time_ms[-1]) + 1]
    return [
        shop.task("walk_forward", f"fold {i} of {len(splits)}", FoldSource(material, split, stop), n_folds, i)
        for i, (split, stop) in enumerate(zip(splits, stops, strict=True), 1)
    ]


def _combinations(shop: Workshop, material: Material, plan: Plan) -> list[PartTask]:
    found: list[Combination] = combinatorial_purged(
        shop.loaded.dataset.rows,
        interval=shop.loaded.state.series.grid,
        n_folds=plan.blocks,
        n_test_folds=plan.tested,
    )
    if not all(combination.tests for combination in found):
        raise DataError(
            f"with {plan.blocks} blocks of time, {plan.tested} of them hold no labelled row. Ask for fewer blocks."
        )
    return [
        shop.task(
            "combination",
            f"combination {i} of {len(found)}",
            CombinationSource(material, combination),
            plan.blocks,
            plan.tested,
            i,
        )
        for i, combination in enumerate(found, 1)
    ]


def _surrogates(shop: Workshop, n: int, snapshot: Snapshot, user: UserFeatures) -> list[PartTask]:
    loaded, config = shop.loaded, shop.config
    if config.context:
        raise CallError(
            f"run {shop.run_id} reads bars of {', '.join(config.context)} beside its own, and surrogates are made of "
            "one interval. Train without --context for a noise floor."
        )
    bars = stored_bars(snapshot, loaded.state.series)
    rows = loaded.dataset.rows
    times = bars["open_time"].to_physical().to_numpy()
    first, last = (int(times.searchsorted(rows.open_time_ms[i])) for i in (0, -1))
    begin = max(0, first - LEAD_BARS - max(config.lags))
    path = shop.work / "bars.parquet"
    bars[begin : last + 1].write_parquet(path)
    features = _features(shop, user)
    return [
        shop.task(
            kind,
            f"{kind} market {seed + 1} of {n}",
            SurrogateSource(path, loaded.state, features, config, int(rows.open_time_ms[0]), kind, seed),
            seed,
        )
        for kind in KINDS
        for seed in range(n)
    ]


def _features(shop: Workshop, user: UserFeatures) -> FeatureSet:
    """The set that the run read, as the code at hand computes it."""
    state = shop.loaded.state
    features = features_of_code(state.version.partition("@")[0], user)
    if features is None or features.definition_hash != state.definition_hash:
        raise DataError(
            f"a noise floor computes the features of {state.version} anew, and the code at hand defines them "
            f"otherwise. Train anew, and evaluate that run: mmf train {state.series}"
        )
    return features
