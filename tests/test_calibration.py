import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit, logit
from sklearn.linear_model import LogisticRegression

from mmf.calibration import MIN_SLOPE, PlattCalibration
from mmf.errors import DataError


def sample(n, seed=0):
    random = np.random.default_rng(seed)
    truth = expit(random.normal(size=n))
    return truth, (random.random(n) < truth).astype(float)


def test_undoes_a_known_distortion():
    truth, label = sample(200_000)
    distorted = expit(2.0 * logit(truth) + 1.0)
    fitted = PlattCalibration.fit(distorted, label)
    assert fitted.slope == pytest.approx(0.5, abs=0.02)
    assert fitted.intercept == pytest.approx(-0.5, abs=0.02)
    np.testing.assert_allclose(fitted.apply(distorted), truth, atol=0.01)


def test_equals_a_logistic_regression_on_the_logit():
    truth, label = sample(50_000)
    reference = LogisticRegression(C=np.inf, tol=1e-10).fit(logit(truth)[:, None], label)
    fitted = PlattCalibration.fit(truth, label)
    assert fitted.slope == pytest.approx(reference.coef_[0, 0], abs=1e-3)
    assert fitted.intercept == pytest.approx(reference.intercept_[0], abs=1e-3)


def test_mean_is_the_base_rate():
    truth, label = sample(5_000)
    assert PlattCalibration.fit(truth**2, label).apply(truth**2).mean() == pytest.approx(label.mean(), abs=1e-3)


def test_separable_classes_and_certain_opinions_stay_finite():
    probability = np.array([0.0, 0.0, 0.2, 0.8, 1.0, 1.0])
    fitted = PlattCalibration.fit(probability, np.array([0.0, 0.0, 0.0, 1.0, 1.0, 1.0]))
    assert np.isfinite([fitted.slope, fitted.intercept]).all()
    assert 0 < fitted.apply(probability).min() < fitted.apply(probability).max() < 1


def test_opinions_that_are_wrong_are_shrunk_and_not_turned_around():
    truth, label = sample(5_000)
    fitted = PlattCalibration.fit(1 - truth, label)
    assert fitted.slope == MIN_SLOPE
    assert fitted.is_flat
    assert np.ptp(fitted.apply(1 - truth)) < 0.05
    assert not PlattCalibration.fit(truth, label).is_flat


@given(
    st.floats(MIN_SLOPE, 5),
    st.floats(-3, 3),
    st.lists(st.floats(0.001, 0.999), min_size=2, max_size=20, unique=True),
)
def test_the_order_of_rows_is_kept(slope, intercept, values):
    applied = PlattCalibration(slope, intercept).apply(np.sort(values))
    assert (np.diff(applied) >= 0).all()


def test_one_class_is_refused():
    with pytest.raises(DataError, match="needs both labels, got 3 ones in 3 rows"):
        PlattCalibration.fit(np.array([0.2, 0.3, 0.4]), np.ones(3))
