import numpy as np
import pytest

from mmf.errors import DataError
from mmf.evaluation.sharpe import (
    deflated_sharpe,
    expected_best_sharpe,
    overfitting_probability,
    probabilistic_sharpe,
)

RNG = np.random.default_rng(4)


def test_the_example_of_the_paper() -> None:
    best = expected_best_sharpe(0.5 / 250, 100)
    assert best == pytest.approx(0.1132, abs=5e-5)
    found = probabilistic_sharpe(2.5 / np.sqrt(250), above=best, n=1250, skew=-3, kurtosis=10)
    assert found == pytest.approx(0.9004, abs=5e-5)


def test_the_expected_best_is_that_of_drawn_trials() -> None:
    drawn = RNG.normal(0, 0.1, (4_000, 50)).max(axis=1)
    assert expected_best_sharpe(0.01, 50) == pytest.approx(drawn.mean(), rel=0.02)
    assert expected_best_sharpe(0.01, 1) == 0


def test_without_skill_the_chosen_best_is_rarely_believed() -> None:
    believed = []
    for _ in range(200):
        trials = RNG.normal(0, 1, (20, 300))
        best = trials[np.argmax(trials.mean(axis=1) / trials.std(axis=1))]
        believed.append((deflated_sharpe(best, n_trials=20), deflated_sharpe(best, n_trials=1)))
    deflated, plain = np.array(believed, float).T
    assert (deflated > 0.99).mean() <= 0.05
    assert (plain > 0.99).mean() > 0.1  # the same without counting trials


def test_more_trials_and_fatter_losses_leave_less() -> None:
    returns = RNG.normal(0.1, 1, 400)
    few, many = deflated_sharpe(returns, n_trials=2), deflated_sharpe(returns, n_trials=200)
    assert few is not None
    assert many is not None
    assert many < few
    settings = {"above": 0.0, "n": 400}
    normal = probabilistic_sharpe(0.1, skew=0, kurtosis=3, **settings)
    assert probabilistic_sharpe(0.1, skew=-2, kurtosis=12, **settings) < normal


@pytest.mark.parametrize("returns", [np.zeros(50), np.array([0.1, 0.2]), np.array([])])
def test_returns_that_do_not_vary_have_none(returns: np.ndarray) -> None:
    assert deflated_sharpe(returns, n_trials=3) is None


def test_noise_is_overfitted_half_of_the_time_and_skill_never() -> None:
    noise = [overfitting_probability(RNG.normal(0, 1, (400, 10))) for _ in range(30)]
    assert 0.35 < np.mean(noise) < 0.65
    skilled = RNG.normal(0, 1, (400, 10))
    skilled[:, 3] += 0.5
    assert overfitting_probability(skilled) == 0


def test_trials_that_do_not_trade_are_ranked_as_nothing() -> None:
    returns = RNG.normal(0.5, 1, (400, 3))
    returns[:, 1] = 0
    assert overfitting_probability(returns) < 0.2


def test_one_trial_cannot_be_compared() -> None:
    with pytest.raises(DataError, match="more than once"):
        overfitting_probability(RNG.normal(0, 1, (400, 1)))
