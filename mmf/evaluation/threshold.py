"""From which probability on a row is traded: swept over out-of-fold predictions of training rows."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl

from mmf.bars import Interval
from mmf.errors import CallError
from mmf.evaluation.backtest import Costs, Performance, Rules
from mmf.evaluation.portfolio import Desk, performance_of, trade_all
from mmf.evaluation.scores import choose_threshold

USUAL_TRADES = 20
LONG_SHARES = (0.02, 0.05, *np.arange(0.1, 0.91, 0.05).round(2).tolist())


@dataclass(frozen=True, kw_only=True)
class Constraints:
    """What a threshold must leave.

    Attributes
    ----------
    min_trades : int, optional
        Trades over the out-of-fold rows. By default 20, or a quarter of those that fit there one after another where
        that is fewer: on a short range 20 trades would leave no choice but to be long nearly always.
    min_recall : float
        Share of the rows with label 1 that are long.
    """

    min_trades: int | None = None
    min_recall: float = 0.1

    def __post_init__(self) -> None:
        if (self.min_trades is not None and self.min_trades < 1) or not 0 <= self.min_recall < 1:
            raise CallError(f"{self}: min_trades is 1 or more, min_recall a share below 1.")

    def trades_of(self, n_bars: int, rules: Rules, /) -> int:
        """Return how many trades a range of bars must hold."""
        if self.min_trades is not None:
            return self.min_trades
        return min(USUAL_TRADES, max(1, n_bars * rules.at_once // rules.horizon // 4))


@dataclass(frozen=True)
class Threshold:
    """The threshold chosen, and all that were tried.

    Attributes
    ----------
    value : float
        A row is long where its probability is above this.
    sweep : pl.DataFrame
        One row a threshold, ascending: threshold, n_signals, n_trades, precision, recall, exposure, net_return,
        excess, sharpe, is_allowed, is_chosen. `excess` is the log net return less what holding as much all the
        time would have brought.
    is_allowed : bool
        Whether one kept the constraints; where none did, as many rows are long as have label 1.
    """

    value: float
    sweep: pl.DataFrame
    is_allowed: bool


def sweep_thresholds(
    desks: Sequence[Desk],
    probabilities: Sequence[np.ndarray],
    labels: Sequence[np.ndarray],
    /,
    *,
    interval: Interval,
    rules: Rules,
    costs: Costs,
    constraints: Constraints,
    long_shares: Sequence[float] = LONG_SHARES,
) -> Threshold:
    """Choose the threshold whose trades brought most beyond their time in the market: one for all symbols.

    Parameters
    ----------
    desks : sequence of Desk
        One a symbol: consecutive stored bars, from the first row with a prediction to the last.
    probabilities, labels : sequence of np.ndarray
        Of each symbol the (n,) out-of-fold probabilities and labels, NaN where a bar has none: such a bar gives no
        signal.
    interval, rules, costs
        See `mmf.evaluation.backtest.backtest`.
    constraints : Constraints
        What a threshold must leave.
    long_shares : sequence of float
        Shares of the rows with a prediction that are long; each is tried.

    Notes
    -----
    The net return alone would choose "always long" in a market that rose. Returns are net of costs, so that many small
    trades do not win either.
    """
    probability, label = np.concatenate(probabilities), np.concatenate(labels)
    is_known = ~np.isnan(probability)
    usual = choose_threshold(probability[is_known], label[is_known])
    tried = sorted({usual, *(float(cut) for cut in _cuts(probability[is_known], long_shares))})
    drift = float(np.log(np.mean([desk.bars["close"][-1] / desk.bars["open"][0] for desk in desks])))
    n_bars = sum(desk.bars.height for desk in desks)
    needed = replace(constraints, min_trades=constraints.trades_of(n_bars, rules))
    rows = []
    for threshold in tried:
        signals = [np.nan_to_num(of, nan=-np.inf) > threshold for of in probabilities]
        result = trade_all(desks, signals, interval=interval, rules=rules, costs=costs)
        found = performance_of(result, interval=interval, rules=rules)
        held = float(result.whole.equity["position"].to_numpy().mean()) * drift
        rows.append({"threshold": threshold} | _figures(found, np.concatenate(signals), label, held, needed))
    sweep = pl.DataFrame(rows, schema=_SWEEP)
    allowed = sweep.filter("is_allowed")
    chosen = usual if allowed.is_empty() else allowed.sort("excess", "threshold", descending=True)["threshold"][0]
    return Threshold(chosen, sweep.with_columns(is_chosen=pl.col("threshold") == chosen), not allowed.is_empty())


# ------------------------------------------------------------------------------------

_SWEEP: dict[str, Any] = {
    "threshold": pl.Float64,
    "n_signals": pl.Int64,
    "n_trades": pl.Int64,
    "precision": pl.Float64,
    "recall": pl.Float64,
    "exposure": pl.Float64,
    "net_return": pl.Float64,
    "excess": pl.Float64,
    "sharpe": pl.Float64,
    "is_allowed": pl.Boolean,
}


def _cuts(probability: np.ndarray, long_shares: Sequence[float]) -> np.ndarray:
    return np.quantile(probability, [1 - share for share in long_shares], method="lower")


def _figures(
    found: Performance, signals: np.ndarray, label: np.ndarray, held: float, constraints: Constraints
) -> dict[str, float | int | bool | None]:
    n_long, n_ones = int(signals.sum()), int((label == 1).sum())
    n_right = int((signals & (label == 1)).sum())
    recall = n_right / n_ones
    return {
        "n_signals": n_long,
        "n_trades": found.n_trades,
        "precision": n_right / n_long if n_long else None,
        "recall": recall,
        "exposure": found.exposure,
        "net_return": found.net_return,
        "excess": float(np.log1p(found.net_return)) - held,
        "sharpe": found.sharpe,
        "is_allowed": found.n_trades >= (constraints.min_trades or 1) and recall >= constraints.min_recall,
    }
