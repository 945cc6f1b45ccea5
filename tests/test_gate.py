import numpy as np
import pytest
import torch
from scipy.special import expit
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression

from mmf.errors import DataError
from mmf.experts.head import LogisticHead
from mmf.gate import GatingNetwork
from mmf.scheduler import Effort

EFFORT = Effort(200, 60)


def two_regimes(n=2_000, seed=0):
    """Expert 0 knows the label where the first input is high, expert 1 where it is low."""
    random = np.random.default_rng(seed)
    trio = random.normal(0.5, 0.1, size=(n, 3))
    label = (random.random(n) < 0.5).astype(float)
    knowing, guessing = np.where(label == 1, 0.9, 0.1), random.uniform(0.2, 0.8, n)
    is_high = trio[:, 0] > 0.5
    probabilities = np.column_stack([np.where(is_high, knowing, guessing), np.where(is_high, guessing, knowing)])
    return trio, probabilities, label


def log_loss(weights, probabilities, label):
    mixture = (weights * probabilities).sum(axis=1)
    return -np.mean(np.log(np.where(label == 1, mixture, 1 - mixture)))


@pytest.mark.parametrize(("n_experts", "expected"), [(1, 41), (2, 50), (3, 59), (4, 68), (5, 77)])
def test_number_of_parameters(n_experts, expected):
    trio, probabilities, label = two_regimes(100)
    opinions = np.resize(probabilities.T, (n_experts, 100)).T
    gate = GatingNetwork().fit(trio, opinions, label, effort=Effort(1, 1))
    assert gate.n_parameters() == expected == 3 * 8 + 8 + 8 * n_experts + n_experts


def test_weights_sum_to_one():
    trio, probabilities, label = two_regimes()
    weights = GatingNetwork().fit(trio, probabilities, label, effort=EFFORT).weights(trio)
    assert weights.shape == (2_000, 2)
    assert weights.dtype == np.float64
    assert weights.min() >= 0
    np.testing.assert_allclose(weights.sum(axis=1), 1.0, atol=1e-12)


def test_believes_each_expert_where_it_knows():
    gate = GatingNetwork().fit(*two_regimes(), effort=EFFORT)
    trio, probabilities, label = two_regimes(seed=1)
    weights = gate.weights(trio)
    assert weights[trio[:, 0] > 0.6, 0].mean() > 0.9
    assert weights[trio[:, 0] < 0.4, 1].mean() > 0.9
    assert log_loss(weights, probabilities, label) < 0.6 * log_loss(np.full((2_000, 2), 0.5), probabilities, label)
    assert gate.collapsed_on_ is None


def test_more_epochs_lower_the_loss_it_minimises():
    trio, probabilities, label = two_regimes()
    losses = [
        log_loss(
            GatingNetwork(balance=0, weight_decay=0)
            .fit(trio, probabilities, label, effort=Effort(1, epochs))
            .weights(trio),
            probabilities,
            label,
        )
        for epochs in (1, 5, 25, 60)
    ]
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] < losses[0]


@pytest.mark.parametrize("penalty", [0.0, 0.01])
def test_starts_at_the_plain_average_and_stays_there_for_equal_experts(penalty):
    trio, probabilities, label = two_regimes()
    same = np.repeat(probabilities[:, :1], 3, axis=1)
    gate = GatingNetwork(balance=penalty, weight_decay=penalty).fit(trio, same, label, effort=EFFORT)
    np.testing.assert_allclose(gate.weights(trio), 1 / 3, atol=1e-9)


def test_weight_decay_keeps_the_weights_nearer_to_the_average():
    trio, probabilities, label = two_regimes()
    fit = lambda decay: GatingNetwork(weight_decay=decay).fit(trio, probabilities, label, effort=EFFORT)  # noqa: E731
    spread = [np.abs(fit(decay).weights(trio) - 0.5).mean() for decay in (0.0, 0.01, 0.1)]
    assert spread == sorted(spread, reverse=True)
    assert spread[2] < 0.8 * spread[0]


def test_a_collapse_is_reported_and_balance_works_against_it():
    trio, _, label = two_regimes()
    one_knows = np.column_stack([np.full(len(label), 0.5), np.where(label == 1, 0.95, 0.05)])
    fit = lambda balance: GatingNetwork(balance=balance).fit(trio, one_knows, label, effort=EFFORT)  # noqa: E731
    assert fit(0.0).collapsed_on_ == 1
    assert fit(0.0).mean_weights_[1] > 0.95
    balanced = fit(5.0)
    assert balanced.collapsed_on_ is None
    assert balanced.mean_weights_[1] < 0.75


def test_rows_on_which_all_are_certain_and_wrong_do_not_stop_the_fit():
    trio, probabilities, label = two_regimes()
    probabilities[:5] = 1 - label[:5, None]
    weights = GatingNetwork().fit(trio, probabilities, label, effort=EFFORT).weights(trio)
    assert weights[trio[:, 0] > 0.6, 0].mean() > 0.8


def test_same_bits_whatever_torch_is_set_to_and_torch_is_left_as_it_was():
    data = two_regimes(50_000)  # enough rows for torch to share a sum among threads
    torch.manual_seed(7)
    random_state, n_threads = torch.get_rng_state(), torch.get_num_threads()
    states = []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            states.append(GatingNetwork(seed=3).fit(*data, effort=Effort(1, 5)).state())
            assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(n_threads)
    assert torch.equal(torch.get_rng_state(), random_state)
    assert all(torch.equal(tensor, states[1][name]) for name, tensor in states[0].items())


def test_another_seed_draws_another_network():
    data = two_regimes(300)
    weights = [GatingNetwork(seed=seed).fit(*data, effort=Effort(1, 3)).weights(data[0]) for seed in (0, 1)]
    assert (weights[0] != weights[1]).any()


def test_undefined_inputs_count_as_the_training_median():
    trio, probabilities, label = two_regimes()
    trio[::10, 1] = np.nan
    gate = GatingNetwork().fit(trio, probabilities, label, effort=EFFORT)
    assert gate.median_[1] == pytest.approx(np.nanmedian(trio[:, 1]))
    holey, filled = trio[::10].copy(), trio[::10].copy()
    filled[:, 1] = gate.median_[1]
    np.testing.assert_array_equal(gate.weights(holey), gate.weights(filled))


def test_inputs_are_standardised():
    trio, probabilities, label = two_regimes()
    plain = GatingNetwork().fit(trio, probabilities, label, effort=Effort(1, 10)).weights(trio)
    scaled = trio * [1e3, 1e-3, 1.0] + [5.0, 0.0, -2.0]
    other = GatingNetwork().fit(scaled, probabilities, label, effort=Effort(1, 10)).weights(scaled)
    np.testing.assert_allclose(plain, other, atol=1e-6)


def test_a_constant_input_is_harmless():
    trio, probabilities, label = two_regimes(300)
    trio[:, 2] = 1.5
    gate = GatingNetwork().fit(trio, probabilities, label, effort=EFFORT)
    assert np.isfinite(gate.weights(trio)).all()


def test_an_input_without_any_number_is_refused():
    trio, probabilities, label = two_regimes(300)
    trio[:, 1] = np.nan
    with pytest.raises(DataError, match="entropy_200 is undefined in all 300 rows"):
        GatingNetwork().fit(trio, probabilities, label, effort=EFFORT)


def parts_of_one_expert(n=3_000, seed=0):
    """Two models whose logits each know a part of the label, the second one twice as much; and a coin."""
    random = np.random.default_rng(seed)
    hidden = random.normal(size=(n, 2)) * [0.5, 1.0]
    label = (random.random(n) < expit(hidden.sum(axis=1))).astype(float)
    trio = random.normal(0.5, 0.1, size=(n, 3))
    return trio, np.column_stack([np.full(n, 0.5), np.full(n, 0.5)]), label, hidden


def test_the_head_of_a_single_expert_is_logistic_regression_on_its_logits():
    trio, probabilities, label, logits = parts_of_one_expert()
    gate = GatingNetwork(head_decay=0.0).fit(trio, probabilities[:, :1], label, effort=EFFORT, parts={0: logits})
    oracle = LogisticRegression(C=np.inf, tol=1e-10).fit(logits, label)
    assert gate.heads_[0].weights == pytest.approx(oracle.coef_[0], abs=2e-3)
    assert gate.heads_[0].bias == pytest.approx(oracle.intercept_[0], abs=2e-3)
    assert gate.n_parameters() == 41  # the head's are not the gate's


def test_a_head_is_fitted_along_with_the_weights():
    trio, probabilities, label, logits = parts_of_one_expert()
    gate = GatingNetwork().fit(trio, probabilities, label, effort=EFFORT, parts={1: logits})
    alone = np.column_stack([probabilities[:, 0], LogisticHead.equal(2).probability(logits)])
    apart = GatingNetwork().fit(trio, alone, label, effort=EFFORT)
    joined = np.column_stack([probabilities[:, 0], gate.heads_[1].probability(logits)])
    assert log_loss(gate.weights(trio), joined, label) < log_loss(apart.weights(trio), alone, label) - 0.01


def test_a_strong_pull_keeps_the_head_at_equal_weights():
    trio, probabilities, label, logits = parts_of_one_expert()
    gates = [
        GatingNetwork(head_decay=decay).fit(trio, probabilities, label, effort=EFFORT, parts={1: logits})
        for decay in (0.001, 0.1, 100.0)
    ]
    distance = [np.abs(np.subtract(gate.heads_[1].weights, 0.5)).sum() + abs(gate.heads_[1].bias) for gate in gates]
    assert distance == sorted(distance, reverse=True)
    assert distance[-1] < 0.01 < distance[0]


def test_the_column_that_a_head_stands_for_is_not_looked_at():
    trio, probabilities, label, logits = parts_of_one_expert(500)
    other = probabilities.copy()
    other[:, 1] = 0.9
    fits = [GatingNetwork().fit(trio, p, label, effort=EFFORT, parts={1: logits}) for p in (probabilities, other)]
    assert fits[0].heads_ == fits[1].heads_
    np.testing.assert_array_equal(fits[0].weights(trio), fits[1].weights(trio))


def test_without_parts_there_are_no_heads():
    assert GatingNetwork().fit(*two_regimes(100), effort=EFFORT).heads_ == {}


def test_state_restores_the_gate():
    trio, probabilities, label = two_regimes()
    gate = GatingNetwork().fit(trio, probabilities, label, effort=EFFORT)
    again = clone(gate).restore(gate.state())
    np.testing.assert_array_equal(again.weights(trio), gate.weights(trio))
    np.testing.assert_array_equal(again.mean_weights_, gate.mean_weights_)
    assert again.collapsed_on_ == gate.collapsed_on_
    assert again.n_parameters() == gate.n_parameters()


@pytest.mark.parametrize("fault", ["absent", "unknown", "shape"])
def test_a_state_that_does_not_fit_is_refused(fault):
    state = GatingNetwork().fit(*two_regimes(100), effort=Effort(1, 1)).state()
    match fault:
        case "absent":
            del state["scale"]
        case "unknown":
            state["network.9.weight"] = torch.zeros(2)
        case "shape":
            state["network.0.weight"] = torch.zeros(4, 4)
    with pytest.raises(DataError, match="does not fit a 3-8-n gate"):
        GatingNetwork().restore(state)
