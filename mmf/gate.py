"""The gating network: how much each expert is believed, from three measures of the market's state."""

from collections.abc import Callable, Mapping
from typing import Self

import numpy as np
import torch
from scipy.optimize import minimize
from sklearn.base import BaseEstimator
from torch import nn
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from mmf.errors import DataError
from mmf.experts.head import LogisticHead
from mmf.experts.training import one_thread, seeded
from mmf.rows import PHYSICS_TRIO
from mmf.scheduler import Effort

MIN_LIKELIHOOD = 1e-7  # k-NN answers 0 and 1; their logarithm must stay finite


class GatingNetwork(BaseEstimator):
    """Softmax weights over n experts from Hurst exponent, entropy and fractal dimension.

    A 3-`hidden`-n perceptron in float64. It minimises the log-loss of the mixture, that is of the
    weighted mean of the experts' probabilities, plus `balance` times the squared coefficient of
    variation of the experts' mean weights, plus an L2 penalty. The last layer starts at zero: an
    untrained gate is the plain average.

    Parameters
    ----------
    hidden : int
        Width of the hidden layer (8: 68 parameters for four experts).
    balance : float
        Strength of the load-balance term.
    weight_decay : float
        Strength of the L2 penalty on every parameter.
    head_decay : float
        Strength of the pull of each head towards equal weights and no bias, fit by fit with the gate. Some 5,600 rows
        of 36 overlapping bars hold about 155 outcomes; 0.03 is then a prior deviation of about half a weight.
    collapse_share : float
        Mean weight over the rows fitted on from which one expert counts as the only one.
    seed : int
        Draws the first layer's initial values.

    Attributes
    ----------
    network_ : nn.Sequential
        The fitted perceptron.
    median_, mean_, scale_ : np.ndarray
        (3,) statistics of the rows fitted on; undefined inputs become the median.
    mean_weights_ : np.ndarray
        (n,) mean weight of each expert over the rows fitted on.
    heads_ : dict of int to LogisticHead
        By the expert's place: how its parts are joined. They belong to the experts, are not among the gate's own
        parameters and not stored with it.
    collapsed_on_ : int or None
        The expert that takes nearly all the weight; a fact to report, not an error.

    Notes
    -----
    Jacobs, Jordan, Nowlan and Hinton (1991), Adaptive mixtures of local experts; the load-balance
    term is the importance loss of Shazeer et al. (2017). An epoch is one L-BFGS iteration over all
    rows: for 68 parameters it needs no learning rate, takes milliseconds, and its result does not
    hang on a shuffling. Runs on one thread, whatever torch is set to.
    """

    def __init__(
        self,
        *,
        hidden: int = 8,
        balance: float = 0.01,
        weight_decay: float = 1e-3,
        head_decay: float = 0.03,
        collapse_share: float = 0.95,
        seed: int = 0,
    ) -> None:
        self.hidden = hidden
        self.balance = balance
        self.weight_decay = weight_decay
        self.head_decay = head_decay
        self.collapse_share = collapse_share
        self.seed = seed

    def fit(
        self,
        trio: np.ndarray,
        probabilities: np.ndarray,
        label: np.ndarray,
        *,
        effort: Effort,
        parts: Mapping[int, np.ndarray] | None = None,
    ) -> Self:
        """Learn from out-of-fold predictions.

        Parameters
        ----------
        trio : np.ndarray
            (n, 3) hurst_200, entropy_200, fdi_200; NaN where undefined.
        probabilities : np.ndarray
            (n, experts) out-of-fold probabilities of label 1.
        label : np.ndarray
            (n,) of 0.0 and 1.0.
        effort : Effort
            `epochs` bounds the passes over the rows.
        parts : mapping of int to np.ndarray, optional
            By the place of an expert that is made of several models: their (n, k) logits. Its probability is then that
            of a logistic head, which is fitted along; its column of `probabilities` is not looked at.

        Raises
        ------
        DataError
            One of the trio is undefined in every row.
        """
        self._learn_scale(trio)
        self.network_ = _network(self.hidden, probabilities.shape[1], seed=self.seed)
        heads = {place: _Head(logits) for place, logits in (parts or {}).items()}
        inputs, is_one = self._inputs(trio), torch.from_numpy(label == 1)
        told = torch.from_numpy(probabilities.astype(np.float64))

        def loss() -> torch.Tensor:
            columns = [heads[i]() if i in heads else told[:, i] for i in range(told.shape[1])]
            joined = torch.stack(columns, dim=1)  # (n, experts)
            likelihood = torch.where(is_one[:, None], joined, 1 - joined)
            astray = sum((head.distance() for head in heads.values()), start=torch.zeros(()))
            return self._loss(inputs, likelihood) + self.head_decay * astray / 2

        with one_thread():
            _descend(
                [*self.network_.parameters(), *(p for head in heads.values() for p in head.parameters())],
                loss,
                epochs=effort.epochs,
            )
        self.heads_ = {place: head.learned() for place, head in heads.items()}
        self._describe(self.weights(trio).mean(axis=0))
        return self

    def weights(self, trio: np.ndarray, /) -> np.ndarray:
        """Return (n, experts) float64 weights, each row summing to 1, for (n, 3) inputs."""
        with one_thread(), torch.inference_mode():
            return torch.softmax(self.network_(self._inputs(trio)), dim=1).numpy()

    def n_parameters(self) -> int:
        """Count the weights and biases."""
        return sum(p.numel() for p in self.network_.parameters())

    def state(self) -> dict[str, torch.Tensor]:
        """Return everything learned as tensors, for storage."""
        learned = {name: torch.from_numpy(getattr(self, f"{name}_")) for name in _LEARNED}
        return learned | {f"network.{name}": tensor for name, tensor in self.network_.state_dict().items()}

    def restore(self, state: Mapping[str, torch.Tensor], /) -> Self:
        """Take on what `state` returned.

        Raises
        ------
        DataError
            A tensor is absent, unknown or of another shape.
        """
        try:
            learned = {name: state[name].numpy().reshape(shape) for name, shape in _LEARNED.items()}
            tensors = {k.removeprefix("network."): v for k, v in state.items() if k not in _LEARNED}
            self.network_ = _network(self.hidden, len(learned["mean_weights"]), seed=self.seed)
            self.network_.load_state_dict(tensors)
        except (KeyError, RuntimeError, ValueError) as error:
            raise DataError(f"the stored gating network does not fit a 3-{self.hidden}-n gate: {error}") from error
        self.median_, self.mean_, self.scale_ = (learned[name] for name in ("median", "mean", "scale"))
        self.heads_ = {}
        self._describe(learned["mean_weights"])
        return self

    def _learn_scale(self, trio: np.ndarray) -> None:
        defined = np.isfinite(trio)
        if not defined.any(axis=0).all():
            empty = PHYSICS_TRIO[int(np.argmin(defined.any(axis=0)))]
            raise DataError(f"{empty} is undefined in all {len(trio)} rows that the gate is fitted on.")
        known = np.where(defined, trio, np.nan).astype(np.float64)
        self.median_, self.mean_ = np.nanmedian(known, axis=0), np.nanmean(known, axis=0)
        deviation = np.nanstd(known, axis=0)
        self.scale_ = np.where(deviation > 0, deviation, 1.0)

    def _inputs(self, trio: np.ndarray) -> torch.Tensor:
        filled = np.where(np.isfinite(trio), trio, self.median_)
        return torch.from_numpy((filled - self.mean_) / self.scale_)

    def _loss(self, inputs: torch.Tensor, likelihood: torch.Tensor) -> torch.Tensor:
        weights = torch.softmax(self.network_(inputs), dim=1)  # (n, experts)
        mixed = (weights * likelihood).sum(dim=1).clamp_min(MIN_LIKELIHOOD)  # (n,)
        share = weights.mean(dim=0)  # (experts,)
        unevenness = len(share) * share.square().sum() - 1  # squared coefficient of variation
        size = parameters_to_vector(self.network_.parameters()).square().sum()
        return -mixed.log().mean() + self.balance * unevenness + self.weight_decay * size / 2

    def _describe(self, mean_weights: np.ndarray) -> None:
        self.mean_weights_ = mean_weights
        top = int(np.argmax(mean_weights))
        is_collapsed = len(mean_weights) > 1 and mean_weights[top] > self.collapse_share
        self.collapsed_on_ = top if is_collapsed else None


# ------------------------------------------------------------------------------------

_LEARNED = {"median": (3,), "mean": (3,), "scale": (3,), "mean_weights": (-1,)}


def _network(hidden: int, n_experts: int, *, seed: int) -> nn.Sequential:
    with seeded(seed):
        last = nn.Linear(hidden, n_experts, dtype=torch.float64)
        network = nn.Sequential(nn.Linear(len(PHYSICS_TRIO), hidden, dtype=torch.float64), nn.Tanh(), last)
    nn.init.zeros_(last.weight)
    nn.init.zeros_(last.bias)
    return network


class _Head(nn.Module):
    """A logistic head over fixed logits, at first of equal weights."""

    def __init__(self, logits: np.ndarray) -> None:
        super().__init__()
        self._logits = torch.from_numpy(logits.astype(np.float64))
        self._equal = 1 / logits.shape[1]
        self.weights = nn.Parameter(torch.full((logits.shape[1],), self._equal, dtype=torch.float64))
        self.bias = nn.Parameter(torch.zeros(1, dtype=torch.float64))

    def forward(self) -> torch.Tensor:
        """(n,) probabilities."""
        return torch.sigmoid(self._logits @ self.weights + self.bias)

    def distance(self) -> torch.Tensor:
        """Squared distance from equal weights and no bias."""
        return (self.weights - self._equal).square().sum() + self.bias.square().sum()

    def learned(self) -> LogisticHead:
        return LogisticHead(tuple(self.weights.tolist()), self.bias.item())


def _descend(parameters: list[nn.Parameter], loss_of_them: Callable[[], torch.Tensor], *, epochs: int) -> None:
    def loss_and_gradient(flat: np.ndarray) -> tuple[float, np.ndarray]:
        vector_to_parameters(torch.from_numpy(flat.copy()), parameters)
        loss = loss_of_them()
        gradients = torch.autograd.grad(loss, parameters)
        return loss.item(), parameters_to_vector(gradients).numpy()

    start = parameters_to_vector(parameters).detach().numpy().copy()
    found = minimize(loss_and_gradient, start, jac=True, method="L-BFGS-B", options={"maxiter": epochs})
    vector_to_parameters(torch.from_numpy(found.x.copy()), parameters)
