"""Rows that learners see, and the guard that keeps test rows out of every fit."""

from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import polars as pl

from mmf.errors import CallError, DataError, LeakError

PHYSICS_TRIO = ("hurst_200", "entropy_200", "fdi_200")


@dataclass(frozen=True)
class Rows:
    """Feature rows of one series in time order.

    Attributes
    ----------
    open_time_ms : np.ndarray
        (n,) int64, strictly increasing.
    x : np.ndarray
        (n, p) float32; NaN where a feature is undefined.
    columns : tuple of str
        p names, one for each column of `x`.
    label : np.ndarray
        (n,) float64 of 0.0, 1.0, NaN where the horizon is not over.
    label_end_ms : np.ndarray
        (n,) int64, the instant at which the label of the row is known.
    """

    open_time_ms: np.ndarray
    x: np.ndarray
    columns: tuple[str, ...]
    label: np.ndarray
    label_end_ms: np.ndarray

    def __post_init__(self) -> None:
        n, p = self.x.shape
        lengths = {len(self.open_time_ms), len(self.label), len(self.label_end_ms), n}
        if len(lengths) != 1 or p != len(self.columns):
            raise CallError(
                f"rows do not fit together: x {self.x.shape}, {len(self.columns)} column names, "
                f"{len(self.open_time_ms)} times, {len(self.label)} labels."
            )

    def __len__(self) -> int:
        return len(self.open_time_ms)

    def take(self, index: np.ndarray, /) -> Self:
        """Return the rows of an index or mask, in their order."""
        return replace(
            self,
            open_time_ms=self.open_time_ms[index],
            x=self.x[index],
            label=self.label[index],
            label_end_ms=self.label_end_ms[index],
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
        return cls(rows.open_time_ms, rows.x, rows.columns, rows.label, rows.label_end_ms, known_before_ms)
