"""How rows lie in time: which follow each other, and which stand beside each other at one instant."""

from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np


@dataclass(frozen=True)
class Layout:
    """The instants and symbols of n rows.

    Attributes
    ----------
    instant : np.ndarray
        (n,) int64, ascending from 0 without holes.
    symbol : np.ndarray
        (n,) int64 from 0 without holes; no symbol has two rows of one instant.
    """

    instant: np.ndarray
    symbol: np.ndarray

    @classmethod
    def of(cls, open_time_ms: np.ndarray, symbol: np.ndarray, /) -> Self:
        """Return the layout of rows with these times and symbols."""
        instant, code = (np.unique(values, return_inverse=True)[1] for values in (open_time_ms, symbol))
        return cls(instant, code)

    @classmethod
    def single(cls, n: int, /) -> Self:
        """Return the layout of n rows of one symbol."""
        return cls(np.arange(n), np.zeros(n, np.int64))

    @cached_property
    def shape(self) -> tuple[int, int]:
        """Number of instants and of symbols."""
        return int(self.instant.max(initial=-1)) + 1, int(self.symbol.max(initial=-1)) + 1

    @cached_property
    def sequences(self) -> list[np.ndarray]:
        """Rows of each symbol, in time order."""
        return [np.flatnonzero(self.symbol == code) for code in range(self.shape[1])]

    @cached_property
    def present(self) -> np.ndarray:
        """(T, S) bool: whether the symbol has a row at that instant."""
        return self.panel(np.ones(len(self.instant), bool), empty=False)

    def panel(self, values: np.ndarray, /, *, empty: float | bool) -> np.ndarray:
        """Return (T, S, ...) of (n, ...) values, `empty` where a symbol has no row."""
        laid = np.full((*self.shape, *values.shape[1:]), empty, values.dtype)
        laid[self.instant, self.symbol] = values
        return laid

    def rows(self, panel: np.ndarray, /) -> np.ndarray:
        """Return (n, ...) of a panel (T, S, ...)."""
        return panel[self.instant, self.symbol]
