"""What a model has to beat: knowing how often the label is 1, and knowing the volatility."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from mmf.errors import CallError
from mmf.impute import MedianImputer
from mmf.rows import Rows, TrainingRows

VOLATILITY_COLUMNS = ("volatility_20", "volatility_100", "volatility_200")
FIVE_COLUMNS = ("log_return", "ema_dist_21", "rsi_14", "natr_14", "volatility_20")


def base_rate(training: TrainingRows, rows: Rows, /) -> np.ndarray:
    """Return (n,) the training rows' share of label 1, for every row."""
    _check(training)
    return np.full(len(rows), training.label.mean())


def volatility_only(training: TrainingRows, rows: Rows, /) -> np.ndarray:
    """Return (n,) probabilities of a logistic regression on volatility over 20, 100 and 200 bars.

    A hurdle is passed more often when the market moves more, in either direction. A model that
    does not beat this one has learned how wild the market is, not where it goes.

    Raises
    ------
    CallError
        `training` are not TrainingRows.
    DataError
        A volatility column is absent from either.
    """
    return _logistic(training, rows, VOLATILITY_COLUMNS)


def five_features(training: TrainingRows, rows: Rows, /) -> np.ndarray:
    """Return (n,) probabilities of a logistic regression on five features that any chart shows.

    The last return, the distance from a moving average, the relative strength, the range and the volatility: what
    council, refinery and experts have to beat to be worth their while.

    Raises
    ------
    CallError
        `training` are not TrainingRows.
    DataError
        One of the columns is absent from either.
    """
    return _logistic(training, rows, FIVE_COLUMNS)


@dataclass(frozen=True)
class Baseline:
    """A model to beat.

    Attributes
    ----------
    name : str
        As tables print it.
    columns : tuple of str
        What it reads; without them it is left out.
    predict : callable(training, rows)
        Gives (n,) probabilities of the rows.
    """

    name: str
    columns: tuple[str, ...]
    predict: Callable[[TrainingRows, Rows], np.ndarray]


BASELINES = (
    Baseline("base rate", (), base_rate),
    Baseline("volatility only", VOLATILITY_COLUMNS, volatility_only),
    Baseline("five features", FIVE_COLUMNS, five_features),
)


# ------------------------------------------------------------------------------------


def _check(training: TrainingRows) -> None:
    if not isinstance(training, TrainingRows):
        raise CallError(f"a baseline is fitted on TrainingRows, got {type(training).__name__}. Use TrainingRows.of.")


def _logistic(training: TrainingRows, rows: Rows, columns: tuple[str, ...]) -> np.ndarray:
    _check(training)
    imputer, scaler = MedianImputer(), StandardScaler()
    known = scaler.fit_transform(imputer.fit(_matrix(training, columns)).transform(_matrix(training, columns)))
    judged = scaler.transform(imputer.transform(_matrix(rows, columns)))
    with threadpool_limits(1):
        return LogisticRegression().fit(known, training.label).predict_proba(judged)[:, 1]


def _matrix(rows: Rows, columns: tuple[str, ...]) -> np.ndarray:
    return rows.matrix(columns).astype(np.float64)
