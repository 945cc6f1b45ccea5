"""Temporal CNN: a causal convolutional network that reads the last 316 bars and answers every bar in one pass."""

from collections.abc import Iterator
from typing import ClassVar, Self

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from mmf.errors import CallError, DataError
from mmf.experts.layout import Layout
from mmf.experts.neural import (
    NeuralExpert,
    Standardiser,
    choose_device,
    dropped,
    log_loss,
    mixed_precision,
    stops_by,
    trained_on,
)
from mmf.experts.protocol import ALONE, Session, View
from mmf.experts.training import one_thread, seeded
from mmf.scheduler import Effort

DILATIONS = (1, 2, 4, 8, 16, 32)
KERNEL = 3
POOLED_BARS = 64
STACK_REACH = 2 * (KERNEL - 1) * sum(DILATIONS)  # 252 earlier bars that one hidden state reads
CONTEXT_BARS = STACK_REACH + POOLED_BARS - 1  # 315 earlier bars that one answer reads

PREDICTED_BARS = 4_096  # rows answered together, to bound memory


class TemporalCNN(NeuralExpert):
    """Dilated causal convolutions with channel attention over the mean of the last 64 bars.

    Rows are consecutive stored bars of one series, or of several that a layout tells apart: an answer reads its own bar
    and the 315 before it of the same symbol. Training never lays overlapping windows out: a segment of bars gives an
    answer at every bar in one pass.

    Parameters
    ----------
    channels : int
        Width of the hidden layers.
    dropout : float
        Share of hidden values dropped in training.
    segment_bars : int
        Bars scored in one update, about; 315 bars of context stand in front of them and are never scored.
    learning_rate, weight_decay : float
        Of AdamW.
    patience : int
        Epochs without improvement before early stopping.
    seed : int
        Draws the first weights, the order of segments and the dropout.

    Notes
    -----
    Bai, Kolter and Koltun (2018), An empirical evaluation of generic convolutional and recurrent networks for
    sequence modeling; the channel attention is that of Hu, Shen and Sun (2018),
    Squeeze-and-excitation networks, with the sliding mean in place of the global one. Layer norms act on the channels
    of one bar, so no layer mixes time other than backwards.
    """

    name: ClassVar[str] = "cnn"
    reads: ClassVar[View] = "latents"
    context_bars: ClassVar[int] = CONTEXT_BARS

    def __init__(
        self,
        *,
        channels: int = 128,
        dropout: float = 0.2,
        segment_bars: int = 1_000,
        learning_rate: float = 1e-3,
        weight_decay: float = 1e-2,
        patience: int = 5,
        seed: int = 0,
    ) -> None:
        self.channels = channels
        self.dropout = dropout
        self.segment_bars = segment_bars
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.patience = patience
        self.seed = seed

    def fit(
        self,
        X: np.ndarray,
        y: np.ndarray,
        *,
        effort: Effort,
        session: Session = ALONE,
        layout: Layout | None = None,
    ) -> Self:
        """Learn from one training block.

        Parameters
        ----------
        X : np.ndarray
            (n, p) float32, finite, consecutive stored bars.
        y : np.ndarray
            (n,) labels 0.0 or 1.0; NaN where a bar is context only (purged, or without a label).
        effort : Effort
            `epochs` at most; all of them are run where the session names no rows to stop by. An epoch shows as many
            segments as one of the symbols has on average, drawn from those of all: symbols move together, and a pass
            over S of them would train S times as long.
        session : Session
            Rows of early stopping, and where an unfinished fit is kept.
        layout : Layout, optional
            Which bars are of one symbol; without it all are.

        Raises
        ------
        DataError
            No labelled row has 315 bars before it.
        """
        trained = trained_on(y, session)
        sequences = (layout or Layout.single(len(X))).sequences
        segments = _segments([trained[rows] for rows in sequences], self.segment_bars)
        n_shown = -(-len(segments) // len(sequences))
        device = choose_device()
        self.standardiser_ = Standardiser.of(X[trained])
        network = self.fresh_network(X.shape[1]).to(device)
        inputs = _sequences(self.standardiser_.apply(X), sequences, device)
        labels = _sequences(np.where(trained, y, np.nan).astype(np.float32), sequences, device)

        def losses(generator: torch.Generator) -> Iterator[torch.Tensor]:
            for i in torch.randperm(len(segments), generator=generator)[:n_shown].tolist():
                place, first, stop = segments[i]
                with mixed_precision(device):
                    logits = network(inputs[place][None, first - CONTEXT_BARS : stop], noise=generator)[0]
                yield log_loss(logits.float(), labels[place][first:stop])

        return self._train(
            network,
            losses,
            epochs=effort.epochs,
            session=session,
            device=device,
            validation_loss=lambda: _held_loss(network, inputs, y, stops_by(y, session), sequences),
        )

    def predict_proba(self, X: np.ndarray, /, *, layout: Layout | None = None) -> np.ndarray:
        """Return (n,) float64 probabilities of label 1 for consecutive bars.

        The first 315 rows of each symbol lack bars before them and read zeros (the training mean) in their place.
        """
        sequences, told = (layout or Layout.single(len(X))).sequences, np.empty(len(X))
        inputs = _sequences(self.standardiser_.apply(X), sequences, torch.device("cpu"))
        with one_thread(), torch.inference_mode():
            for rows, bars in zip(sequences, inputs, strict=True):
                told[rows] = torch.sigmoid(_answers(self.network_, bars)).double().numpy()
        return told

    def fresh_network(self, n_columns: int, /) -> "CausalNetwork":
        """Return a network with its first weights."""
        with seeded(self.seed):
            return CausalNetwork(n_columns, channels=self.channels, dropout=self.dropout)


class CausalNetwork(nn.Module):
    """(batch, T + 315, p) standardised bars in, (batch, T) logits out: one for each bar that has its context.

    Every convolution is a valid one, so a hidden state is computed only where all that it reads is there, and no
    layer pads: an answer is the same whether its 316 bars come alone or within a longer stretch.
    """

    def __init__(self, n_columns: int, *, channels: int, dropout: float) -> None:
        super().__init__()
        widths = [n_columns, *[channels] * (len(DILATIONS) - 1)]
        self.blocks = nn.ModuleList(
            _Block(width, channels, dilation, dropout) for width, dilation in zip(widths, DILATIONS, strict=True)
        )
        self.squeeze = nn.Linear(channels, channels // 4)
        self.excite = nn.Linear(channels // 4, channels)
        self.hidden = nn.Linear(2 * channels, channels // 2)
        self.dropout = dropout
        self.head = nn.Linear(channels // 2, 1)

    def forward(self, bars: torch.Tensor, *, noise: torch.Generator | None = None) -> torch.Tensor:
        """Answer each bar that has its context; dropout draws from `noise`, and without it nothing is dropped."""
        if bars.shape[1] <= CONTEXT_BARS:
            raise CallError(f"the network reads {CONTEXT_BARS + 1} bars for one answer, got {bars.shape[1]}.")
        states = bars
        for block in self.blocks:
            states = block(states, noise)  # (batch, T + 63, channels) after the last
        pooled = _sliding_mean(states)  # (batch, T, channels)
        attention = torch.sigmoid(self.excite(functional.relu(self.squeeze(pooled))))
        # the mean tells the last 64 bars apart from others, the newest state where in them the market stands
        seen = torch.cat([pooled * attention, states[:, POOLED_BARS - 1 :] * attention], dim=-1)
        hidden = functional.relu(self.hidden(seen))  # (batch, T, channels / 2)
        return self.head(dropped(hidden, self.dropout, noise)).squeeze(-1)


# ------------------------------------------------------------------------------------


class _Block(nn.Module):
    """Two dilated convolutions with a residual path around them."""

    def __init__(self, n_in: int, channels: int, dilation: int, dropout: float) -> None:
        super().__init__()
        self.first = _Convolution(n_in, channels, dilation)
        self.second = _Convolution(channels, channels, dilation)
        self.dropout = dropout
        self.around = nn.Identity() if n_in == channels else nn.Linear(n_in, channels)

    def forward(self, x: torch.Tensor, noise: torch.Generator | None) -> torch.Tensor:
        out = dropped(self.second(dropped(self.first(x), self.dropout, noise)), self.dropout, noise)
        return out + self.around(x[:, -out.shape[1] :])


class _Convolution(nn.Module):
    """Valid dilated convolution over time, then a layer norm over the channels of each bar, then ReLU.

    Time stands before channels, so that each of the three taps is one plain matrix product.
    """

    def __init__(self, n_in: int, channels: int, dilation: int) -> None:
        super().__init__()
        self.dilation = dilation
        taps = [nn.Linear(n_in, channels, bias=k == 0) for k in range(KERNEL)]
        for tap in taps:  # as one convolution of KERNEL * n_in inputs would begin
            nn.init.normal_(tap.weight, std=(2 / (KERNEL * n_in)) ** 0.5)
        self.taps = nn.ModuleList(taps)
        self.norm = nn.LayerNorm(channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        length = x.shape[1] - (KERNEL - 1) * self.dilation
        parts = [tap(x[:, k * self.dilation : k * self.dilation + length]) for k, tap in enumerate(self.taps)]
        return functional.relu(self.norm(sum(parts[1:], start=parts[0])))


def _sliding_mean(states: torch.Tensor) -> torch.Tensor:
    """Mean of each 64 consecutive states, by doubling: the order of additions is the same for every bar."""
    total, width = states, 1
    while width < POOLED_BARS:
        total = total[:, width:] + total[:, :-width]
        width *= 2
    return total / POOLED_BARS


def _sequences(values: np.ndarray, sequences: list[np.ndarray], device: torch.device) -> list[torch.Tensor]:
    """Values of each symbol's rows."""
    return [torch.from_numpy(values[rows]).to(device) for rows in sequences]


def _segments(trained: list[np.ndarray], segment_bars: int) -> list[tuple[int, int, int]]:
    """Which sequence, and half-open ranges of its rows, to score, each with its context inside the block."""
    segments = [(place, *segment) for place, of in enumerate(trained) for segment in _segments_of_one(of, segment_bars)]
    if not segments:
        raise DataError(
            f"the temporal CNN reads {CONTEXT_BARS} bars before each row, and no labelled row has as many. "
            "Take more history, or leave the CNN out."
        )
    return segments


def _segments_of_one(trained: np.ndarray, segment_bars: int) -> list[tuple[int, int]]:
    """Ranges of about equal length; none where no row has its context."""
    scored = np.flatnonzero(trained)
    scored = scored[scored >= CONTEXT_BARS]
    if len(scored) == 0:
        return []
    first, stop = int(scored[0]), int(scored[-1]) + 1
    edges = np.linspace(first, stop, max(1, round((stop - first) / segment_bars)) + 1).round().astype(int)
    ranges = zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True)
    return [(a, b) for a, b in ranges if trained[a:b].any()]


def _held_loss(
    network: nn.Module, inputs: list[torch.Tensor], y: np.ndarray, judged: np.ndarray, sequences: list[np.ndarray]
) -> float:
    """Log-loss of the rows of early stopping; their context may lie among the rows trained on."""
    told, known = [], []
    with torch.inference_mode():
        for bars, rows in zip(inputs, sequences, strict=True):
            places = np.flatnonzero(judged[rows])
            if len(places) == 0:
                continue
            start = max(0, int(places[0]) - CONTEXT_BARS)
            told.append(_answers(network, bars[start : int(places[-1]) + 1])[torch.from_numpy(places - start)].cpu())
            known.append(torch.from_numpy(y[rows[places]].astype(np.float32)))
        return log_loss(torch.cat(told), torch.cat(known)).item()


def _answers(network: nn.Module, inputs: torch.Tensor) -> torch.Tensor:
    """(n,) logits of consecutive rows, with zeros in place of the bars before the first."""
    padded = functional.pad(inputs, (0, 0, CONTEXT_BARS, 0))
    n = len(inputs)
    parts = [
        network(padded[None, first : min(first + PREDICTED_BARS, n) + CONTEXT_BARS])[0].float()
        for first in range(0, n, PREDICTED_BARS)
    ]
    return torch.cat(parts)
