"""What the neural experts share: devices, dropout, scaling, and the way into storage."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
import torch
from sklearn.base import BaseEstimator
from torch import nn
from torch.nn import functional

from mmf.errors import DataError
from mmf.experts.protocol import EpochRecord, Session
from mmf.experts.training import Checkpoint, Losses, Schedule, part_of, train_network

STANDARD_LIMIT = 8.0  # standardised inputs are cut here: one wild tick must not decide an update


def choose_device() -> torch.device:
    """Return CUDA, else MPS, else the CPU."""
    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


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
            network.load_state_dict(part_of(state, "network."))
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


def _rows(mask: np.ndarray | None, y: np.ndarray) -> np.ndarray:
    """Bool that goes with labels of any shape; none of the rows where there is no mask."""
    if mask is None:
        return np.zeros(y.shape, bool)
    return mask if mask.shape == y.shape else mask.reshape(-1, *[1] * (y.ndim - 1))
