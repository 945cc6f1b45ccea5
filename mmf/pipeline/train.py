"""One run: rows of a table state, council, refinery, experts under the gate, honest scores."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import polars as pl

from mmf.alpha_council import AlphaCouncil
from mmf.evaluation.baselines import BASELINES
from mmf.evaluation.scores import Scores, choose_threshold, evaluate
from mmf.evaluation.suspicion import Finding, suspicious_columns, suspicious_scores
from mmf.evaluation.telemetry import (
    Regimes,
    Uplift,
    reliability,
    switched_off,
    telemetry,
    telemetry_by_regime,
)
from mmf.experts.registry import build_experts
from mmf.features.registry import UserFeatures
from mmf.gate import GatingNetwork
from mmf.impute import MedianImputer
from mmf.pipeline.config import TrainConfig
from mmf.pipeline.dataset import Dataset, load_dataset
from mmf.pipeline.freshness import require_current
from mmf.pipeline.lineage import MMF_ONLY
from mmf.pipeline.refine import Refined, refine
from mmf.pipeline.state import TableState
from mmf.rows import Rows, TrainingRows
from mmf.scheduler import Recommendation, market_state, recommend
from mmf.splits import chronological_split
from mmf.trader import MoneyMachineTrader
from warehouse import Warehouse

OnProgress = Callable[[str, float], None]


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
    """

    state: TableState
    dataset: Dataset
    training: TrainingRows
    judged: Rows
    n_purged: int

    @property
    def before_judged(self) -> Rows:
        """All rows before the first judged one, with or without a label that a fit may see."""
        rows = self.dataset.rows
        return rows.take(rows.open_time_ms < self.judged.open_time_ms[0])

    @property
    def n_unlabelled(self) -> int:
        """Judged rows whose horizon is not over, or whose label's bar is missing."""
        return int(np.isnan(self.judged.label).sum())


@dataclass(frozen=True)
class Selected:
    """Stage 2: what the Alpha Council lets through.

    Attributes
    ----------
    suspicious : sequence of Finding
        Columns that tell more than a column can that reads no future.
    """

    council: AlphaCouncil
    columns: tuple[str, ...]
    suspicious: Sequence[Finding] = ()


@dataclass(frozen=True)
class Trained:
    """Stage 4: the scheduler's advice and the fitted mixture.

    Attributes
    ----------
    thresholds : mapping of str to float
        Probability above which a row is long, of the mixture and of each expert, each chosen by the same rule on its
        own out-of-fold predictions of training rows.
    """

    recommendation: Recommendation
    trader: MoneyMachineTrader
    thresholds: Mapping[str, float]


@dataclass(frozen=True)
class Judged:
    """Stage 5: what the model says about rows that no fit has seen, and how that compares with their labels.

    Attributes
    ----------
    predictions : pl.DataFrame
        One row per out-of-sample bar, the newest ones without a label included: open_time, close, label, probability,
        then probability and gate weight of each expert.
    scores : mapping of str to Scores
        `mixture`, each expert alone, then the baselines; of the same rows, those that have a label.
    telemetry : mapping of str to float
        How the gate shared its trust out over these rows; see `mmf.evaluation.telemetry.telemetry`.
    regimes : pl.DataFrame
        The same by market regime.
    uplift : sequence of Uplift
        What each expert is worth.
    reliability : pl.DataFrame
        How often it happened, by how likely it was said to be.
    suspicious : sequence of Finding
        Scores that are too good to be true.
    """

    predictions: pl.DataFrame
    scores: Mapping[str, Scores]
    telemetry: Mapping[str, float]
    regimes: pl.DataFrame
    uplift: Sequence[Uplift]
    reliability: pl.DataFrame
    suspicious: Sequence[Finding]


@dataclass(frozen=True)
class RunResult:
    """The whole run."""

    config: TrainConfig
    prepared: Prepared
    selected: Selected
    refined: Refined
    trained: Trained
    judged: Judged


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
    on_stage: Callable[[object], None] = lambda _: None,
    on_progress: OnProgress = lambda *_: None,
) -> RunResult:
    """Train on a table state and judge the result on rows that no fit has seen.

    Parameters
    ----------
    warehouse : Warehouse
        Where the table state lies.
    state : TableState
        Series, feature version and snapshot to read.
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
    on_stage : callable
        Receives `Prepared`, `Selected`, `Refined`, `Recommendation`, `Trained` and `Judged` as each is reached.
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
    recommendation = recommend(market_state(prepared.training))
    on_stage(recommendation)
    trained = fit(prepared, refined, config, recommendation, folder=unfinished, on_progress=on_progress)
    on_stage(trained)
    judged = judge(prepared, refined, trained, config)
    on_stage(judged)
    return RunResult(config, prepared, selected, refined, trained, judged)


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


def prepare(
    warehouse: Warehouse, state: TableState, config: TrainConfig, /, *, user: UserFeatures = MMF_ONLY
) -> Prepared:
    """Read the rows and cut them in time, purged by the label's horizon.

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
        require_current(warehouse, snapshot, state, since_ms=dataset.first_read_ms, context=config.context, user=user)
    rows, split = dataset.rows, chronological_split(dataset.rows, test_share=config.test_share)
    is_judged = rows.open_time_ms >= split.test_start_ms
    n_purged = int((~is_judged & ~np.isnan(rows.label)).sum()) - len(split.train)
    return Prepared(state, dataset, split.training(rows), rows.take(is_judged), n_purged)


def select(training: TrainingRows, config: TrainConfig, /) -> Selected:
    """Let the Alpha Council choose columns from training rows only."""
    imputer = MedianImputer().fit_rows(training)
    council = AlphaCouncil(
        top_ratio=config.top_ratio,
        max_features=config.max_features,
        one_per_family=config.one_per_family,
        seed=config.seed,
    )
    council.fit_rows(replace(training, x=imputer.transform(training.x)))
    return Selected(council, council.selected_, suspicious_columns(training))


def fit(
    prepared: Prepared,
    refined: Refined,
    config: TrainConfig,
    recommendation: Recommendation,
    /,
    *,
    folder: Path | None = None,
    on_progress: OnProgress = lambda *_: None,
) -> Trained:
    """Fit the mixture with the effort recommended, on training rows only.

    Experts that look back read the rows between the training rows too, their features alone.
    """
    trader = MoneyMachineTrader(experts=build_experts(), gate=GatingNetwork(), seed=config.seed)
    trader.fit(
        refined.apply(prepared.training),
        effort=recommendation.effort,
        history=refined.apply(prepared.before_judged),
        views=refined.views,
        folder=folder,
        progress=on_progress,
    )
    label = trader.oof_["label"].to_numpy()
    columns = {"mixture": "probability"} | {name: f"{name}_probability" for name in trader.experts_}
    thresholds = {name: choose_threshold(trader.oof_[column].to_numpy(), label) for name, column in columns.items()}
    return Trained(recommendation, trader, thresholds)


def judge(prepared: Prepared, refined: Refined, trained: Trained, config: TrainConfig, /) -> Judged:
    """Score the mixture, each expert and the baselines on the judged rows."""
    rows, trader = refined.apply(prepared.judged), trained.trader
    opinions = trader.predict(rows, history=refined.apply(prepared.dataset.rows))
    probabilities = {"mixture": opinions["probability"]} | {
        name: opinions[f"{name}_probability"] for name in trader.experts_
    }
    scores = {
        name: evaluate(p.to_numpy(), rows.label, threshold=trained.thresholds[name], horizon=config.label.horizon)
        for name, p in probabilities.items()
    }
    if "boosting_probability" in opinions.columns:  # the part of Trend that needs no network
        alone = choose_threshold(trader.oof_["boosting_probability"].to_numpy(), trader.oof_["label"].to_numpy())
        told = opinions["boosting_probability"].to_numpy()
        scores["boosting alone"] = evaluate(told, rows.label, threshold=alone, horizon=config.label.horizon)
    for name, baseline in BASELINES.items():
        known, told = (baseline(prepared.training, part) for part in (prepared.training, prepared.judged))
        threshold = choose_threshold(known, prepared.training.label)
        scores[name.replace("_", " ")] = evaluate(told, rows.label, threshold=threshold, horizon=config.label.horizon)
    uplift = switched_off(opinions, rows.label, out_of_fold=trader.oof_, horizon=config.label.horizon)
    return Judged(
        predictions=_predictions(prepared, opinions),
        scores=scores,
        telemetry=telemetry(opinions),
        regimes=telemetry_by_regime(opinions, rows, Regimes.of(refined.apply(prepared.training))),
        uplift=uplift,
        reliability=reliability(opinions["probability"].to_numpy(), rows.label),
        suspicious=suspicious_scores(scores),
    )


# ------------------------------------------------------------------------------------


def _predictions(prepared: Prepared, opinions: pl.DataFrame) -> pl.DataFrame:
    label = pl.Series("label", prepared.judged.label).fill_nan(None)
    close = prepared.dataset.bars.select("open_time", "close")
    table = opinions.with_columns(label).join(close, on="open_time", how="left", maintain_order="left")
    leading = ("open_time", "close", "label", "probability")
    return table.select(*leading, pl.exclude(*leading))
