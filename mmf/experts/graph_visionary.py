"""GraphVisionary: what the last 16 bars of each symbol say, and what the symbols beside it add."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np
import torch
from torch import nn

from mmf.errors import CallError, DataError
from mmf.experts.neural import NeuralExpert, Standardiser, choose_device, dropped, log_loss, stops_by, trained_on
from mmf.experts.protocol import ALONE, Session
from mmf.experts.training import one_thread, seeded
from mmf.scheduler import Effort

WINDOW_BARS = 16
ENERGY_BIAS = 2.0
MIN_ATTENTION = 0.01

PREDICTED_INSTANTS = 2_048  # instants answered together, to bound memory


@dataclass(frozen=True)
class Glance:
    """What the network saw at each instant.

    Attributes
    ----------
    energy : np.ndarray
        (T, S) in 0..1; NaN where a symbol is absent.
    attention : np.ndarray
        (T, S, S) weight that symbol i gives to symbol j; each row sums to 1, zero where j is absent, NaN where i is.
    """

    energy: np.ndarray
    attention: np.ndarray


class GraphVisionary(NeuralExpert):
    """An LSTM over the last 16 bars of each symbol, and attention across the symbols of one instant.

    Each symbol has an energy between 0 and 1, read from its newest bar; the attention score of symbol i on j carries
    the bias ``2 tanh(E_j - E_i)``, so that lively symbols are listened to. Weights under 0.01 are cut and the rest
    renormalised. What attention brings is added to what the symbol itself says. All symbols share one set of weights:
    their order does not matter, and a single one is listened to alone.

    Parameters
    ----------
    hidden : int
        Width of LSTM and attention.
    dropout : float
        Share of hidden values dropped in training.
    batch_bars : int
        Bars in one update; it takes whole instants, of all symbols.
    learning_rate, weight_decay : float
        Of AdamW.
    patience : int
        Epochs without improvement before early stopping.
    seed : int
        Draws the first weights, the order of instants and the dropout.

    Notes
    -----
    Hochreiter and Schmidhuber (1997), Long short-term memory; the attention across nodes is that of Velickovic et al.
    (2018), Graph attention networks, in the scaled dot-product form of Vaswani et al. (2017).
    """

    name: ClassVar[str] = "graph"
    context_bars: ClassVar[int] = WINDOW_BARS - 1

    def __init__(
        self,
        *,
        hidden: int = 32,
        dropout: float = 0.2,
        batch_bars: int = 512,
        learning_rate: float = 2e-3,
        weight_decay: float = 1e-2,
        patience: int = 5,
        seed: int = 0,
    ) -> None:
        self.hidden = hidden
        self.dropout = dropout
        self.batch_bars = batch_bars
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.patience = patience
        self.seed = seed

    def fit(
        self, X: np.ndarray, y: np.ndarray, *, present: np.ndarray, effort: Effort, session: Session = ALONE
    ) -> Self:
        """Learn from a panel.

        Parameters
        ----------
        X : np.ndarray
            (T, S, p) float32: T instants in order, S symbols; finite where present.
        y : np.ndarray
            (T, S) labels 0.0 or 1.0; NaN where a bar is context only.
        present : np.ndarray
            (T, S) bool: whether the symbol has a bar at that instant.
        effort : Effort
            `epochs` at most; all of them are run where the session names no rows to stop by. An epoch shows as many
            bars as one of the symbols has on average: bars of one instant are alike, and S times as many of them
            would train S times as long.
        session : Session
            (T,) instants or (T, S) bars of early stopping, and where an unfinished fit is kept.

        Raises
        ------
        DataError
            No present bar has a label to train on.
        """
        trained = present & trained_on(y, session)
        if not trained.any():
            raise DataError("GraphVisionary has no labelled row to train on. Take more history.")
        device = choose_device()
        self.standardiser_ = Standardiser.of(X[trained])
        network = self.fresh_network(X.shape[2]).to(device)
        panel = _Panel(self.standardiser_, X, present, device)
        labels = torch.from_numpy(np.where(trained, y, np.nan).astype(np.float32)).to(device)
        instants, n_symbols = torch.from_numpy(np.flatnonzero(trained.any(axis=1))), X.shape[1]

        def losses(generator: torch.Generator) -> Iterator[torch.Tensor]:
            order = instants[torch.randperm(len(instants), generator=generator)]
            for batch in order[: -(-len(order) // n_symbols)].split(max(1, self.batch_bars // n_symbols)):
                yield log_loss(network(*panel.windows(batch), noise=generator).logits, labels[batch])

        return self._train(
            network,
            losses,
            epochs=effort.epochs,
            session=session,
            device=device,
            validation_loss=lambda: _held_loss(network, panel, y, stops_by(y, session)),
        )

    def predict_proba(self, X: np.ndarray, /, *, present: np.ndarray) -> np.ndarray:
        """Return (T, S) float64 probabilities of label 1, NaN where a symbol is absent.

        A symbol's first 15 bars lack bars before them and read zeros (the training mean) in their place.
        """
        parts = [torch.sigmoid(answer.logits).double().numpy() for answer in self._answers(X, present)]
        return np.where(present, np.concatenate(parts), np.nan)

    def glance(self, X: np.ndarray, /, *, present: np.ndarray) -> Glance:
        """Return the energies and the attention of each instant."""
        answers = list(self._answers(X, present))
        energy = np.concatenate([answer.energy.double().numpy() for answer in answers])
        attention = np.concatenate([answer.attention.double().numpy() for answer in answers])
        return Glance(np.where(present, energy, np.nan), np.where(present[:, :, None], attention, np.nan))

    def fresh_network(self, n_columns: int, /) -> "GraphNetwork":
        """Return a network with its first weights."""
        with seeded(self.seed):
            return GraphNetwork(n_columns, hidden=self.hidden, dropout=self.dropout)

    def _answers(self, X: np.ndarray, present: np.ndarray) -> Iterator["Answer"]:
        panel = _Panel(self.standardiser_, X, present, torch.device("cpu"))
        with one_thread(), torch.inference_mode():
            for instants in torch.arange(len(X)).split(PREDICTED_INSTANTS):
                yield self.network_(*panel.windows(instants))


@dataclass(frozen=True)
class Answer:
    """What the network gives: (b, S) logits, (b, S) energy, (b, S, S) attention."""

    logits: torch.Tensor
    energy: torch.Tensor
    attention: torch.Tensor


class GraphNetwork(nn.Module):
    """(b, S, 16, p) windows and (b, S) presence in; an `Answer` out."""

    def __init__(self, n_columns: int, *, hidden: int, dropout: float) -> None:
        super().__init__()
        self.lstm = nn.LSTM(n_columns, hidden, batch_first=True)
        self.energy = nn.Linear(n_columns, 1)
        self.query = nn.Linear(hidden, hidden)
        self.key = nn.Linear(hidden, hidden)
        self.value = nn.Linear(hidden, hidden)
        self.out = nn.Linear(hidden, hidden)
        self.dropout = dropout
        self.head = nn.Linear(hidden, 1)

    def forward(self, windows: torch.Tensor, present: torch.Tensor, *, noise: torch.Generator | None = None) -> Answer:
        """Answer every symbol of every instant; absent ones are answered too, and mean nothing.

        Dropout draws from `noise`, and without it nothing is dropped.
        """
        b, s, length, p = windows.shape
        states, _ = self.lstm(windows.reshape(b * s, length, p))
        said = dropped(states[:, -1].reshape(b, s, -1), self.dropout, noise)
        energy = torch.sigmoid(self.energy(windows[:, :, -1]).squeeze(-1))  # (b, s)
        attention = self._attention(said, energy, present)
        heard = self.out(attention @ self.value(said))
        return Answer(self.head(dropped(said + heard, self.dropout, noise)).squeeze(-1), energy, attention)

    def _attention(self, said: torch.Tensor, energy: torch.Tensor, present: torch.Tensor) -> torch.Tensor:
        """(b, s, s): rows listen, columns speak; absent symbols do not speak."""
        scores = self.query(said) @ self.key(said).transpose(1, 2) / said.shape[-1] ** 0.5
        scores = scores + ENERGY_BIAS * torch.tanh(energy[:, None, :] - energy[:, :, None])
        # a large finite number: an instant without any symbol must not turn into NaN
        weights = torch.softmax(scores.masked_fill(~present[:, None, :], -1e9), dim=-1) * present[:, None, :]
        loudest = weights.amax(dim=-1, keepdim=True)  # stays even where a hundred symbols share alike
        kept = weights * ((weights >= MIN_ATTENTION) | (weights == loudest))
        return kept / kept.sum(dim=-1, keepdim=True).clamp_min(1e-9)


# ------------------------------------------------------------------------------------


class _Panel:
    """Standardised bars of several symbols, and the places of each one's last 16 bars."""

    def __init__(self, standardiser: Standardiser, X: np.ndarray, present: np.ndarray, device: torch.device) -> None:
        if X.ndim != 3 or present.shape != X.shape[:2]:
            raise CallError(f"a panel is (T, S, p) with presence (T, S), got {X.shape} and {present.shape}.")
        filled = standardiser.apply(np.where(present[:, :, None], X, standardiser.mean))
        # one more row of zeros stands for bars before a symbol's first
        rows = np.concatenate([filled.reshape(-1, X.shape[2]), np.zeros((1, X.shape[2]), np.float32)])
        self._rows = torch.from_numpy(rows).to(device)
        self._places = torch.from_numpy(_window_places(present)).to(device)
        self._present = torch.from_numpy(present).to(device)

    def windows(self, instants: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(b, S, 16, p) and (b, S) of some instants."""
        return self._rows[self._places[instants]], self._present[instants]


def _window_places(present: np.ndarray) -> np.ndarray:
    """(T, S, 16) flat places of each symbol's last 16 stored bars; T * S where there is none."""
    n, n_symbols = present.shape
    nothing = n * n_symbols
    places = np.full((n, n_symbols, WINDOW_BARS), nothing)
    back = np.arange(WINDOW_BARS)[::-1]
    for s in range(n_symbols):
        rows = np.flatnonzero(present[:, s])
        order = np.arange(len(rows))[:, None] - back
        places[rows, s] = np.where(order >= 0, rows[np.maximum(order, 0)] * n_symbols + s, nothing)
    return places


def _held_loss(network: nn.Module, panel: _Panel, y: np.ndarray, judged: np.ndarray) -> float:
    instants = torch.from_numpy(np.flatnonzero(judged.any(axis=1)))
    with torch.inference_mode():
        logits = [network(*panel.windows(part)).logits.cpu() for part in instants.split(PREDICTED_INSTANTS)]
        return log_loss(torch.cat(logits), torch.from_numpy(y.astype(np.float32))[instants]).item()
