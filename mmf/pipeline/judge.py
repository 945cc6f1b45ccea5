"""The last stage of a run: what the model says about rows that no fit has seen, beside what it has to beat."""

import polars as pl

from mmf.evaluation.baselines import BASELINES
from mmf.evaluation.scores import choose_threshold, evaluate
from mmf.evaluation.suspicion import suspicious_scores
from mmf.evaluation.telemetry import Regimes, reliability, switched_off, telemetry, telemetry_by_regime
from mmf.pipeline.config import TrainConfig
from mmf.pipeline.prepare import Prepared
from mmf.pipeline.refine import Refined
from mmf.pipeline.stages import Judged, Trained


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
