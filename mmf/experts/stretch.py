"""Stretches of consecutive bars, and what an expert says about some of them."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from scipy.special import expit

from mmf.errors import CallError
from mmf.experts.layout import Layout
from mmf.experts.protocol import Expert, JoinedExpert
from mmf.impute import MedianImputer
from mmf.rows import Rows, rows_near, stacked


@dataclass(frozen=True)
class Stretch:
    """Consecutive stored bars of each symbol as experts see them: undefined features are filled.

    Attributes
    ----------
    open_time_ms, symbol : np.ndarray
        (n,) int64, by time and, within, by symbol.
    x : np.ndarray
        (n, p) float32, finite.
    columns : tuple of str
        p names.
    """

    open_time_ms: np.ndarray
    symbol: np.ndarray
    x: np.ndarray
    columns: tuple[str, ...]

    @classmethod
    def of(cls, rows: Rows, imputer: MedianImputer, /) -> Self:
        """Fill the rows by the medians of an imputer that was fitted on the same columns."""
        return cls(rows.open_time_ms, rows.symbol, imputer.transform(rows.x), rows.columns)

    def __len__(self) -> int:
        return len(self.open_time_ms)

    def matrix(self, columns: tuple[str, ...], rows: slice | np.ndarray, /) -> np.ndarray:
        """Return some rows of some columns.

        Always in C order: sums over the same numbers laid out otherwise differ in the last bits.
        """
        place = {name: i for i, name in enumerate(self.columns)}
        return np.ascontiguousarray(self.x[rows][:, [place[name] for name in columns]])

    def layout(self, rows: slice | np.ndarray, /) -> Layout:
        """Return how some rows lie in time."""
        return Layout.of(self.open_time_ms[rows], self.symbol[rows])


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


def places_of(history: Rows, rows: Rows, /) -> np.ndarray:
    """Return where each of the rows lies in a history of the same symbols.

    Raises
    ------
    CallError
        One of the rows is not among them.
    """
    if history.symbols != rows.symbols:
        raise CallError(f"the history is of {list(history.symbols)}, the rows of {list(rows.symbols)}. Use the same.")
    known, wanted = history.keys, rows.keys
    places = np.minimum(np.searchsorted(known, wanted), max(0, len(known) - 1))
    found = known[places] == wanted if len(known) else np.zeros(len(rows), bool)
    if not found.all():
        raise CallError(
            f"{int((~found).sum())} of {len(rows)} rows are not in the history of {len(known)} bars. "
            "Hand over all stored rows of the series up to the last of them."
        )
    return places


def with_history(rows: Rows, history: Rows | None, /, *, reach: int) -> Rows:
    """Return the rows, and from the history those between them and each symbol's `reach` bars before the first."""
    if history is None:
        return rows
    near = history.take(_near(history, rows.open_time_ms, reach))
    between = near.take(~np.isin(near.keys, rows.keys)).select(rows.columns)
    return stacked([between, rows])


def padded(stretch: Stretch, places: np.ndarray, /, *, reach: int) -> np.ndarray:
    """Return (n,) bool: whether fewer than `reach` bars of the same symbol lie before a place."""
    ordinal = np.empty(len(stretch), np.int64)
    for code in np.unique(stretch.symbol):
        own = stretch.symbol == code
        ordinal[own] = np.arange(own.sum())
    return ordinal[places] < reach


def opinion(expert: Expert, stretch: Stretch, places: np.ndarray, columns: tuple[str, ...], /) -> Opinion:
    """Ask a fitted expert about the bars at some places, in time order; it reads those before them as it needs."""
    read = _near(stretch, stretch.open_time_ms[places], expert.context_bars) if expert.context_bars else places
    X, layout = stretch.matrix(columns, read), stretch.layout(read)
    asked = np.searchsorted(read, places)
    if isinstance(expert, JoinedExpert) and len(expert.part_names) > 1:
        logits = expert.parts(X, layout=layout)[asked]
        return Opinion(expert.head_.probability(logits), logits, expert.part_names)
    return Opinion(expert.predict_proba(X, layout=layout)[asked])


# ------------------------------------------------------------------------------------


def _near(bars: Rows | Stretch, open_time_ms: np.ndarray, reach: int) -> np.ndarray:
    """Places of the bars between the first and the last of these times, and of so many before of each symbol."""
    first, last = int(open_time_ms[0]), int(open_time_ms[-1])
    return rows_near(bars.open_time_ms, bars.symbol, first_ms=first, last_ms=last, reach=reach)
