"""What a model has to beat: knowing how often the label is 1, and knowing the volatility."""

from collections.abc import Callable

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from mmf.errors import CallError
from mmf.impute import MedianImputer
from mmf.rows import Rows, TrainingRows

VOLATILITY_COLUMNS = ("volatility_20", "volatility_100", "volatility_200")


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
    _check(training)
    imputer, scaler = MedianImputer(), StandardScaler()
    known = scaler.fit_transform(imputer.fit(_volatility(training)).transform(_volatility(training)))
    judged = scaler.transform(imputer.transform(_volatility(rows)))
    with threadpool_limits(1):
        return LogisticRegression().fit(known, training.label).predict_proba(judged)[:, 1]


BASELINES: dict[str, Callable[[TrainingRows, Rows], np.ndarray]] = {
    "base_rate": base_rate,
    "volatility_only": volatility_only,
}


# ------------------------------------------------------------------------------------


def _check(training: TrainingRows) -> None:
    if not isinstance(training, TrainingRows):
        raise CallError(f"a baseline is fitted on TrainingRows, got {type(training).__name__}. Use TrainingRows.of.")


def _volatility(rows: Rows) -> np.ndarray:
    return rows.matrix(VOLATILITY_COLUMNS).astype(np.float64)
