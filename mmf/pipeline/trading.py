"""The last stage of a run: what trading on the judged rows would have brought, and the verdict."""

from collections.abc import Sequence
from dataclasses import asdict

import numpy as np
import polars as pl

from mmf.bars import DAY_MS, Interval
from mmf.evaluation.backtest import YEAR_DAYS
from mmf.evaluation.portfolio import Desk, Portfolio, hold_all, performance_of, trade_all
from mmf.evaluation.suspicion import Finding
from mmf.evaluation.trials import Ledger, overfitting, sharpe_variance, traded_as
from mmf.evaluation.verdict import doubted, judge_trades
from mmf.pipeline.config import TrainConfig
from mmf.pipeline.prepare import Prepared
from mmf.pipeline.stages import Judged, Traded, Trained
from mmf.pipeline.threshold import asked_desks

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
    """Trade the judged rows of each symbol at the mixture's threshold, and judge what came of it all.

    Parameters
    ----------
    prepared, trained, judged : Prepared, Trained, Judged
        The run so far.
    config : TrainConfig
        Rules and costs.
    ledger : Ledger
        Earlier trainings on the series: the more were tried, the less the best of them means.
    predictions_hash : str
        Of this run: a repeated run is no new trial; see `mmf.evaluation.trials.Ledger.others`.
    suspicious : sequence of Finding
        Columns that know too much; suspicious scores are known from `judged`. Where there are any, no gain is called
        an edge.
    """
    desks, signals = _wanted(prepared, judged, trained.thresholds["mixture"])
    interval, funding = prepared.state.series.grid, prepared.funding
    others = ledger.others(predictions_hash, traded_as(asdict(config.rules), trained.thresholds["mixture"]))
    verdict, result = judge_trades(
        desks,
        signals,
        interval=interval,
        rules=config.rules,
        costs=config.costs,
        n_trials=1 + others.height,
        trial_variance=sharpe_variance(others["sharpe"], per_year=YEAR_DAYS * DAY_MS / interval.ms),
        seed=config.seed,
    )
    at_costs = {
        factor: trade_all(desks, signals, interval=interval, rules=config.rules, costs=config.costs.times(factor))
        for factor in COST_FACTORS
    }
    return Traded(
        verdict=doubted(verdict, [finding.subject for finding in (*suspicious, *judged.suspicious)]),
        trades=result.whole.trades,
        equity=_with_holding(result, desks, config, interval),
        cost_sensitivity=_sensitivity(at_costs, config, prepared),
        trials=others,
        overfitting_probability=overfitting(result.whole.equity, ledger.equity, run_ids=others["run_id"].to_list()),
        has_funding=funding is not None and not funding.is_empty(),
    )


# ------------------------------------------------------------------------------------


def _wanted(prepared: Prepared, judged: Judged, threshold: float) -> tuple[list[Desk], list[np.ndarray]]:
    """Each symbol over the judged rows, and where a position is wanted."""
    told = judged.predictions
    times, probability = told["open_time"].to_physical().to_numpy(), told["probability"].to_numpy()
    asked = asked_desks(prepared, times, prepared.judged.symbol)
    wanted = [np.nan_to_num(desk.aligned(times[rows], probability[rows])) > threshold for desk, rows in asked]
    return [desk for desk, _ in asked], wanted


def _with_holding(result: Portfolio, desks: list[Desk], config: TrainConfig, interval: Interval) -> pl.DataFrame:
    close = desks[0].bars["close"] if len(desks) == 1 else pl.lit(None, pl.Float64).alias("close")
    columns = ("open_time", "close", "equity", "gross", "drawdown", "position", "buy_and_hold")
    held = hold_all(desks, interval=interval, costs=config.costs)
    return result.whole.equity.with_columns(close, buy_and_hold=held).select(columns)


def _sensitivity(at_costs: dict[float, Portfolio], config: TrainConfig, prepared: Prepared) -> pl.DataFrame:
    found = {
        factor: performance_of(result, interval=prepared.state.series.grid, rules=config.rules)
        for factor, result in at_costs.items()
    }
    rows = [(factor, told.net_return, told.sharpe, told.hit_rate) for factor, told in found.items()]
    figures = dict.fromkeys(("factor", "net_return", "sharpe", "hit_rate"), pl.Float64)
    return pl.DataFrame(rows, schema=figures, orient="row")
