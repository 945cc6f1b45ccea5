import numpy as np
import pytest
from scipy.special import expit, logit

from mmf.evaluation.calibration_error import calibration_error


def drawn(n: int = 200_000) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(3)
    truth = expit(rng.normal(0, 1, n))
    return truth, (rng.random(n) < truth).astype(float)


def test_honest_probabilities_have_slope_one_and_no_error() -> None:
    found = calibration_error(*drawn())
    assert found.slope == pytest.approx(1.0, abs=0.03)
    assert found.intercept == pytest.approx(0.0, abs=0.02)
    assert found.ece == pytest.approx(0.0, abs=0.01)


@pytest.mark.parametrize(("stretch", "shift"), [(2.0, 0.0), (0.5, 0.0), (1.0, 0.7), (-1.0, 0.0)])
def test_slope_and_intercept_undo_what_was_done_to_honest_ones(stretch: float, shift: float) -> None:
    truth, label = drawn()
    found = calibration_error(expit(stretch * logit(truth) + shift), label)
    assert found.slope == pytest.approx(1 / stretch, abs=0.04)
    assert found.intercept == pytest.approx(-shift / stretch, abs=0.04)
    assert found.ece is not None
    assert found.ece > 0.03


def test_the_expected_error_is_the_mean_distance_of_the_bins() -> None:
    probability = np.repeat([0.2, 0.6], 50)
    label = np.concatenate([np.repeat([1.0, 0.0], [20, 30]), np.repeat([1.0, 0.0], [30, 20])])
    shuffled = np.random.default_rng(0).permutation(100)
    found = calibration_error(probability[shuffled], label[shuffled])
    assert found.as_dict().keys() == {"calibration_slope", "calibration_intercept", "ece"}
    # bins of ten rows, as they lie: never less than the distance of the two groups
    assert found.ece is not None
    assert found.ece >= (0.2 + 0.0) / 2 - 1e-12


@pytest.mark.parametrize(
    ("probability", "label", "ece"),
    [
        ([0.3, 0.3, 0.3, 0.3], [0.0, 1.0, 0.0, 1.0], 0.5),
        ([0.2, 0.4], [1.0, 1.0], 0.7),
        ([], [], None),
    ],
)
def test_what_cannot_be_told_is_none(probability: list[float], label: list[float], ece: float | None) -> None:
    found = calibration_error(np.array(probability), np.array(label))
    assert (found.slope, found.intercept) == (None, None)
    assert found.ece == (None if ece is None else pytest.approx(ece))


def test_rows_without_a_label_are_left_out() -> None:
    truth, label = drawn(2_000)
    more = np.append(truth, [0.9, 0.1]), np.append(label, [np.nan, np.nan])
    assert calibration_error(*more) == calibration_error(truth, label)
