"""Rows as markets have them: slow columns, and labels that overlap."""

import numpy as np

from mmf.rows import Rows, TrainingRows

HOUR_MS = 3_600_000
HORIZON = 12


def slow_rows(n: int = 2_400, p: int = 30, *, keep: float = 0.97, lean: float = 0.0, seed: int = 0) -> TrainingRows:
    """Autoregressions that know nothing, but for the first five, and a label of the next `HORIZON` steps' sum.

    The first five columns hold the drift of those steps, `lean` times as strong as their noise.
    """
    rng = np.random.default_rng(seed)
    x = np.zeros((n + HORIZON, p))
    shocks = rng.normal(size=x.shape)
    for i in range(1, len(x)):
        x[i] = keep * x[i - 1] + np.sqrt(1 - keep**2) * shocks[i]
    x[:, :5] = x[:, :1] + 0.3 * x[:, :5]
    steps = rng.normal(size=len(x)) + lean * x[:, 0]
    level = np.cumsum(steps)
    label = (level[HORIZON:] > level[:-HORIZON]).astype(float)
    open_time_ms = np.arange(n, dtype=np.int64) * HOUR_MS
    end_ms = open_time_ms + (HORIZON + 1) * HOUR_MS
    columns = tuple(f"f{j // 2:02d}" + ("_lag_1" if j % 2 else "") for j in range(p))
    rows = Rows(open_time_ms, x[:n].astype(np.float32), columns, label, end_ms)
    return TrainingRows.of(rows, known_before_ms=int(end_ms[-1]))
