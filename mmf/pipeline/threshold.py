"""Thresholds from out-of-fold predictions of training rows, by the bars that were traded then."""

import numpy as np
import polars as pl

from mmf.evaluation.threshold import Threshold, sweep_thresholds
from mmf.pipeline.config import TrainConfig
from mmf.pipeline.prepare import Prepared


def choose(
    prepared: Prepared, config: TrainConfig, /, *, open_time_ms: np.ndarray, probability: np.ndarray, label: np.ndarray
) -> Threshold:
    """Choose a threshold by what it would have brought on some training rows.

    Parameters
    ----------
    prepared : Prepared
        Whose bars are traded.
    config : TrainConfig
        Rules, costs and constraints.
    open_time_ms, probability, label : np.ndarray
        (n,) each: out-of-fold predictions of training rows.
    """
    bars = between(prepared.dataset.bars, open_time_ms)
    return sweep_thresholds(
        bars,
        aligned(bars, open_time_ms, probability),
        aligned(bars, open_time_ms, label),
        interval=prepared.state.series.grid,
        rules=config.rules,
        costs=config.costs,
        constraints=config.threshold,
        funding=prepared.funding,
    )


def between(bars: pl.DataFrame, open_time_ms: np.ndarray) -> pl.DataFrame:
    """Return all stored bars from the first of these times to the last."""
    return bars.filter(pl.col("open_time").to_physical().is_between(int(open_time_ms[0]), int(open_time_ms[-1])))


def aligned(bars: pl.DataFrame, open_time_ms: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Return (bars,) float64, NaN where a bar has no value."""
    found = np.full(bars.height, np.nan)
    found[np.searchsorted(bars["open_time"].to_physical().to_numpy(), open_time_ms)] = values
    return found
