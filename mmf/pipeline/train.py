"""One run: rows of a table state, council, experts under the gate, honest scores, artifacts."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from mmf.alpha_council import AlphaCouncil
from mmf.bars import Series
from mmf.evaluation.baselines import VolatilityBaseline
from mmf.evaluation.scores import Scores, choose_threshold, evaluate
from mmf.experts import default_experts
from mmf.gate import GatingNetwork
from mmf.impute import MedianImputer
from mmf.pipeline.artifacts import RunArtifacts, save_artifacts
from mmf.pipeline.config import TrainConfig
from mmf.pipeline.dataset import Dataset, load_dataset
from mmf.pipeline.state import TableState
from mmf.rows import PHYSICS_TRIO, Rows, TrainingRows
from mmf.scheduler import Recommendation, market_state, recommend
from mmf.splits import Split, chronological_split
from mmf.trader import MoneyMachineTrader
from warehouse import Warehouse

OnProgress = Callable[[str, float], None]


@dataclass(frozen=True)
class Prepared:
    """Stage 1: the rows of a table state, cut in time."""

    state: TableState
    dataset: Dataset
    split: Split
    training: TrainingRows
    judged: Rows


@dataclass(frozen=True)
class Selected:
    """Stage 2: what the Alpha Council lets through."""

    council: AlphaCouncil
    columns: tuple[str, ...]


@dataclass(frozen=True)
class Trained:
    """Stage 3: the scheduler's advice and the fitted mixture."""

    recommendation: Recommendation
    trader: MoneyMachineTrader
    threshold: float


@dataclass(frozen=True)
class Judged:
    """Stage 4: scores on the judged rows, which no fit has seen.

    Attributes
    ----------
    predictions : pl.DataFrame
        One row per out-of-sample bar, the newest unlabelled ones included: open_time, close, label, probability, and
        probability and gate weight of each expert.
    scores : mapping of str to Scores
        `mixture`, each expert alone, and `volatility only`.
    """

    predictions: pl.DataFrame
    scores: Mapping[str, Scores]
    telemetry: Mapping[str, float]
    base_rate: float


@dataclass(frozen=True)
class RunResult:
    """The whole run."""

    config: TrainConfig
    prepared: Prepared
    selected: Selected
    trained: Trained
    judged: Judged
    artifacts: RunArtifacts


def train(
    warehouse: Warehouse,
    state: TableState,
    config: TrainConfig,
    /,
    *,
    artifacts: Path,
    on_stage: Callable[[object], None] = lambda _: None,
    on_progress: OnProgress = lambda *_: None,
) -> RunResult:
    """Train on a table state and judge the result on rows that no fit has seen.

    Parameters
    ----------
    warehouse : Warehouse
        Where the table state lies; votes and the run are recorded there.
    state : TableState
        Series, feature version and snapshot to read.
    config : TrainConfig
        What to do.
    artifacts : Path
        Folder for predictions, card and model.
    on_stage : callable
        Receives `Prepared`, `Selected`, `Trained` and `Judged` as each is reached.
    on_progress : callable(step, share)
        Receives the share done of a long step.

    Raises
    ------
    DataError
        The physics trio is absent, too few rows are left, or a class is missing among the training rows.
    """
    prepared = prepare(warehouse, state, config)
    on_stage(prepared)
    selected = select(prepared.training, config, on_progress=on_progress)
    on_stage(selected)
    recommendation = recommend(market_state(prepared.training))
    on_stage(recommendation)
    trained = fit(prepared.training, selected, config, recommendation, on_progress=on_progress)
    on_stage(trained)
    judged = judge(prepared, selected, trained)
    on_stage(judged)
    saved = save_artifacts(warehouse, artifacts, config, prepared, selected, trained, judged)
    return RunResult(config, prepared, selected, trained, judged, saved)


def prepare(warehouse: Warehouse, state: TableState, config: TrainConfig, /) -> Prepared:
    """Read the rows and cut them in time, purged by the label's horizon."""
    with warehouse.pin(state.snapshot) as snapshot:
        dataset = load_dataset(
            snapshot,
            state.series,
            version=state.version,
            base_columns=state.columns,
            label=config.label,
            lags=config.lags,
            days=config.days,
        )
    split = chronological_split(dataset.rows, test_share=config.test_share)
    return Prepared(state, dataset, split, split.training(dataset.rows), split.testing(dataset.rows))


def select(training: TrainingRows, config: TrainConfig, /, *, on_progress: OnProgress = lambda *_: None) -> Selected:
    """Let the Alpha Council choose columns from training rows only."""
    on_progress("alpha council", 0.0)
    council = AlphaCouncil(top_ratio=config.top_ratio, max_features=config.max_features, seed=config.seed)
    x = MedianImputer().fit(training.x).transform(training.x)
    council.fit_rows(training, x)
    on_progress("alpha council", 1.0)
    return Selected(council, council.selected_)


def fit(
    training: TrainingRows,
    selected: Selected,
    config: TrainConfig,
    recommendation: Recommendation,
    /,
    *,
    on_progress: OnProgress = lambda *_: None,
) -> Trained:
    """Fit the mixture with the effort recommended, on training rows only."""
    trader = MoneyMachineTrader(experts=default_experts(seed=config.seed), gate=GatingNetwork(seed=config.seed))
    trader.fit(training.select(selected.columns), effort=recommendation.effort, progress=on_progress)
    threshold = choose_threshold(trader.oof_["probability"].to_numpy(), trader.oof_["label"].to_numpy())
    return Trained(recommendation, trader, threshold)


def judge(prepared: Prepared, selected: Selected, trained: Trained, /) -> Judged:
    """Score the mixture, each expert and the volatility-only baseline on the judged rows."""
    names = trained.trader.expert_names
    table = trained.trader.predict(prepared.judged.select(selected.columns))
    bars = prepared.dataset.bars.select("open_time", "close")
    label = pl.Series("label", prepared.judged.label).fill_nan(None)
    predictions = table.join(bars, on="open_time", how="left", maintain_order="left").with_columns(label)
    known = predictions.filter(pl.col("label").is_not_null())
    truth = known["label"].to_numpy()
    baseline = VolatilityBaseline().fit(prepared.training)
    probabilities = {
        "mixture": known["probability"].to_numpy(),
        **{name: known[f"{name}_probability"].to_numpy() for name in names},
    }
    scores = {
        name: evaluate(probability, truth, threshold=trained.threshold, horizon=config.label.horizon)
        for name, probability in probabilities.items()
    }
    is_known = ~np.isnan(prepared.judged.label)
    return Judged(
        predictions=predictions.select("open_time", "close", "label", "probability", pl.exclude(*_LEADING)),
        scores=scores | {"volatility only": baseline_scores},
        telemetry=trained.trader.telemetry(prepared.judged.select(selected.columns)),
    )


# ------------------------------------------------------------------------------------

_LEADING = ("open_time", "close", "label", "probability")
