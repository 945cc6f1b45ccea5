"""One run: rows of a table state, council, refinery, experts under the gate, honest scores."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from mmf.alpha_council import AlphaCouncil
from mmf.evaluation.suspicion import MIN_ROWS, Finding, suspicious_columns
from mmf.evaluation.threshold import Threshold
from mmf.experts.registry import build_experts
from mmf.experts.scheme import EarlyView
from mmf.features.registry import UserFeatures
from mmf.gate import GatingNetwork
from mmf.impute import MedianImputer
from mmf.pipeline.config import TrainConfig
from mmf.pipeline.hashes import predictions_hash
from mmf.pipeline.judge import judge
from mmf.pipeline.ledger import read_ledger
from mmf.pipeline.lineage import MMF_ONLY
from mmf.pipeline.prepare import Prepared, prepare
from mmf.pipeline.refine import Refined, refine
from mmf.pipeline.stages import RunResult, Selected, Trained
from mmf.pipeline.state import TableState
from mmf.pipeline.threshold import choose
from mmf.pipeline.trading import trade
from mmf.rows import TrainingRows
from mmf.scheduler import Recommendation, SchedulerMemory, market_state, recommend
from mmf.splits import out_of_fold_cut
from mmf.trader import MoneyMachineTrader
from warehouse import Warehouse

OnProgress = Callable[[str, float], None]
NOTHING_YET = SchedulerMemory()


def train(
    warehouse: Warehouse,
    state: TableState,
    config: TrainConfig,
    /,
    *,
    user: UserFeatures = MMF_ONLY,
    artifacts: Path | None = None,
    must_refine: bool = False,
    unfinished: Path | None = None,
    memory: SchedulerMemory = NOTHING_YET,
    on_stage: Callable[[object], None] = lambda _: None,
    on_progress: OnProgress = lambda *_: None,
) -> RunResult:
    """Train on a table state and judge the result on rows that no fit has seen.

    Parameters
    ----------
    warehouse : Warehouse
        Where the table state lies.
    state : TableState
        Series, feature version and snapshot to read; of several series one model is made.
    config : TrainConfig
        What to do.
    user : UserFeatures
        Features and sets beyond those of MMF.
    artifacts : Path, optional
        Where the refinery of the latest run lies.
    must_refine : bool
        Fit the refinery anew even where that one fits.
    unfinished : Path, optional
        Where finished fits and the epochs of unfinished ones are kept, so that the same call goes on after an
        interruption. The caller deletes it.
    memory : SchedulerMemory
        What the scheduler remembers: unstable losses of earlier trainings ask for more effort.
    on_stage : callable
        Receives `Prepared`, `Selected`, `Refined`, `Recommendation`, `Trained`, `Judged` and `Traded` as each is
        reached.
    on_progress : callable(step, share)
        Receives the share done of a long step.

    Raises
    ------
    DataError
        The physics trio is absent, too few rows are left, or a class is missing among the training rows.
    """
    prepared, selected, refined = distil(
        warehouse,
        state,
        config,
        user=user,
        artifacts=artifacts,
        must_refine=must_refine,
        on_stage=on_stage,
        on_progress=on_progress,
    )
    recommendation = recommend(market_state(prepared.training, validation_losses=memory.validation_losses))
    on_stage(recommendation)
    on_progress("alpha council and tensor-flex, out of fold", 0.0)
    early = refine_early(prepared, config)
    trained = fit(prepared, refined, config, recommendation, early=early, folder=unfinished, on_progress=on_progress)
    on_stage(trained)
    judged = judge(prepared, refined, trained, config)
    on_stage(judged)
    traded = trade(
        prepared,
        trained,
        judged,
        config,
        ledger=read_ledger(warehouse, *map(str, state.all_series)),
        predictions_hash=predictions_hash(judged.predictions),
        suspicious=selected.suspicious,
    )
    on_stage(traded)
    return RunResult(config, prepared, selected, refined, trained, judged, traded, memory)


def distil(
    warehouse: Warehouse,
    state: TableState,
    config: TrainConfig,
    /,
    *,
    user: UserFeatures = MMF_ONLY,
    artifacts: Path | None = None,
    must_refine: bool = False,
    on_stage: Callable[[object], None] = lambda _: None,
    on_progress: OnProgress = lambda *_: None,
) -> tuple[Prepared, Selected, Refined]:
    """Do the first three stages of `train`: rows, council, refinery."""
    prepared = prepare(warehouse, state, config, user=user)
    on_stage(prepared)
    on_progress("alpha council", 0.0)
    selected = select(prepared.training, config)
    on_stage(selected)
    on_progress("tensor-flex", 0.0)
    refined = refine(prepared.training, selected.columns, state, config, artifacts=artifacts, must_fit=must_refine)
    on_stage(refined)
    return prepared, selected, refined


def select(training: TrainingRows, config: TrainConfig, /) -> Selected:
    """Let the Alpha Council choose columns from training rows only.

    Of several symbols it reads as many rows as one has, each symbol in its turn: labels overlap and symbols move
    together, so that the rows left out would cost their time and tell next to nothing.
    """
    council = _council(training, config)
    return Selected(council, council.selected_, _suspicious(training))


def refine_early(prepared: Prepared, config: TrainConfig, /) -> Refined:
    """Select and distil on the earlier training rows alone, for the fits that predict the later ones.

    Columns that were chosen by the labels of all training rows would flatter those predictions: on markets without
    anything to learn by 0.05 of AUC (`just study experts`).
    """
    known, _ = out_of_fold_cut(prepared.training)
    return refine(known, _council(known, config).selected_, prepared.state, config)


def fit(
    prepared: Prepared,
    refined: Refined,
    config: TrainConfig,
    recommendation: Recommendation,
    /,
    *,
    early: Refined | None = None,
    folder: Path | None = None,
    n_threads: int = 2,
    on_progress: OnProgress = lambda *_: None,
) -> Trained:
    """Fit the mixture with the effort recommended, on training rows only.

    Experts that look back read the rows between the training rows too, their features alone. The fits that predict
    later training rows read what `early` shows; see `refine_early`.
    """
    trader = MoneyMachineTrader(experts=build_experts(config.experts), gate=GatingNetwork(), seed=config.seed)
    trader.fit(
        refined.apply(prepared.training),
        effort=recommendation.effort,
        history=refined.apply(prepared.before_judged),
        views=refined.views,
        early=None if early is None else _early_view(prepared, early),
        folder=folder,
        n_threads=n_threads,
        progress=on_progress,
    )
    chosen = _thresholds(prepared, trader, config)
    return Trained(
        recommendation,
        trader,
        {name: threshold.value for name, threshold in chosen.items()},
        sweep=chosen["mixture"].sweep,
        is_threshold_allowed=chosen["mixture"].is_allowed,
    )


# ------------------------------------------------------------------------------------


def _thresholds(prepared: Prepared, trader: MoneyMachineTrader, config: TrainConfig) -> dict[str, Threshold]:
    """Of the mixture, each expert and boosting alone, each by its own out-of-fold predictions."""
    oof = trader.oof_
    columns = {"mixture": "probability"} | {name: f"{name}_probability" for name in trader.experts_}
    if "boosting_probability" in oof.columns:
        columns["boosting alone"] = "boosting_probability"
    asked = {"open_time_ms": oof["open_time"].to_physical().to_numpy(), "label": oof["label"].to_numpy()}
    if "symbol" in oof.columns:
        place = {name: i for i, name in enumerate(trader.symbols_)}
        asked["symbol"] = np.array([place[name] for name in oof["symbol"]])
    return {
        name: choose(prepared, config, probability=oof[column].to_numpy(), **asked) for name, column in columns.items()
    }


def _early_view(prepared: Prepared, early: Refined) -> EarlyView:
    return EarlyView(early.apply(prepared.training), early.apply(prepared.before_judged), early.views)


def _suspicious(training: TrainingRows) -> list[Finding]:
    """What each symbol's rows tell of its own future; of a column that several find suspicious the most certain."""
    found: dict[tuple[str, str], Finding] = {}
    for code in range(len(training.symbols)):
        own = training.of_symbol(code)
        if len(training.symbols) > 1 and len(own) < MIN_ROWS:
            continue
        for finding in suspicious_columns(own):
            known = found.get((finding.subject, finding.against))
            if known is None or finding.at_least > known.at_least:
                found[finding.subject, finding.against] = finding
    return sorted(found.values(), key=lambda finding: (-finding.at_least, finding.subject, finding.against))


def _council(training: TrainingRows, config: TrainConfig) -> AlphaCouncil:
    training = training.in_turn()
    imputer = MedianImputer().fit_rows(training)
    council = AlphaCouncil(
        top_ratio=config.top_ratio,
        max_features=config.max_features,
        one_per_family=config.one_per_family,
        seed=config.seed,
    )
    council.fit_rows(replace(training, x=imputer.transform(training.x)))
    return council
