"""The trial ledger: how often a series has been trained on, and what that takes away from the best of the trials."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl

from mmf.evaluation.sharpe import overfitting_probability

TRIAL_SCHEMA = {
    "run_id": pl.String(),
    "created_at": pl.String(),
    "predictions_hash": pl.String(),
    "traded": pl.String(),
    "pr_auc": pl.Float64(),
    "net_return": pl.Float64(),
    "sharpe": pl.Float64(),
}
OVERLAP = 0.8  # share of the bars of this trial that another must cover to be compared bar by bar


@dataclass(frozen=True)
class Ledger:
    """Earlier trainings on a series.

    Attributes
    ----------
    trials : pl.DataFrame
        `TRIAL_SCHEMA`, oldest first: `traded` from `traded_as`, annualised Sharpe ratio of the equity on judged rows;
        null where a run did not record a figure.
    equity : pl.DataFrame
        run_id, open_time, equity of their judged rows.
    """

    trials: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=TRIAL_SCHEMA))
    equity: pl.DataFrame = field(
        default_factory=lambda: pl.DataFrame(
            schema={"run_id": pl.String, "open_time": pl.Datetime("ms", "UTC"), "equity": pl.Float64}
        )
    )

    def others(self, predictions_hash: str, traded: str | None, /) -> pl.DataFrame:
        """Return the trials that predicted something else or traded it otherwise, each once.

        The same run repeated is no new trial, and neither is one that only pays other costs. Where it is not known how
        a trial traded, its predictions alone tell it apart.

        Parameters
        ----------
        predictions_hash : str
            Of this trial.
        traded : str or None
            From `traded_as`.
        """
        is_other = pl.col("predictions_hash").ne_missing(predictions_hash) | pl.col("traded").ne(
            pl.lit(traded, pl.String)
        )
        return self.trials.filter(is_other).unique(["predictions_hash", "traded"], keep="first", maintain_order=True)


def traded_as(rules: Mapping[str, Any], threshold: float, /) -> str:
    """Return what tells one way of trading the same predictions from another: the rules and the threshold.

    Examples
    --------
    >>> traded_as({"horizon": 36, "exit": "horizon"}, 0.25)
    '{"exit": "horizon", "horizon": 36, "threshold": 0.25}'
    """
    return json.dumps({**rules, "threshold": threshold}, sort_keys=True)


def sharpe_variance(sharpes: pl.Series, /, *, per_year: float) -> float | None:
    """Return the variance of the trials' Sharpe ratios of one bar; None where fewer than three are known.

    Parameters
    ----------
    sharpes : pl.Series
        Annualised, null where unknown.
    per_year : float
        Bars in a year.
    """
    known = sharpes.drop_nulls()
    if len(known) < 3:
        return None
    return float(np.var(known.to_numpy() / np.sqrt(per_year), ddof=1))


def overfitting(equity: pl.DataFrame, others: pl.DataFrame, /, *, run_ids: list[str]) -> float | None:
    """Return the probability of backtest overfitting over this trial and the others.

    Parameters
    ----------
    equity : pl.DataFrame
        open_time and equity of this trial.
    others : pl.DataFrame
        run_id, open_time and equity of others; those that cover less than 80 % of the bars are left out, since they
        traded at other times.
    run_ids : list of str
        Which of them count.

    Returns
    -------
    float or None
        None where no other trial covers the bars, or there are too few of them; see
        `mmf.evaluation.sharpe.overfitting_probability`.
    """
    wide = equity.select("open_time", pl.col("equity").alias("this"))
    for run_id in run_ids:
        other = others.filter(pl.col("run_id") == run_id).select("open_time", pl.col("equity").alias(run_id))
        joined = wide.join(other, on="open_time", how="inner")
        if joined.height >= OVERLAP * equity.height:
            wide = joined
    returns = np.diff(np.log(wide.drop("open_time").to_numpy()), axis=0)
    if returns.shape[1] < 2 or len(returns) < 20:
        return None
    return overfitting_probability(returns)
