"""Training of small networks: epochs, early stopping, resuming; the same for every neural expert."""

import json
import math
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import safetensors
import safetensors.torch
import torch
from sklearn.base import BaseEstimator
from torch import nn
from torch.nn import functional

from mmf.errors import CallError, DataError
from mmf.experts.protocol import EpochRecord, Session

Losses = Callable[[torch.Generator], Iterator[torch.Tensor]]

MAX_GRADIENT_NORM = 1.0
STANDARD_LIMIT = 8.0  # standardised inputs are cut here: one wild tick must not decide an update


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


def choose_device() -> torch.device:
    """Return CUDA, else MPS, else the CPU."""
    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


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


def dropped(x: torch.Tensor, share: float, noise: torch.Generator | None, /) -> torch.Tensor:
    """Set a share of the values to zero, drawn from `noise` (on the CPU), and scale up the rest.

    Without `noise` nothing is dropped. Dropping whole channels of a segment saves the random numbers, a tenth of an
    epoch, but a network that sees one segment an update then learns several times slower.
    """
    if noise is None or share == 0:
        return x
    draws = noise
    if x.device.type != "cpu":  # millions of draws: made where they are used, from a seed
        draws = torch.Generator(x.device).manual_seed(int(torch.randint(2**62, (), generator=noise)))
    kept = torch.empty_like(x, requires_grad=False).bernoulli_(1 - share, generator=draws)
    return x * kept.div_(1 - share)


def mixed_precision(device: torch.device) -> Any:
    """Compute in bfloat16 on CUDA, in float32 elsewhere."""
    return torch.autocast("cuda", dtype=torch.bfloat16) if device.type == "cuda" else nullcontext()


def trained_on(y: np.ndarray, session: Session, /) -> np.ndarray:
    """Return (n,) or (T, S) bool: labelled rows that a neural fit may train on, for labels of that shape."""
    return ~np.isnan(y) & ~_rows(session.stop_on, y) & ~_rows(session.purged, y)


def stops_by(y: np.ndarray, session: Session, /) -> np.ndarray:
    """Return bool of the labels' shape: the labelled rows of early stopping."""
    return ~np.isnan(y) & _rows(session.stop_on, y)


def log_loss(logits: torch.Tensor, labels: torch.Tensor, /) -> torch.Tensor:
    """Return the mean log-loss over the labels that are not NaN."""
    known = ~torch.isnan(labels)
    return functional.binary_cross_entropy_with_logits(logits[known], labels[known])


@dataclass(frozen=True)
class Standardiser:
    """Means and deviations of the rows trained on.

    Attributes
    ----------
    mean, scale : np.ndarray
        (p,) float32; the scale of a constant column is 1.
    """

    mean: np.ndarray
    scale: np.ndarray

    @classmethod
    def of(cls, X: np.ndarray, /) -> "Standardiser":
        """Learn from (n, p) finite numbers."""
        exact = X.astype(np.float64, order="C")  # sums over the same numbers laid out otherwise differ in the last bits
        deviation = exact.std(axis=0)
        scale = np.where(deviation > 0, deviation, 1.0)
        return cls(exact.mean(axis=0).astype(np.float32), scale.astype(np.float32))

    def apply(self, X: np.ndarray, /) -> np.ndarray:
        """Return (n, p) float32 in deviations from the mean, cut at eight."""
        standard = np.clip((X - self.mean) / self.scale, -STANDARD_LIMIT, STANDARD_LIMIT)
        return np.ascontiguousarray(standard, dtype=np.float32)


class NeuralExpert(BaseEstimator, ABC):
    """What the neural experts share: a network, the scale of its inputs, and the way into storage.

    Attributes
    ----------
    network_ : nn.Module
        The fitted network, on the CPU.
    standardiser_ : Standardiser
        Means and deviations of the rows trained on.
    history_ : tuple of EpochRecord
        One record an epoch.
    device_ : str
        Where it was trained.
    """

    name: ClassVar[str]
    network_: nn.Module
    standardiser_: Standardiser
    history_: tuple[EpochRecord, ...]
    device_: str
    learning_rate: float
    weight_decay: float
    patience: int
    seed: int

    @abstractmethod
    def fresh_network(self, n_columns: int, /) -> nn.Module:
        """Return a network with its first weights."""

    def vital_signs(self) -> dict[str, int]:
        """Count the weights and biases."""
        return {f"{self.name}_params": sum(p.numel() for p in self.network_.parameters())}

    def state(self) -> dict[str, torch.Tensor]:
        """Return everything learned as tensors, for storage."""
        learned = {"mean": self.standardiser_.mean, "scale": self.standardiser_.scale}
        tensors = {name: torch.from_numpy(array) for name, array in learned.items()}
        return tensors | {f"network.{name}": tensor for name, tensor in self.network_.state_dict().items()}

    def restore(self, state: Mapping[str, torch.Tensor], /) -> Self:
        """Take on what `state` returned.

        Raises
        ------
        DataError
            A tensor is absent, unknown or of another shape.
        """
        try:
            self.standardiser_ = Standardiser(state["mean"].numpy(), state["scale"].numpy())
            network = self.fresh_network(len(state["mean"]))
            network.load_state_dict(_part(state, "network."))
        except (KeyError, RuntimeError) as error:
            raise DataError(f"the stored {type(self).__name__} does not fit its settings: {error}") from error
        self.network_ = network
        return self

    def _train(
        self,
        network: nn.Module,
        losses: Losses,
        *,
        epochs: int,
        session: Session,
        device: torch.device,
        validation_loss: Callable[[], float],
    ) -> Self:
        """Train a fresh network, stopping early where the session says by what, and keep it."""
        path = None if session.folder is None else session.folder / f"{self.name}.safetensors"
        self.history_ = train_network(
            network,
            losses,
            Schedule(epochs, self.learning_rate, self.weight_decay, self.patience, self.seed),
            validation_loss=None if session.stop_on is None else validation_loss,
            checkpoint=None if path is None else Checkpoint(path, session.identity),
            on_epoch=lambda record: session.on_epoch(self.name, record),
        )
        self.network_, self.device_ = network.cpu(), str(device)
        return self


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
        self._network.load_state_dict(_part(tensors, "network."))
        self._best = _part(tensors, "best.") or None
        moments: dict[int, dict[str, torch.Tensor]] = {}
        for name, tensor in _part(tensors, "optimizer.").items():
            place, _, what = name.partition(".")
            moments.setdefault(int(place), {})[what] = tensor
        self._optimizer.load_state_dict({**self._optimizer.state_dict(), "state": moments})


def _part(tensors: Mapping[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def _rows(mask: np.ndarray | None, y: np.ndarray) -> np.ndarray:
    """(n, 1, ...) bool that goes with labels of any shape; none of the rows where there is no mask."""
    return (np.zeros(len(y), bool) if mask is None else mask).reshape(-1, *[1] * (y.ndim - 1))


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
