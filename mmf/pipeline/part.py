"""The whole pipeline on one cut of time: what evidence beyond one split is made of."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from mmf.evaluation.baselines import VOLATILITY_COLUMNS, volatility_only
from mmf.evaluation.calibration_error import calibration_error
from mmf.evaluation.portfolio import hold_all, performance_of, trade_all
from mmf.evaluation.scores import evaluate
from mmf.pipeline.config import TrainConfig
from mmf.pipeline.prepare import Prepared
from mmf.pipeline.refine import refine
from mmf.pipeline.stages import Trained
from mmf.pipeline.threshold import choose
from mmf.pipeline.train import fit, refine_early, select
from mmf.rows import Rows
from mmf.scheduler import market_state, recommend

SHARES = {"council": 0.12, "council on earlier rows": 0.18, "experts": 0.25, "judged": 0.97}  # where each step begins

OnProgress = Callable[[str, float], None]


@dataclass(frozen=True)
class PartResult:
    """What the pipeline made of one part.

    Attributes
    ----------
    figures : dict
        One row of a table, as JSON types: where it was trained and judged, scores, threshold.
    predictions : pl.DataFrame
        One row a judged bar: open_time, label, probability, threshold, volatility_probability, volatility_threshold;
        the last two null where the feature set lacks the columns of that baseline.
    """

    figures: dict[str, Any]
    predictions: pl.DataFrame


def judge_part(
    prepared: Prepared,
    config: TrainConfig,
    /,
    *,
    folder: Path | None = None,
    n_threads: int = 1,
    on_progress: OnProgress = lambda *_: None,
) -> PartResult:
    """Do all that a run does, on training rows of this cut alone, and score the judged rows.

    Council, refinery, scaling, experts, gate, calibration and threshold are fitted anew, the networks too. The
    scheduler has no memory here: it looks at the market of the training rows only, as in the first run on a series.

    Parameters
    ----------
    prepared : Prepared
        Training and judged rows.
    config : TrainConfig
        Of the run.
    folder : Path, optional
        Where fits are kept while the part is unfinished; see `mmf.trader.MoneyMachineTrader.fit`.
    n_threads : int
        Experts fitted at a time. Changes no result.
    on_progress : callable(step, share)
        Told how far it is; what it raises ends the work.

    Raises
    ------
    DataError
        A part of the training rows holds one label only.
    """
    on_progress("council", 0.0)
    selected = select(prepared.training, config)
    on_progress("tensor-flex", SHARES["council"])
    refined = refine(prepared.training, selected.columns, prepared.state, config)
    on_progress("council on earlier rows", SHARES["council on earlier rows"])
    early = refine_early(prepared, config)
    begin, end = SHARES["experts"], SHARES["judged"]
    trained = fit(
        prepared,
        refined,
        config,
        recommend(market_state(prepared.training)),
        early=early,
        folder=folder,
        n_threads=n_threads,
        on_progress=lambda step, share: on_progress(step, begin + (end - begin) * share),
    )
    on_progress("judged rows", end)
    history = refined.apply(prepared.dataset.rows)
    probability = trained.trader.predict(refined.apply(prepared.judged), history=history)["probability"].to_numpy()
    predictions = _predictions(prepared, trained, probability, config)
    return PartResult(_figures(prepared, trained, predictions, config), predictions)


def traded_figures(prepared: Prepared, predictions: pl.DataFrame, config: TrainConfig, /) -> dict[str, Any]:
    """Return what trading the judged bars of a part at its threshold brought; they must follow all training rows."""
    times = predictions["open_time"].to_physical().to_numpy()
    (desk,) = (one.between(times) for one in prepared.desks)
    signals = np.nan_to_num(desk.aligned(times, long_rows(predictions).astype(np.float64))) > 0
    interval = prepared.state.series.grid
    result = trade_all([desk], [signals], interval=interval, rules=config.rules, costs=config.costs)
    told = performance_of(result, interval=interval, rules=config.rules).as_dict()
    names = ("n_trades", "net_return", "gross_return", "sharpe", "max_drawdown", "exposure", "hit_rate")
    held = hold_all([desk], interval=interval, costs=config.costs)
    return {name: told[name] for name in names} | {"buy_and_hold": float(held[-1] - 1)}


def long_rows(predictions: pl.DataFrame, /) -> np.ndarray:
    """Return (n,) whether each judged bar asks for a long position, by the threshold of its part."""
    return (predictions["probability"] > predictions["threshold"]).to_numpy()


# ------------------------------------------------------------------------------------


def _predictions(prepared: Prepared, trained: Trained, probability: np.ndarray, config: TrainConfig) -> pl.DataFrame:
    training, judged = prepared.training, prepared.judged
    told = pl.DataFrame(
        {
            "open_time": pl.Series(judged.open_time_ms).cast(pl.Datetime("ms", "UTC")),
            "label": pl.Series(judged.label).fill_nan(None),
            "probability": probability,
            "threshold": np.full(len(judged), trained.thresholds["mixture"]),
        }
    )
    if not set(VOLATILITY_COLUMNS) <= set(training.columns):
        nothing = pl.lit(None, pl.Float64)
        return told.with_columns(volatility_probability=nothing, volatility_threshold=nothing)
    known, said = (volatility_only(training, rows) for rows in (training, judged))
    chosen = choose(prepared, config, open_time_ms=training.open_time_ms, probability=known, label=training.label)
    return told.with_columns(volatility_probability=pl.Series(said), volatility_threshold=pl.lit(chosen.value))


def _figures(prepared: Prepared, trained: Trained, predictions: pl.DataFrame, config: TrainConfig) -> dict[str, Any]:
    judged, horizon = prepared.judged, config.label.horizon
    probability = predictions["probability"].to_numpy()
    scores = evaluate(probability, judged.label, threshold=trained.thresholds["mixture"], horizon=horizon)
    figures = _span("training", prepared.training) | _span("judged", judged) | {"n_purged": prepared.n_purged}
    figures |= scores.as_dict() | calibration_error(probability, judged.label).as_dict()
    volatility = predictions["volatility_probability"]
    if volatility.null_count():
        return figures | {"volatility_pr_auc": None, "volatility_roc_auc": None}
    cut = float(predictions["volatility_threshold"][0])
    other = evaluate(volatility.to_numpy(), judged.label, threshold=cut, horizon=horizon)
    return figures | {"volatility_pr_auc": other.pr_auc, "volatility_roc_auc": other.roc_auc}


def _span(name: str, rows: Rows) -> dict[str, Any]:
    first, last = (datetime.fromtimestamp(int(rows.open_time_ms[i]) / 1000, UTC) for i in (0, -1))
    return {f"n_{name}": len(rows), f"{name}_first": first.isoformat(), f"{name}_last": last.isoformat()}
