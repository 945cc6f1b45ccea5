"""What the parts of an evaluation come to: tables, intervals, the joined verdict, the place above the noise."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import polars as pl

from mmf.bars import DAY_MS
from mmf.evaluation.backtest import YEAR_DAYS
from mmf.evaluation.intervals import score_intervals
from mmf.evaluation.portfolio import hold_all
from mmf.evaluation.trials import sharpe_variance
from mmf.evaluation.verdict import Verdict, doubted, judge_trades
from mmf.pipeline.config import TrainConfig
from mmf.pipeline.part import PartResult, long_rows
from mmf.pipeline.prepare import Loaded

_NOISE_SCORES = ("roc_auc", "pr_auc_lift", "net_return")


@dataclass(frozen=True)
class WalkForward:
    """A walk-forward: folds one after the other, and what they are together.

    Attributes
    ----------
    folds : pl.DataFrame
        One row a fold, in time.
    predictions : pl.DataFrame
        fold, open_time, label, probability, threshold and those of the volatility baseline, of all judged bars.
    scores : pl.DataFrame
        Of all folds joined: model, score, value, low, high (95 %, by a stationary block bootstrap).
    equity : pl.DataFrame
        One row a judged bar: open_time, close, equity, gross, drawdown, position, buy_and_hold.
    verdict : Verdict
        Of all judged bars, traded at the threshold of each fold.
    n_effective : float
        Independent outcomes among the labelled judged bars.
    """

    folds: pl.DataFrame
    predictions: pl.DataFrame
    scores: pl.DataFrame
    equity: pl.DataFrame
    verdict: Verdict
    n_effective: float

    def as_dict(self) -> dict[str, Any]:
        """Return what is not a table of bars as JSON takes it."""
        return {
            "n_effective": self.n_effective,
            "verdict": self.verdict.as_dict() | {"buy_and_hold": float(self.equity["buy_and_hold"][-1] - 1)},
            "scores": self.scores.to_dicts(),
            "folds": self.folds.to_dicts(),
        }


def join_folds(
    parts: Sequence[PartResult],
    loaded: Loaded,
    config: TrainConfig,
    /,
    *,
    others: pl.DataFrame,
    suspects: Sequence[str] = (),
) -> WalkForward:
    """Join the folds of a walk-forward.

    Parameters
    ----------
    parts : sequence of PartResult
        In time.
    loaded : Loaded
        The rows that were cut.
    config : TrainConfig
        Of the run.
    others : pl.DataFrame
        Other trials on the series; see `mmf.evaluation.trials.Ledger.others`.
    suspects : sequence of str
        Columns and models of the run that may know the future: the folds read the same columns, and what they gain is
        no evidence either.

    Notes
    -----
    Probabilities of several models stand side by side in the joined scores: ROC-AUC and PR-AUC across folds also ask
    whether 60 % of one fold means as much as 60 % of another. A position may be held across the border of two folds.
    """
    folds = _table(parts, "fold", range(1, len(parts) + 1))
    numbered = [part.predictions.select(pl.lit(i).alias("fold"), pl.all()) for i, part in enumerate(parts, 1)]
    told = pl.concat(numbered)
    times = told["open_time"].to_physical().to_numpy()
    (desk,) = (one.between(times) for one in loaded.desks)
    interval = loaded.state.series.grid
    verdict, result = judge_trades(
        [desk],
        [np.nan_to_num(desk.aligned(times, long_rows(told).astype(np.float64))) > 0],
        interval=interval,
        rules=config.rules,
        costs=config.costs,
        n_trials=1 + others.height,
        trial_variance=sharpe_variance(others["sharpe"], per_year=YEAR_DAYS * DAY_MS / interval.ms),
        seed=config.seed,
    )
    held = hold_all([desk], interval=interval, costs=config.costs)
    columns = ("open_time", "close", "equity", "gross", "drawdown", "position", "buy_and_hold")
    return WalkForward(
        folds=folds,
        predictions=told,
        scores=_joined_scores(told, config),
        equity=result.whole.equity.with_columns(desk.bars["close"], buy_and_hold=held).select(columns),
        verdict=doubted(verdict, suspects),
        n_effective=(told.height - told["label"].null_count()) / config.label.horizon,
    )


def combination_table(parts: Sequence[PartResult], tested: Sequence[tuple[int, ...]], /) -> pl.DataFrame:
    """Return one row a combination: blocks (those tested, such as `1 4`), then the figures of the part."""
    return _table(parts, "blocks", [" ".join(str(block + 1) for block in blocks) for blocks in tested])


def noise_table(parts: Sequence[PartResult], kinds: Sequence[tuple[str, int]], /) -> pl.DataFrame:
    """Return one row a surrogate: kind, seed, then the figures of the part."""
    seeds = _table(parts, "seed", [seed for _, seed in kinds])
    return seeds.insert_column(0, pl.Series("kind", [kind for kind, _ in kinds], pl.String))


def noise_standing(noise: pl.DataFrame, own: Mapping[str, float | None], /) -> pl.DataFrame:
    """Return where a run's scores lie among those that the pipeline makes of nothing.

    Parameters
    ----------
    noise : pl.DataFrame
        From `noise_table`.
    own : mapping
        The run's roc_auc, pr_auc, base_rate and net_return.

    Returns
    -------
    pl.DataFrame
        One row a kind and score: kind, score, own, median, p95 (of the surrogates), n, share_below, p. The score
        `pr_auc_lift` is PR-AUC over base rate, since base rates differ from market to market. p is (1 + surrogates
        that score at least as much) / (1 + n); null where the run has no such score.
    """
    with_lift = noise.with_columns(pr_auc_lift=pl.col("pr_auc") / pl.col("base_rate"))
    pr_auc, base = own.get("pr_auc"), own.get("base_rate")
    mine = dict(own) | {"pr_auc_lift": pr_auc / base if pr_auc is not None and base else None}
    rows = []
    for kind in noise["kind"].unique(maintain_order=True):
        of_kind = with_lift.filter(pl.col("kind") == kind)
        for score in _NOISE_SCORES:
            values, value = of_kind[score].drop_nulls().to_numpy(), mine.get(score)
            if len(values):
                rows.append((kind, score, value, *_standing(values, value)))
    figures = ("own", "median", "p95")
    schema = {"kind": pl.String, "score": pl.String, **dict.fromkeys(figures, pl.Float64), "n": pl.Int64}
    return pl.DataFrame(rows, schema=schema | {"share_below": pl.Float64, "p": pl.Float64}, orient="row")


# ------------------------------------------------------------------------------------

_TIMES = ("training_first", "training_last", "judged_first", "judged_last")
_COUNTS = ("n_training", "n_judged", "n_purged", "n", "n_trades")


def _table(parts: Sequence[PartResult], name: str, values: Sequence[Any]) -> pl.DataFrame:
    """One row a part, under one schema whatever is null."""
    rows = [{name: value} | part.figures for value, part in zip(values, parts, strict=True)]
    parsed = [{key: datetime.fromisoformat(v) if key in _TIMES else v for key, v in row.items()} for row in rows]
    kinds: dict[str, Any] = dict.fromkeys(_TIMES, pl.Datetime("ms", "UTC")) | dict.fromkeys(_COUNTS, pl.Int64)
    kinds[name] = pl.String if isinstance(values[0], str) else pl.Int64
    return pl.DataFrame(parsed, schema={key: kinds.get(key, pl.Float64) for key in parsed[0]})


def _joined_scores(told: pl.DataFrame, config: TrainConfig) -> pl.DataFrame:
    probabilities = {"mixture": told["probability"].to_numpy()}
    thresholds: dict[str, float | np.ndarray] = {"mixture": told["threshold"].to_numpy()}
    if not told["volatility_probability"].null_count():
        probabilities["volatility only"] = told["volatility_probability"].to_numpy()
        thresholds["volatility only"] = told["volatility_threshold"].to_numpy()
    label = told["label"].fill_null(float("nan")).to_numpy()
    return score_intervals(probabilities, label, thresholds=thresholds, horizon=config.label.horizon, seed=config.seed)


def _standing(values: np.ndarray, own: float | None) -> tuple[float, float, int, float | None, float | None]:
    median, high = (float(np.quantile(values, share)) for share in (0.5, 0.95))
    if own is None:
        return median, high, len(values), None, None
    p = (1 + int((values >= own).sum())) / (1 + len(values))
    return median, high, len(values), float((values < own).mean()), p
