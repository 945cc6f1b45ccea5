"""The last stage of a run: what trading on the judged rows would have brought, and the verdict."""

from collections.abc import Sequence

import numpy as np
import polars as pl

from mmf.bars import DAY_MS
from mmf.evaluation.backtest import YEAR_DAYS, Backtest, backtest, holding, performance
from mmf.evaluation.suspicion import Finding
from mmf.evaluation.trials import Ledger, overfitting, sharpe_variance
from mmf.evaluation.verdict import doubted, judge_trades
from mmf.pipeline.config import TrainConfig
from mmf.pipeline.prepare import Prepared
from mmf.pipeline.stages import Judged, Traded, Trained
from mmf.pipeline.threshold import aligned, between

COST_FACTORS = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0)


def trade(
    prepared: Prepared,
    trained: Trained,
    judged: Judged,
    config: TrainConfig,
    /,
    *,
    ledger: Ledger,
    predictions_hash: str,
    suspicious: Sequence[Finding] = (),
) -> Traded:
    """Trade the judged rows at the mixture's threshold, and judge what came of it.

    Parameters
    ----------
    prepared, trained, judged : Prepared, Trained, Judged
        The run so far.
    config : TrainConfig
        Rules and costs.
    ledger : Ledger
        Earlier trainings on the series: the more were tried, the less the best of them means.
    predictions_hash : str
        Of this run: a repeated run is no new trial.
    suspicious : sequence of Finding
        Columns that know too much; suspicious scores are known from `judged`. Where there are any, no gain is called
        an edge.
    """
    times = judged.predictions["open_time"].to_physical().to_numpy()
    bars = between(prepared.dataset.bars, times)
    probability = aligned(bars, times, judged.predictions["probability"].to_numpy())
    signals = np.nan_to_num(probability) > trained.thresholds["mixture"]
    interval, funding = prepared.state.series.grid, prepared.funding
    others = ledger.others(predictions_hash)
    verdict, result = judge_trades(
        bars,
        signals,
        interval=interval,
        rules=config.rules,
        costs=config.costs,
        n_trials=1 + others.height,
        trial_variance=sharpe_variance(others["sharpe"], per_year=YEAR_DAYS * DAY_MS / interval.ms),
        funding=funding,
        seed=config.seed,
    )
    at_costs = {
        factor: backtest(
            bars, signals, interval=interval, rules=config.rules, costs=config.costs.times(factor), funding=funding
        )
        for factor in COST_FACTORS
    }
    return Traded(
        verdict=doubted(verdict, [finding.subject for finding in (*suspicious, *judged.suspicious)]),
        trades=_named(result.trades, prepared),
        equity=_with_holding(result, bars, config, funding),
        cost_sensitivity=_sensitivity(at_costs, config, prepared),
        trials=others,
        overfitting_probability=overfitting(result.equity, ledger.equity, run_ids=others["run_id"].to_list()),
        has_funding=funding is not None and not funding.is_empty(),
    )


# ------------------------------------------------------------------------------------


def _named(trades: pl.DataFrame, prepared: Prepared) -> pl.DataFrame:
    return trades.insert_column(0, pl.lit(prepared.state.series.symbol).alias("symbol"))


def _with_holding(
    result: Backtest, bars: pl.DataFrame, config: TrainConfig, funding: pl.DataFrame | None
) -> pl.DataFrame:
    held = holding(bars, costs=config.costs, funding=funding)
    columns = ("open_time", "close", "equity", "gross", "drawdown", "position", "buy_and_hold")
    return result.equity.with_columns(bars["close"], buy_and_hold=held).select(columns)


def _sensitivity(at_costs: dict[float, Backtest], config: TrainConfig, prepared: Prepared) -> pl.DataFrame:
    found = {
        factor: performance(result, interval=prepared.state.series.grid, rules=config.rules)
        for factor, result in at_costs.items()
    }
    rows = [(factor, told.net_return, told.sharpe, told.hit_rate) for factor, told in found.items()]
    figures = dict.fromkeys(("factor", "net_return", "sharpe", "hit_rate"), pl.Float64)
    return pl.DataFrame(rows, schema=figures, orient="row")
