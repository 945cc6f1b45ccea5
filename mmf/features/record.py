"""The records that describe features: what a column is, and the computation that yields it."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, Self

import numpy as np

from mmf.errors import CallError

LEAD_BARS = 5_120  # stored bars that a chunk reads before its first own bar
WINDOWS = (3, 5, 8, 13, 14, 21, 34, 55, 89, 144, 200)
TOLERANCE = 3e-7  # rounding to float32 and the last digits of two float64 sums in different order

_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")
_DERIVED = re.compile(r".*_(lag_\d+|ctx_(\d+|d|w))")
_TAKEN = {
    *("exchange", "category", "symbol", "interval", "open_time", "close_time"),
    *("open", "high", "low", "close", "volume", "turnover", "source", "fetched_at", "revision"),
    *("missing_bars", "is_warm", "label", "label_end", "forward_return"),
}


@dataclass(frozen=True)
class Computation:
    """One evaluation that yields several columns, such as all windows of an indicator in one pass.

    Attributes
    ----------
    kind : {"kernel", "expressions"}
        A kernel is called with one (n,) float64 array for each input and returns ``{column: (n,) float64}`` with NaN
        where undefined. Expressions are called with no array and return ``{column: pl.Expr}`` over the inputs.
    function : Callable
        A plain function; its source is part of the definition hash.
    inputs : tuple of str
        Bar columns that it reads.
    parameters : tuple of (str, value)
        Keyword arguments of `function`.
    column : str, optional
        The one column, where the function returns it bare and not in a dictionary.
    """

    kind: Literal["kernel", "expressions"]
    function: Callable[..., Any]
    inputs: tuple[str, ...]
    parameters: tuple[tuple[str, Any], ...] = ()
    column: str | None = None

    @classmethod
    def kernel(cls, function: Callable[..., dict[str, Any]], /, *inputs: str, **parameters: Any) -> Self:
        """Describe a computation in arrays."""
        return cls("kernel", function, inputs, tuple(parameters.items()))

    @classmethod
    def expressions(cls, function: Callable[..., dict[str, Any]], /, *inputs: str, **parameters: Any) -> Self:
        """Describe a computation in Polars expressions."""
        return cls("expressions", function, inputs, tuple(parameters.items()))

    def __call__(self, *arrays: Any) -> dict[str, Any]:
        """Run the function with its parameters.

        Raises
        ------
        CallError
            The function returned something else than its kind says; so does asking the result for a column that is
            not there.
        """
        result = self.function(*arrays, **dict(self.parameters))
        if self.column is not None:
            result = {self.column: result}
        if not isinstance(result, dict):
            raise CallError(f"{_name_of(self.function)} returned a {type(result).__name__}, expected column -> values.")
        if arrays:
            for name, values in result.items():
                _check_values(values, len(arrays[0]), f"{_name_of(self.function)} returned {name}")
        return _Columns(_name_of(self.function), result)


@dataclass(frozen=True)
class Feature:
    """One column: its definition, and how far back it reads.

    Attributes
    ----------
    name : str
        Column name, lower snake case.
    family : str
        Group that it is listed under.
    unit : str
        Unit of the values.
    description : str
        One sentence.
    oracle : str
        Independent implementation that the tests compare it with.
    undefined : str
        Where the column is null.
    computation : Computation
        Yields the column under `name`.
    lookback : int, optional
        Finite features: count of earlier bars that a row reads, exactly.
    memory : int, optional
        Recursive features: count of earlier bars after which a changed bar moves the row by less than 2^-24 of the
        column's scale. Exactly one of `lookback` and `memory` is given.
    version : int
        Raised when the meaning changes on purpose.
    tolerance : float
        Relative difference from the oracle that the tests allow where both are defined.

    Raises
    ------
    CallError
        The record contradicts itself or the limits of a chunk.
    """

    name: str
    family: str
    unit: str
    description: str
    oracle: str
    undefined: str
    computation: Computation
    lookback: int | None = None
    memory: int | None = None
    version: int = 1
    tolerance: float = TOLERANCE

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name) or _DERIVED.fullmatch(self.name):
            raise CallError(
                f"feature name {self.name!r} is not usable: use lower snake case, at most 63 characters, and leave "
                "the endings _lag_N and _ctx_N to lags and context."
            )
        if self.name in _TAKEN:
            raise CallError(f"feature name {self.name!r} is a column that every table has. Call the feature otherwise.")
        if (self.lookback is None) == (self.memory is None):
            raise CallError(
                f"feature {self.name}: declare either lookback (finite) or memory (recursive), got "
                f"lookback={self.lookback}, memory={self.memory}."
            )
        if not isinstance(self.reach, int) or isinstance(self.reach, bool):
            raise CallError(
                f"feature {self.name} declares a reach of {self.reach!r}: lookback and memory count bars, such as 20."
            )
        if not 0 <= self.reach <= LEAD_BARS:
            raise CallError(
                f"feature {self.name} needs {self.reach} earlier bars; a chunk reads {LEAD_BARS} before its first. "
                "Shorten the window, or write the indicator in windowed form."
            )

    @property
    def inputs(self) -> tuple[str, ...]:
        """Bar columns that the feature reads."""
        return self.computation.inputs

    @property
    def reach(self) -> int:
        """Count of earlier bars that a warm row has behind it."""
        return self.lookback if self.lookback is not None else self.memory or 0


# ------------------------------------------------------------------------------------


class _Columns(dict[str, Any]):
    """What a function returned; a column that is not there is named together with the function."""

    def __init__(self, function: str, columns: dict[str, Any]) -> None:
        super().__init__(columns)
        self.function = function

    def __missing__(self, name: str) -> Any:
        raise CallError(
            f"{self.function} returned no column {name!r}, only {', '.join(self) or 'nothing'}. Name it in what the "
            "function returns."
        )


def _name_of(function: Callable[..., Any]) -> str:
    return f"{function.__module__}.{getattr(function, '__qualname__', function)}"


def _check_values(values: Any, n: int, what: str) -> None:
    if not isinstance(values, np.ndarray):
        raise CallError(f"{what} as {type(values).__name__}, expected a NumPy array with one number a bar.")
    if values.dtype.kind not in "fiub":
        raise CallError(f"{what} as an array of {values.dtype}, expected numbers.")
    if values.shape != (n,):
        raise CallError(f"{what} in shape {values.shape}, expected {(n,)}: one number a bar, NaN where undefined.")
