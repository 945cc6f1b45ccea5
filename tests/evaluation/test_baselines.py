from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from mmf.errors import CallError, DataError
from mmf.evaluation.baselines import BASELINES, FIVE_COLUMNS, VOLATILITY_COLUMNS, base_rate, volatility_only
from mmf.rows import Rows
from tests.experts.synthetic import HOUR_MS, training

COLUMNS = ("noise", *VOLATILITY_COLUMNS, *(name for name in FIVE_COLUMNS if name not in VOLATILITY_COLUMNS))


def rows(n, seed=0):
    """The label is 1 more often the higher volatility_20."""
    random = np.random.default_rng(seed)
    x = random.lognormal(-4, 0.5, size=(n, len(COLUMNS))).astype(np.float32)
    label = (random.random(n) < np.clip(20 * x[:, 1], 0, 0.9)).astype(float)
    times = np.arange(n, dtype=np.int64) * HOUR_MS
    return Rows(times, x, COLUMNS, label, times + HOUR_MS)


@pytest.fixture(params=BASELINES, ids=lambda one: one.name)
def baseline(request):
    return request.param.predict


def test_base_rate_is_the_training_mean():
    fit = training(rows(500))
    np.testing.assert_array_equal(base_rate(fit, rows(7, seed=1)), np.full(7, fit.label.mean()))


def test_volatility_ranks_what_volatility_drives():
    judged = rows(3_000, seed=1)
    probability = volatility_only(training(rows(3_000)), judged)
    assert roc_auc_score(judged.label, probability) > 0.65
    assert probability.mean() == pytest.approx(judged.label.mean(), abs=0.05)


def test_volatility_only_sees_nothing_else():
    fit, judged = training(rows(500)), rows(100, seed=1)
    other = replace(judged, x=np.column_stack([judged.x[:, :1] * 9, judged.x[:, 1:]]))
    np.testing.assert_array_equal(volatility_only(fit, judged), volatility_only(fit, other))


def test_judged_rows_do_not_move_the_fit(baseline):
    fit, judged = training(rows(500)), rows(100, seed=1)
    shifted = replace(judged, label=1 - judged.label, x=judged.x.copy())
    shifted.x[1:] *= 50
    np.testing.assert_array_equal(baseline(fit, judged)[:1], baseline(fit, shifted)[:1])


def test_undefined_volatility_counts_as_the_training_median():
    fit, judged = training(rows(500)), rows(3, seed=1)
    judged.x[0, 1] = np.nan
    filled = replace(judged, x=judged.x.copy())
    filled.x[0, 1] = np.median(fit.x[:, 1])
    np.testing.assert_allclose(volatility_only(fit, judged), volatility_only(fit, filled))


def test_only_training_rows_are_fitted_on(baseline):
    with pytest.raises(CallError, match="fitted on TrainingRows, got Rows"):
        baseline(rows(100), rows(100))


def test_an_absent_volatility_is_named():
    short = rows(100).select(("noise", "volatility_20", "volatility_200"))
    with pytest.raises(DataError, match="volatility_100"):
        volatility_only(training(short), short)
