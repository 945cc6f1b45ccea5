"""The temporal CNN in one pass over the series, against the same network trained on materialised 316-bar windows.

Both train for equal epochs on the same rows in the same run, in turn, on one thread; CPU time counts, so that a busy
machine does not.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from mmf.experts.neural import Standardiser, log_loss
from mmf.experts.temporal_cnn import CONTEXT_BARS, TemporalCNN
from mmf.experts.training import MAX_GRADIENT_NORM, one_thread
from mmf.scheduler import Effort

N_ROWS = 1_315  # 1,000 of them are scored
N_COLUMNS = 60
EPOCHS = 1
BATCH_WINDOWS = 64


@dataclass(frozen=True)
class CnnCost:
    """CPU seconds an epoch, and how much memory the inputs take."""

    one_pass_s: float
    windows_s: float
    one_pass_mib: float
    windows_mib: float

    @property
    def ratio(self) -> float:
        """How many times as long the windows take."""
        return self.windows_s / self.one_pass_s


def measure_cnn(*, n_rows: int = N_ROWS, epochs: int = EPOCHS, n_rounds: int = 2) -> CnnCost:
    """Train both ways in turn, and keep the best round of each."""
    random = np.random.default_rng(0)
    x = random.normal(size=(n_rows, N_COLUMNS)).astype(np.float32)
    label = (random.random(n_rows) < 0.4).astype(np.float64)
    rounds = [
        (
            _cpu_s(lambda: TemporalCNN().fit(x, label, effort=Effort(epochs=epochs))),
            _cpu_s(lambda: _train_on_windows(x, label, epochs=epochs)),
        )
        for _ in range(n_rounds)
    ]
    one_pass_s, windows_s = (min(seconds) / epochs for seconds in zip(*rounds, strict=True))
    n_windows = n_rows - CONTEXT_BARS
    return CnnCost(one_pass_s, windows_s, x.nbytes / 2**20, n_windows * (CONTEXT_BARS + 1) * N_COLUMNS * 4 / 2**20)


# ------------------------------------------------------------------------------------


def _train_on_windows(x: np.ndarray, label: np.ndarray, *, epochs: int) -> None:
    standard = Standardiser.of(x).apply(x)
    windows = torch.from_numpy(
        np.lib.stride_tricks.sliding_window_view(standard, CONTEXT_BARS + 1, axis=0).swapaxes(1, 2).copy()
    )  # (n, 316, p)
    wanted = torch.from_numpy(label[CONTEXT_BARS:].astype(np.float32))
    expert = TemporalCNN()
    network = expert.fresh_network(N_COLUMNS)
    optimizer = torch.optim.AdamW(network.parameters(), lr=expert.learning_rate, weight_decay=expert.weight_decay)
    noise = torch.Generator().manual_seed(0)
    with one_thread():
        for _ in range(epochs):
            for batch in torch.randperm(len(windows), generator=noise).split(BATCH_WINDOWS):
                optimizer.zero_grad(set_to_none=True)
                log_loss(network(windows[batch], noise=noise)[:, 0], wanted[batch]).backward()
                torch.nn.utils.clip_grad_norm_(network.parameters(), MAX_GRADIENT_NORM)
                optimizer.step()


def _cpu_s(work: Callable[[], object]) -> float:
    began = time.thread_time()
    work()
    return time.thread_time() - began


if __name__ == "__main__":
    cost = measure_cnn()
    print(
        f"temporal CNN, 1,000 rows an epoch: {cost.one_pass_s:.2f} CPU s in one pass ({cost.one_pass_mib:.1f} MiB), "
        f"{cost.windows_s:.2f} on windows ({cost.windows_mib:.0f} MiB): {cost.ratio:.0f} times"
    )
