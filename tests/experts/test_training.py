from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from torch import nn

from mmf.errors import CallError
from mmf.experts.neural import dropped
from mmf.experts.protocol import EpochRecord
from mmf.experts.training import Checkpoint, Schedule, best_epoch, one_thread, seeded, train_network

X = torch.linspace(-1, 1, 64).reshape(-1, 1)
Y = 3 * X + 0.5


def network() -> nn.Module:
    with seeded(0):
        return nn.Sequential(nn.Linear(1, 8), nn.Tanh(), nn.Linear(8, 1))


def losses_of(net: nn.Module):
    def losses(generator: torch.Generator):
        for part in torch.randperm(64, generator=generator).split(16):
            thinned = dropped(net[1](net[0](X[part])), 0.1, generator)
            yield (net[2](thinned) - Y[part]).square().mean()

    return losses


def weights(net: nn.Module) -> list[float]:
    return nn.utils.parameters_to_vector(net.parameters()).tolist()


def test_every_epoch_is_recorded_and_the_loss_falls() -> None:
    net = network()
    records = train_network(net, losses_of(net), Schedule(epochs=40, learning_rate=0.02))
    assert [record.epoch for record in records] == list(range(1, 41))
    assert {record.n_updates for record in records} == {4}
    assert records[-1].loss < 0.2 * records[0].loss


def test_a_seed_gives_one_result_whatever_was_drawn_before() -> None:
    first, second = network(), network()
    train_network(first, losses_of(first), Schedule(epochs=3))
    torch.rand(5)
    train_network(second, losses_of(second), Schedule(epochs=3))
    assert weights(first) == weights(second)


def test_the_callers_random_state_is_left_alone() -> None:
    torch.manual_seed(7)
    before = torch.random.get_rng_state()
    net = network()
    train_network(net, losses_of(net), Schedule(epochs=1))
    assert torch.equal(before, torch.random.get_rng_state())


@pytest.mark.parametrize("n_before", [1, 2, 4])
def test_a_resumed_training_ends_as_an_uninterrupted_one(tmp_path: Path, n_before: int) -> None:
    schedule = Schedule(epochs=5)
    whole = network()
    wanted = train_network(whole, losses_of(whole), schedule, validation_loss=lambda: probe(whole))

    def interrupt(record: EpochRecord) -> None:
        if record.epoch == n_before:
            raise KeyboardInterrupt

    checkpoint = Checkpoint(tmp_path / "training.safetensors", "same data")
    half = network()
    with pytest.raises(KeyboardInterrupt):
        train_network(
            half,
            losses_of(half),
            schedule,
            validation_loss=lambda: probe(half),
            checkpoint=checkpoint,
            on_epoch=interrupt,
        )
    resumed = network()
    seen: list[EpochRecord] = []
    found = train_network(
        resumed,
        losses_of(resumed),
        schedule,
        validation_loss=lambda: probe(resumed),
        checkpoint=checkpoint,
        on_epoch=seen.append,
    )
    assert found == wanted == tuple(seen)
    assert weights(resumed) == weights(whole)


@pytest.mark.parametrize("spoil", ["foreign", "torn"])
def test_a_checkpoint_of_other_data_or_a_torn_one_is_not_resumed(tmp_path: Path, spoil: str) -> None:
    path = tmp_path / "training.safetensors"
    net = network()
    train_network(net, losses_of(net), Schedule(epochs=2), checkpoint=Checkpoint(path, "some data"))
    if spoil == "torn":
        path.write_bytes(path.read_bytes()[:50])
    again, plain = network(), network()
    identity = "some data" if spoil == "torn" else "other data"
    train_network(again, losses_of(again), Schedule(epochs=3), checkpoint=Checkpoint(path, identity))
    train_network(plain, losses_of(plain), Schedule(epochs=3))
    assert weights(again) == weights(plain)


def test_it_stops_when_validation_no_longer_improves_and_keeps_the_best_weights() -> None:
    net = network()
    told = iter([0.5, 0.3, 0.4, 0.35, 0.6, 0.1])
    kept: list[list[float]] = []
    records = train_network(
        net,
        losses_of(net),
        Schedule(epochs=6, patience=3),
        validation_loss=lambda: next(told),
        on_epoch=lambda _: kept.append(weights(net)),
    )
    assert len(records) == 5
    assert best_epoch(records) == 2
    assert weights(net) == kept[1]


def test_without_validation_the_last_epoch_counts() -> None:
    assert best_epoch((EpochRecord(1, 4, 0.5), EpochRecord(2, 4, 0.6))) == 2


def test_a_loss_that_is_not_finite_stops_the_training() -> None:
    net = network()
    with pytest.raises(CallError, match="not finite"):
        train_network(net, lambda _: iter([(net(X) * float("inf")).sum()]), Schedule(epochs=1))


def test_trainings_beside_each_other_give_what_they_give_alone() -> None:
    alone, beside = [network() for _ in range(4)], [network() for _ in range(4)]
    for seed, net in enumerate(alone):
        train_network(net, losses_of(net), Schedule(epochs=20, seed=seed))
    with one_thread(), ThreadPoolExecutor(4) as pool:
        schedules = [Schedule(epochs=20, seed=seed) for seed in range(4)]
        list(pool.map(lambda net, schedule: train_network(net, losses_of(net), schedule), beside, schedules))
    assert [weights(net) for net in beside] == [weights(net) for net in alone]


def test_networks_begun_beside_each_other_begin_as_they_do_alone() -> None:
    def first_weights(seed: int) -> list[float]:
        with seeded(seed):
            return [weights(nn.Linear(50, 50))[0] for _ in range(20)]

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(first_weights, range(40))) == [first_weights(seed) for seed in range(40)]


def test_the_number_of_threads_is_given_back() -> None:
    before = torch.get_num_threads()
    with one_thread():
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == before


# ------------------------------------------------------------------------------------


def probe(net: nn.Module) -> float:
    with torch.inference_mode():
        return (net(X) - Y).square().mean().item()
