"""Rows that learners see, and the guard that keeps test rows out of every fit."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Self

import numpy as np
import polars as pl

from mmf.errors import CallError, DataError, LeakError

PHYSICS_TRIO = ("hurst_200", "entropy_200", "fdi_200")
_NO_CODES = np.zeros(0, np.int64)


@dataclass(frozen=True)
class Rows:
    """Feature rows of one series in time order, or of several series of one interval by time and, within, by symbol.

    Attributes
    ----------
    open_time_ms : np.ndarray
        (n,) int64, ascending; no symbol has two rows of one time.
    x : np.ndarray
        (n, p) float32; NaN where a feature is undefined.
    columns : tuple of str
        p names, one for each column of `x`.
    label : np.ndarray
        (n,) float64 of 0.0, 1.0, NaN where the horizon is not over.
    label_end_ms : np.ndarray
        (n,) int64, the instant at which the label of the row is known.
    symbols : tuple of str
        Names of the symbols, ascending; one of them may have no row here. A single one may go without a name.
    symbol : np.ndarray
        (n,) int64 place in `symbols` of each row's symbol; zeros where not given.
    """

    open_time_ms: np.ndarray
    x: np.ndarray
    columns: tuple[str, ...]
    label: np.ndarray
    label_end_ms: np.ndarray
    symbols: tuple[str, ...] = field(default=("",), kw_only=True)
    symbol: np.ndarray = field(default_factory=lambda: _NO_CODES, kw_only=True)

    def __post_init__(self) -> None:
        n, p = self.x.shape
        if self.symbol is _NO_CODES:
            object.__setattr__(self, "symbol", np.zeros(n, np.int64))
        if list(self.symbols) != sorted(set(self.symbols)):
            raise CallError(f"symbols {list(self.symbols)} must ascend, each once: no result may hang on their order.")
        lengths = {len(self.open_time_ms), len(self.label), len(self.label_end_ms), len(self.symbol), n}
        if len(lengths) != 1 or p != len(self.columns):
            raise CallError(
                f"rows do not fit together: x {self.x.shape}, {len(self.columns)} column names, "
                f"{len(self.open_time_ms)} times, {len(self.label)} labels."
            )

    def __len__(self) -> int:
        return len(self.open_time_ms)

    @property
    def keys(self) -> np.ndarray:
        """(n,) int64, ascending by time and symbol, the same for the same time and symbol; times where there is one."""
        return self.open_time_ms * len(self.symbols) + self.symbol

    @property
    def symbol_names(self) -> pl.Series:
        """The symbol of each row by name."""
        return pl.Series("symbol", list(self.symbols))[self.symbol.tolist()]

    @property
    def n_together(self) -> float:
        """Mean number of rows of one time."""
        return len(self) / max(1, len(np.unique(self.open_time_ms)))

    def of_symbol(self, code: int, /) -> Self:
        """Return the rows of one symbol, as rows of that symbol alone."""
        own = self.take(self.symbol == code)
        return replace(own, symbols=(self.symbols[code],), symbol=np.zeros(len(own), np.int64))

    def among(self, symbols: tuple[str, ...], /) -> Self:
        """Return the rows with their symbols' places among others.

        Raises
        ------
        DataError
            A symbol is not among them.
        """
        if symbols == self.symbols:
            return self
        if unknown := sorted(set(self.symbols) - set(symbols)):
            raise DataError(f"{unknown[0]} is not among the symbols {', '.join(symbols)}. Train on it too.")
        places = np.array([symbols.index(name) for name in self.symbols])
        return replace(self, symbols=symbols, symbol=places[self.symbol])

    def with_symbol_columns(self) -> Self:
        """Return the rows with a column for each symbol that says which one they are of; a single one needs none."""
        if len(self.symbols) == 1:
            return self
        is_of = (self.symbol[:, None] == np.arange(len(self.symbols))).astype(np.float32)
        return replace(self, x=np.hstack([self.x, is_of]), columns=(*self.columns, *symbol_columns(self.symbols)))

    def in_turn(self) -> Self:
        """Return as many rows as one symbol has on average: symbols take turns, instant by instant."""
        if len(self.symbols) == 1:
            return self
        instant = np.unique(self.open_time_ms, return_inverse=True)[1]
        return self.take(instant % len(self.symbols) == self.symbol)

    def take(self, index: np.ndarray, /) -> Self:
        """Return the rows of an index or mask, in their order."""
        return replace(
            self,
            open_time_ms=self.open_time_ms[index],
            x=self.x[index],
            label=self.label[index],
            label_end_ms=self.label_end_ms[index],
            symbol=self.symbol[index],
        )

    def select(self, columns: tuple[str, ...], /) -> Self:
        """Return the rows with these columns only, in the order asked."""
        return replace(self, x=self.matrix(columns), columns=columns)

    def matrix(self, columns: tuple[str, ...], /) -> np.ndarray:
        """Return (n, len(columns)) float32 of the columns asked."""
        if columns == self.columns:
            return self.x
        place = {name: i for i, name in enumerate(self.columns)}
        if absent := [name for name in columns if name not in place]:
            raise DataError(f"column {absent[0]!r} is not among the {len(self.columns)} columns of these rows.")
        return self.x[:, [place[name] for name in columns]]

    def frame(self) -> pl.DataFrame:
        """Return `x` as a frame with named columns."""
        return pl.DataFrame(self.x, schema=list(self.columns))


@dataclass(frozen=True)
class TrainingRows(Rows):
    """Rows that a fit may see: their labels are known by `known_before_ms`, where the judged rows begin.

    Raises
    ------
    LeakError
        A row's label is not known by then.
    DataError
        A row has no label.
    """

    known_before_ms: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        late = self.label_end_ms > self.known_before_ms
        if late.any():
            raise LeakError(
                f"{int(late.sum())} of {len(self)} training rows have labels that end after the judged rows begin. "
                "Purge the split by the label horizon (mmf.splits)."
            )
        if np.isnan(self.label).any():
            raise DataError("training rows must have labels. Leave out the rows whose horizon is not over.")

    @classmethod
    def of(cls, rows: Rows, /, *, known_before_ms: int) -> Self:
        """Admit rows to training, or raise."""
        labels = rows.label, rows.label_end_ms
        named = {"symbols": rows.symbols, "symbol": rows.symbol}
        return cls(rows.open_time_ms, rows.x, rows.columns, *labels, known_before_ms, **named)


def symbol_columns(symbols: tuple[str, ...], /) -> tuple[str, ...]:
    """Return the names of the columns that tell symbols apart, `symbol=BTCUSDT`; no feature can be called that."""
    return tuple(f"symbol={name}" for name in symbols) if len(symbols) > 1 else ()


def stacked(parts: Sequence[Rows], /) -> Rows:
    """Return rows of the same columns and symbols as one, by time and symbol."""
    names = ("open_time_ms", "x", "label", "label_end_ms", "symbol")
    arrays = {name: np.concatenate([getattr(part, name) for part in parts]) for name in names}
    whole = Rows(columns=parts[0].columns, symbols=parts[0].symbols, **arrays)
    return whole.take(np.argsort(whole.keys))


def rows_near(
    open_time_ms: np.ndarray, symbol: np.ndarray, /, *, first_ms: int, last_ms: int, reach: int
) -> np.ndarray:
    """Return the places of all rows between two times, and of each symbol's `reach` rows before the first of them.

    Parameters
    ----------
    open_time_ms, symbol : np.ndarray
        (n,) of rows by time and symbol.
    first_ms, last_ms : int
        The times, both included.
    reach : int
        Rows before them.
    """
    picked = []
    for code in np.unique(symbol):
        own = np.flatnonzero(symbol == code)
        first = int(np.searchsorted(open_time_ms[own], first_ms)) - reach
        picked.append(own[max(0, first) : int(np.searchsorted(open_time_ms[own], last_ms, side="right"))])
    return np.sort(np.concatenate(picked)) if picked else np.zeros(0, np.int64)
