"""Training of a network: epochs, early stopping, resuming."""

import json
import math
import threading
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import safetensors
import safetensors.torch
import torch
from torch import nn

from mmf.errors import CallError
from mmf.experts.protocol import EpochRecord

Losses = Callable[[torch.Generator], Iterator[torch.Tensor]]

MAX_GRADIENT_NORM = 1.0


@dataclass(frozen=True)
class Schedule:
    """How a network is trained.

    Attributes
    ----------
    epochs : int
        Passes over the training rows, at most.
    learning_rate, weight_decay : float
        Of AdamW (Loshchilov and Hutter 2019).
    patience : int
        Epochs without a better validation loss after which training ends; the best epoch's weights are kept.
    seed : int
        Draws the order of the batches and the dropout. Each epoch draws from the seed and its own number, so that a
        resumed training goes on as if it had never been interrupted.
    """

    epochs: int
    learning_rate: float = 1e-3
    weight_decay: float = 1e-2
    patience: int = 5
    seed: int = 0


@dataclass(frozen=True)
class Checkpoint:
    """Where an unfinished training is kept after each epoch.

    Attributes
    ----------
    path : Path
        One safetensors file, replaced atomically.
    identity : str
        Hash of the data and settings; a file of another identity is left aside and overwritten.
    """

    path: Path
    identity: str


def train_network(
    network: nn.Module,
    losses: Losses,
    schedule: Schedule,
    /,
    *,
    validation_loss: Callable[[], float] | None = None,
    checkpoint: Checkpoint | None = None,
    on_epoch: Callable[[EpochRecord], None] = lambda _: None,
) -> tuple[EpochRecord, ...]:
    """Train a network in place.

    Parameters
    ----------
    network : nn.Module
        On its device.
    losses : callable(generator)
        Yields the losses of one epoch, one an update, drawing its order and its dropout from the generator (on the
        CPU) and from nothing else: torch's own random state is shared with whatever trains beside it.
    schedule : Schedule
        How long and how fast.
    validation_loss : callable, optional
        Log-loss on rows that are not trained on. With it the network ends with the weights of its best epoch.
    checkpoint : Checkpoint, optional
        Where to go on from, and where to keep the state after each epoch.
    on_epoch : callable
        Receives each epoch's record; those of a resumed training come first.

    Returns
    -------
    tuple of EpochRecord
        One a epoch actually run.

    Raises
    ------
    CallError
        A loss is not finite.

    Notes
    -----
    On the CPU it runs on one thread: the same result on every machine with the same packages, whatever its cores.
    """
    optimizer = torch.optim.AdamW(
        network.parameters(), lr=schedule.learning_rate, weight_decay=schedule.weight_decay, foreach=False
    )
    state = _Progress(network, optimizer)
    if checkpoint is not None:
        state.resume(checkpoint)
    for record in state.records:
        on_epoch(record)
    with one_thread():
        while len(state.records) < schedule.epochs and not _is_spent(state.records, schedule.patience):
            record = _run_epoch(network, optimizer, losses, schedule, epoch=len(state.records) + 1)
            if validation_loss is not None:
                record = replace(record, validation_loss=_checked(validation_loss()))
            state.add(record)
            if checkpoint is not None:
                state.save(checkpoint)
            on_epoch(record)
    state.restore_best()
    return tuple(state.records)


def best_epoch(records: tuple[EpochRecord, ...], /) -> int:
    """Return the epoch whose weights were kept: the one of the lowest validation loss, else the last."""
    judged = [record for record in records if record.validation_loss is not None]
    if not judged:
        return len(records)
    return min(judged, key=lambda record: record.validation_loss or 0.0).epoch


@contextmanager
def one_thread() -> Generator[None, None, None]:
    """Let torch compute on one thread meanwhile: sums over several threads differ between machines."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def seeded(seed: int) -> Generator[None, None, None]:
    """Draw from this seed meanwhile, one thread at a time, and leave the caller's random state as it was."""
    with _RANDOM_STATE, torch.random.fork_rng():
        torch.manual_seed(seed)
        yield


def part_of(tensors: Mapping[str, torch.Tensor], prefix: str, /) -> dict[str, torch.Tensor]:
    """Return the tensors whose names begin with a prefix, under names without it."""
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


# ------------------------------------------------------------------------------------

_RANDOM_STATE = threading.Lock()


class _Progress:
    """The records so far, and the weights of the best epoch."""

    def __init__(self, network: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        self._network, self._optimizer = network, optimizer
        self.records: list[EpochRecord] = []
        self._best: dict[str, torch.Tensor] | None = None

    def add(self, record: EpochRecord) -> None:
        self.records.append(record)
        if record.validation_loss is not None and best_epoch(tuple(self.records)) == record.epoch:
            self._best = {name: tensor.detach().clone() for name, tensor in self._network.state_dict().items()}

    def restore_best(self) -> None:
        if self._best is not None:
            self._network.load_state_dict(self._best)

    def save(self, checkpoint: Checkpoint) -> None:
        tensors = {f"network.{name}": tensor for name, tensor in self._network.state_dict().items()}
        tensors |= {f"best.{name}": tensor for name, tensor in (self._best or {}).items()}
        for i, state in self._optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{i}.{name}": torch.as_tensor(value) for name, value in state.items()}
        kept = {name: tensor.detach().cpu().clone().contiguous() for name, tensor in tensors.items()}
        head = {"identity": checkpoint.identity, "records": json.dumps([asdict(record) for record in self.records])}
        checkpoint.path.parent.mkdir(parents=True, exist_ok=True)
        staged = checkpoint.path.with_suffix(".part")
        staged.write_bytes(safetensors.torch.save(kept, metadata=head))
        staged.replace(checkpoint.path)

    def resume(self, checkpoint: Checkpoint) -> None:
        if not checkpoint.path.is_file():
            return
        try:
            with safetensors.safe_open(checkpoint.path, framework="pt") as file:
                head = file.metadata() or {}
                if head.get("identity") != checkpoint.identity:
                    return
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
        except safetensors.SafetensorError:
            return  # torn or foreign: begin anew
        self._take(tensors)
        self.records = [EpochRecord(**record) for record in json.loads(head["records"])]

    def _take(self, tensors: dict[str, torch.Tensor]) -> None:
        self._network.load_state_dict(part_of(tensors, "network."))
        self._best = part_of(tensors, "best.") or None
        moments: dict[int, dict[str, torch.Tensor]] = {}
        for name, tensor in part_of(tensors, "optimizer.").items():
            place, _, what = name.partition(".")
            moments.setdefault(int(place), {})[what] = tensor
        self._optimizer.load_state_dict({**self._optimizer.state_dict(), "state": moments})


def _is_spent(records: list[EpochRecord], patience: int) -> bool:
    return bool(records) and len(records) - best_epoch(tuple(records)) >= patience


def _run_epoch(
    network: nn.Module, optimizer: torch.optim.Optimizer, losses: Losses, schedule: Schedule, *, epoch: int
) -> EpochRecord:
    seed = int(np.random.SeedSequence([schedule.seed, epoch]).generate_state(1)[0])
    seen = []
    for loss in losses(torch.Generator().manual_seed(seed)):
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), MAX_GRADIENT_NORM)
        optimizer.step()
        seen.append(_checked(loss.item()))
    return EpochRecord(epoch, len(seen), math.fsum(seen) / len(seen))


def _checked(loss: float) -> float:
    if not math.isfinite(loss):
        raise CallError("the loss of a network is not finite. Lower its learning rate, or look for wild columns.")
    return loss
