"""Rows whose clusters, confounder and signal are known."""

from dataclasses import replace

import numpy as np

from mmf.rows import PHYSICS_TRIO, Rows, TrainingRows

HOUR_MS = 3_600_000
FAMILIES = ("a", "b", "c")
N_EACH = 6


def factors(n: int, *, seed: int = 0) -> dict[str, np.ndarray]:
    """Independent factors of mean 0 and variance 1; `c` is the confounder."""
    random = np.random.default_rng(seed)
    return {name: random.normal(size=n) for name in (*FAMILIES, "label")}


def confounded(n: int, *, seed: int = 0, noise: float = 0.3) -> np.ndarray:
    """(n, 18) float32: columns of a and of b, each with c in it, then columns of c alone."""
    parts = factors(n, seed=seed)
    random = np.random.default_rng(seed + 1_000)
    means = [parts["a"] + parts["c"], parts["b"] + parts["c"], parts["c"]]
    x = np.repeat(np.column_stack(means), N_EACH, axis=1) + noise * random.normal(size=(n, 3 * N_EACH))
    return x.astype(np.float32)


def names() -> tuple[str, ...]:
    lags = ("", "_lag_1", "_lag_2", "_lag_3", "_lag_5", "_lag_8")
    return tuple(f"{family}{lag}" for family in FAMILIES for lag in lags)


def rows_of(x: np.ndarray, label: np.ndarray, columns: tuple[str, ...], *, horizon: int = 3) -> TrainingRows:
    """Rows an hour apart whose labels are known `horizon` bars after their close."""
    open_time_ms = np.arange(len(x), dtype=np.int64) * HOUR_MS
    end_ms = open_time_ms + (horizon + 1) * HOUR_MS
    return TrainingRows.of(Rows(open_time_ms, x, columns, label, end_ms), known_before_ms=int(end_ms[-1]))


def market(n: int = 1_500, *, signal: str = "a", strength: float = 0.5, seed: int = 0) -> TrainingRows:
    """The trio, then confounded columns, and a label that one of their factors drives."""
    parts = factors(n, seed=seed)
    trio = np.random.default_rng(seed + 2_000).normal(size=(n, 3)).astype(np.float32)
    label = (strength * parts[signal] + parts["label"] > 0).astype(np.float64)
    return rows_of(np.hstack([trio, confounded(n, seed=seed)]), label, (*PHYSICS_TRIO, *names()))


def noise(n: int = 1_500, p: int = 40, *, seed: int = 0) -> TrainingRows:
    """The trio and columns of families, none of which tells anything of the label."""
    random = np.random.default_rng(seed)
    x = np.repeat(random.normal(size=(n, p // 4)), 4, axis=1) + 0.3 * random.normal(size=(n, p))
    trio = random.normal(size=(n, 3))
    label = random.integers(0, 2, n).astype(np.float64)
    columns = (*PHYSICS_TRIO, *(f"f{j:02d}" for j in range(p)))
    return rows_of(np.hstack([trio, x]).astype(np.float32), label, columns)


def relabelled(rows: TrainingRows, label: np.ndarray) -> TrainingRows:
    return replace(rows, label=label)
