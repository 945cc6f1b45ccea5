"""What the stages of a run hand on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from mmf.alpha_council import AlphaCouncil
from mmf.evaluation.scores import Scores
from mmf.evaluation.suspicion import Finding
from mmf.evaluation.telemetry import Uplift
from mmf.evaluation.verdict import Verdict
from mmf.pipeline.config import TrainConfig
from mmf.pipeline.prepare import Prepared
from mmf.pipeline.refine import Refined
from mmf.scheduler import Recommendation, SchedulerMemory
from mmf.trader import MoneyMachineTrader


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
    sweep : pl.DataFrame
        What each threshold of the mixture would have brought there; see `mmf.evaluation.threshold.Threshold`.
    is_threshold_allowed : bool
        Whether one of them kept the constraints.
    """

    recommendation: Recommendation
    trader: MoneyMachineTrader
    thresholds: Mapping[str, float]
    sweep: pl.DataFrame
    is_threshold_allowed: bool = True


@dataclass(frozen=True)
class Judged:
    """Stage 5: what the model says about rows that no fit has seen, and how that compares with their labels.

    Attributes
    ----------
    predictions : pl.DataFrame
        One row per out-of-sample bar, the newest ones without a label included: open_time, symbol, close, label,
        probability, then probability and gate weight of each expert.
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
    intervals : pl.DataFrame
        How far each score may be trusted; see `mmf.evaluation.intervals.score_intervals`.
    drift : pl.DataFrame
        How far what the classic experts read, and the trio, have moved; see `mmf.evaluation.drift.feature_drift`.
    suspicious : sequence of Finding
        Scores that are too good to be true.
    """

    predictions: pl.DataFrame
    scores: Mapping[str, Scores]
    telemetry: Mapping[str, float]
    regimes: pl.DataFrame
    uplift: Sequence[Uplift]
    reliability: pl.DataFrame
    intervals: pl.DataFrame
    drift: pl.DataFrame
    suspicious: Sequence[Finding]


@dataclass(frozen=True)
class Traded:
    """Stage 6: what trading on it would have brought.

    Attributes
    ----------
    verdict : Verdict
        Edge, no edge, inconclusive or suspicious, and what that rests on.
    trades : pl.DataFrame
        `mmf.evaluation.backtest.TRADE_SCHEMA` behind a column symbol.
    equity : pl.DataFrame
        One row a judged instant: open_time, close (null of several symbols), equity, gross, drawdown, position,
        buy_and_hold.
    cost_sensitivity : pl.DataFrame
        The same trades at multiples of the costs: factor, net_return, sharpe, hit_rate.
    trials : pl.DataFrame
        Earlier trainings on the series that predicted something else; see `mmf.evaluation.trials.Ledger`.
    overfitting_probability : float or None
        How often the best of all trials in one half of the time is below their median in the other.
    has_funding : bool
        Whether the warehouse knew what positions paid for funding.
    """

    verdict: Verdict
    trades: pl.DataFrame
    equity: pl.DataFrame
    cost_sensitivity: pl.DataFrame
    trials: pl.DataFrame
    overfitting_probability: float | None
    has_funding: bool


@dataclass(frozen=True)
class RunResult:
    """The whole run.

    Attributes
    ----------
    memory : SchedulerMemory
        What the scheduler remembered when it recommended the effort.
    """

    config: TrainConfig
    prepared: Prepared
    selected: Selected
    refined: Refined
    trained: Trained
    judged: Judged
    traded: Traded
    memory: SchedulerMemory
