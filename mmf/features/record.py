"""The records that describe features: what a column is, and the computation that yields it."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, Self

from mmf.errors import CallError

LEAD_BARS = 5_120  # stored bars that a chunk reads before its first own bar
WINDOWS = (3, 5, 8, 13, 14, 21, 34, 55, 89, 144, 200)

_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")
_LAGGED = re.compile(r".*_lag_\d+")


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
    """

    kind: Literal["kernel", "expressions"]
    function: Callable[..., dict[str, Any]]
    inputs: tuple[str, ...]
    parameters: tuple[tuple[str, Any], ...] = ()

    @classmethod
    def kernel(cls, function: Callable[..., dict[str, Any]], /, *inputs: str, **parameters: Any) -> Self:
        """Describe a computation in arrays."""
        return cls("kernel", function, inputs, tuple(parameters.items()))

    @classmethod
    def expressions(cls, function: Callable[..., dict[str, Any]], /, *inputs: str, **parameters: Any) -> Self:
        """Describe a computation in Polars expressions."""
        return cls("expressions", function, inputs, tuple(parameters.items()))

    def __call__(self, *arrays: Any) -> dict[str, Any]:
        """Run the function with its parameters."""
        return self.function(*arrays, **dict(self.parameters))


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

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name) or _LAGGED.fullmatch(self.name):
            raise CallError(
                f"feature name {self.name!r} is not usable: use lower snake case, at most 63 characters, and leave "
                "the ending _lag_N to lags."
            )
        if (self.lookback is None) == (self.memory is None):
            raise CallError(
                f"feature {self.name}: declare either lookback (finite) or memory (recursive), got "
                f"lookback={self.lookback}, memory={self.memory}."
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
