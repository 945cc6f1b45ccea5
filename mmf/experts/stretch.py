"""Stretches of consecutive bars, and what an expert says about some of them."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from scipy.special import expit

from mmf.errors import CallError
from mmf.experts.protocol import Expert, JoinedExpert
from mmf.impute import MedianImputer
from mmf.rows import Rows


@dataclass(frozen=True)
class Stretch:
    """Consecutive stored bars of one series as experts see them: undefined features are filled.

    Attributes
    ----------
    open_time_ms : np.ndarray
        (n,) int64, strictly increasing.
    x : np.ndarray
        (n, p) float32, finite.
    columns : tuple of str
        p names.
    """

    open_time_ms: np.ndarray
    x: np.ndarray
    columns: tuple[str, ...]

    @classmethod
    def of(cls, rows: Rows, imputer: MedianImputer, /) -> Self:
        """Fill the rows by the medians of an imputer that was fitted on the same columns."""
        return cls(rows.open_time_ms, imputer.transform(rows.x), rows.columns)

    def __len__(self) -> int:
        return len(self.open_time_ms)

    def matrix(self, columns: tuple[str, ...], rows: slice | np.ndarray, /) -> np.ndarray:
        """Return some rows of some columns.

        Always in C order: sums over the same numbers laid out otherwise differ in the last bits.
        """
        place = {name: i for i, name in enumerate(self.columns)}
        return np.ascontiguousarray(self.x[rows][:, [place[name] for name in columns]])


@dataclass(frozen=True)
class Opinion:
    """What an expert says about n rows.

    Attributes
    ----------
    probability : np.ndarray
        (n,) float64.
    logits : np.ndarray or None
        (n, parts) of an expert that is made of several models.
    part_names : tuple of str
        Their names.
    """

    probability: np.ndarray
    logits: np.ndarray | None = None
    part_names: tuple[str, ...] = ()

    def parts(self) -> dict[str, np.ndarray]:
        """Return the (n,) probabilities of each model that is joined, by name."""
        if self.logits is None:
            return {}
        return {name: expit(column) for name, column in zip(self.part_names, self.logits.T, strict=True)}


def places_of(open_time_ms: np.ndarray, rows: Rows, /) -> np.ndarray:
    """Return where each of the rows lies among the bars of these times.

    Raises
    ------
    CallError
        One of the rows is not among them.
    """
    places = np.minimum(np.searchsorted(open_time_ms, rows.open_time_ms), max(0, len(open_time_ms) - 1))
    found = open_time_ms[places] == rows.open_time_ms if len(open_time_ms) else np.zeros(len(rows), bool)
    if not found.all():
        raise CallError(
            f"{int((~found).sum())} of {len(rows)} rows are not in the history of {len(open_time_ms)} bars. "
            "Hand over all stored rows of the series up to the last of them."
        )
    return places


def with_history(rows: Rows, history: Rows | None, /, *, reach: int) -> Rows:
    """Return the rows, and from the history those between them and `reach` bars before the first."""
    if history is None:
        return rows
    first = int(np.searchsorted(history.open_time_ms, rows.open_time_ms[0])) - reach
    last = int(np.searchsorted(history.open_time_ms, rows.open_time_ms[-1], side="right"))
    near = history.take(np.arange(max(0, first), last))
    between = near.take(~np.isin(near.open_time_ms, rows.open_time_ms)).select(rows.columns)
    parts = [(part.open_time_ms, part.x, part.label, part.label_end_ms) for part in (between, rows)]
    time, x, label, label_end = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    order = np.argsort(time)
    return Rows(time, x, rows.columns, label, label_end).take(order)


def opinion(expert: Expert, stretch: Stretch, places: np.ndarray, columns: tuple[str, ...], /) -> Opinion:
    """Ask a fitted expert about the bars at some places, in time order; it reads those before them as it needs."""
    if expert.context_bars:
        first = max(0, int(places[0]) - expert.context_bars)
        X, asked = stretch.matrix(columns, slice(first, int(places[-1]) + 1)), places - first
    else:
        X, asked = stretch.matrix(columns, places), np.arange(len(places))
    if isinstance(expert, JoinedExpert) and len(expert.part_names) > 1:
        logits = expert.parts(X)[asked]
        return Opinion(expert.head_.probability(logits), logits, expert.part_names)
    return Opinion(expert.predict_proba(X)[asked])
