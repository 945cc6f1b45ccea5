"""The stage of a run that scores: what the model says about rows that no fit has seen, beside what it has to beat."""

import math
from collections.abc import Iterator

import numpy as np
import polars as pl

from mmf.evaluation.baselines import BASELINES
from mmf.evaluation.drift import feature_drift
from mmf.evaluation.intervals import score_intervals
from mmf.evaluation.scores import evaluate
from mmf.evaluation.suspicion import suspicious_scores
from mmf.evaluation.telemetry import Regimes, reliability, switched_off, telemetry, telemetry_by_regime
from mmf.pipeline.config import TrainConfig
from mmf.pipeline.prepare import Prepared
from mmf.pipeline.refine import Refined
from mmf.pipeline.stages import Judged, Trained
from mmf.pipeline.threshold import choose
from mmf.rows import PHYSICS_TRIO, Rows


def judge(prepared: Prepared, refined: Refined, trained: Trained, config: TrainConfig, /) -> Judged:
    """Score the mixture, each expert and the baselines on the judged rows."""
    rows, trader = refined.apply(prepared.judged), trained.trader
    horizon = rows_of_horizon(prepared.judged, config.label.horizon)
    opinions = trader.predict(rows, history=refined.apply(prepared.dataset.rows))
    told = {name: (p, threshold) for name, p, threshold in _told(prepared, trained, opinions, config)}
    scores = {
        name: evaluate(p, rows.label, threshold=threshold, horizon=horizon) for name, (p, threshold) in told.items()
    }
    training = refined.apply(prepared.training)
    return Judged(
        predictions=_predictions(prepared, opinions),
        scores=scores,
        telemetry=telemetry(opinions),
        regimes=telemetry_by_regime(opinions, rows, Regimes.of(training)),
        uplift=switched_off(opinions, rows.label, out_of_fold=trader.oof_, horizon=horizon),
        reliability=reliability(opinions["probability"].to_numpy(), rows.label),
        intervals=score_intervals(
            {name: p for name, (p, _) in told.items()},
            rows.label,
            thresholds={name: threshold for name, (_, threshold) in told.items()},
            horizon=horizon,
            seed=config.seed,
        ),
        drift=feature_drift(training, rows, tuple(dict.fromkeys([*PHYSICS_TRIO, *refined.columns]))),
        suspicious=suspicious_scores(scores),
    )


def rows_of_horizon(rows: Rows, horizon: int, /) -> int:
    """Return how many rows the labels of one instant overlap: what is alike in time counts once, not once a symbol."""
    return math.ceil(horizon * rows.n_together)


# ------------------------------------------------------------------------------------


def _told(
    prepared: Prepared, trained: Trained, opinions: pl.DataFrame, config: TrainConfig
) -> Iterator[tuple[str, np.ndarray, float]]:
    """Name, probabilities of the judged rows and threshold: the mixture, experts, boosting alone, baselines."""
    columns = {"mixture": "probability"} | {name: f"{name}_probability" for name in trained.trader.experts_}
    if "boosting_probability" in opinions.columns:  # the part of Trend that needs no network
        columns["boosting alone"] = "boosting_probability"
    for name, column in columns.items():
        yield name, opinions[column].to_numpy(), trained.thresholds[name]
    training = prepared.training
    for baseline in BASELINES:
        if set(baseline.columns) <= set(training.columns):
            known, told = (baseline.predict(training, part) for part in (training, prepared.judged))
            asked = {"open_time_ms": training.open_time_ms, "label": training.label, "symbol": training.symbol}
            cut = choose(prepared, config, probability=known, **asked)
            yield baseline.name, told, cut.value


def _predictions(prepared: Prepared, opinions: pl.DataFrame) -> pl.DataFrame:
    label = pl.Series("label", prepared.judged.label).fill_nan(None)
    close = prepared.dataset.named_bars.select("open_time", "symbol", "close")
    named = opinions.with_columns(label, prepared.judged.symbol_names)
    table = named.join(close, on=("open_time", "symbol"), how="left", maintain_order="left")
    leading = ("open_time", "symbol", "close", "label", "probability")
    return table.select(*leading, pl.exclude(*leading))
