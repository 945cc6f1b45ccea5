"""Thresholds from out-of-fold predictions of training rows, by the bars that were traded then."""

import numpy as np

from mmf.evaluation.portfolio import Desk
from mmf.evaluation.threshold import Threshold, sweep_thresholds
from mmf.pipeline.config import TrainConfig
from mmf.pipeline.prepare import Prepared


def choose(
    prepared: Prepared,
    config: TrainConfig,
    /,
    *,
    open_time_ms: np.ndarray,
    probability: np.ndarray,
    label: np.ndarray,
    symbol: np.ndarray | None = None,
) -> Threshold:
    """Choose a threshold by what it would have brought on some training rows, the same for all symbols.

    Parameters
    ----------
    prepared : Prepared
        Whose bars are traded.
    config : TrainConfig
        Rules, costs and constraints.
    open_time_ms, probability, label : np.ndarray
        (n,) each: out-of-fold predictions of training rows.
    symbol : np.ndarray, optional
        (n,) place of each row's symbol among those of the run; a single symbol needs none.
    """
    told = asked_desks(prepared, open_time_ms, symbol)
    return sweep_thresholds(
        [desk for desk, _ in told],
        [desk.aligned(open_time_ms[rows], probability[rows]) for desk, rows in told],
        [desk.aligned(open_time_ms[rows], label[rows]) for desk, rows in told],
        interval=prepared.state.series.grid,
        rules=config.rules,
        costs=config.costs,
        constraints=config.threshold,
    )


def asked_desks(
    prepared: Prepared, open_time_ms: np.ndarray, symbol: np.ndarray | None, /
) -> list[tuple[Desk, np.ndarray]]:
    """Return the desk of each symbol that has rows, its bars between the first and the last of them, and its rows."""
    codes = np.zeros(len(open_time_ms), np.int64) if symbol is None else symbol
    found = [(desk, np.flatnonzero(codes == code)) for code, desk in enumerate(prepared.desks)]
    return [(desk.between(open_time_ms[rows]), rows) for desk, rows in found if len(rows) > 1]
