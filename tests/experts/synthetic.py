"""Rows as a market gives them: slow columns, and labels that look 36 bars ahead and so overlap."""

from dataclasses import replace

import numpy as np

from mmf.rows import PHYSICS_TRIO, Rows, TrainingRows, stacked

HOUR_MS = 3_600_000
HORIZON = 36


def market_rows(n: int, *, n_columns: int = 8, signal: float = 0.0, seed: int = 0) -> Rows:
    """Columns are slow autoregressions; `signal` is the pull of the first non-physics column on returns."""
    random = np.random.default_rng(seed)
    x = slow_columns(n, n_columns, random)
    returns = random.normal(size=n + HORIZON)
    returns[1 : n + 1] += signal * x[:, 3]
    path = np.cumsum(returns)
    label = (path[HORIZON:] > path[:-HORIZON]).astype(np.float64)
    open_time_ms = np.arange(n, dtype=np.int64) * HOUR_MS
    columns = (*PHYSICS_TRIO, *(f"f{i}" for i in range(n_columns - 3)))
    return Rows(open_time_ms, x, columns, label, open_time_ms + (HORIZON + 1) * HOUR_MS)


def together(parts: dict[str, Rows], /) -> Rows:
    """Rows of several symbols as one."""
    symbols = tuple(sorted(parts))
    return stacked([replace(parts[name], symbols=(name,)).among(symbols) for name in symbols])


def training(rows: Rows) -> TrainingRows:
    return TrainingRows.of(rows, known_before_ms=int(rows.label_end_ms[-1]))


def slow_columns(n: int, n_columns: int, random: np.random.Generator) -> np.ndarray:
    x = random.normal(size=(n, n_columns))
    for i in range(1, n):
        x[i] = 0.99 * x[i - 1] + 0.14 * x[i]
    return x.astype(np.float32)


def planted(n: int, *, n_columns: int = 5, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Independent rows whose first column drives the label."""
    random = np.random.default_rng(seed)
    X = random.normal(size=(n, n_columns)).astype(np.float32)
    y = (X[:, 0] + 0.5 * random.normal(size=n) > 0).astype(np.float64)
    return X, y
