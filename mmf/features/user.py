"""How a quant declares a feature of their own: a decorator over a function."""

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from mmf.errors import CallError
from mmf.features.record import Computation, Feature

FAMILY = "user"
MARK = "__mmf_features__"  # attribute that holds the records of a declared function

F = TypeVar("F", bound=Callable[..., Any])
Reach = int | Callable[[int], int]


def feature(
    function: None = None,
    /,
    *,
    lookback: Reach | None = None,
    memory: Reach | None = None,
    windows: Sequence[int] = (),
    family: str = FAMILY,
    unit: str = "",
    undefined: str = "",
    oracle: str = "none",
    version: int = 1,
) -> Callable[[F], F]:
    """Declare a function as a feature; the column is called like the function.

    A function of bar columns is a kernel: ``def spread(high, low)`` is called with float64 arrays of shape (n,) and
    returns one of the same shape, NaN where undefined. A function of nothing returns a Polars expression over bar
    columns. The first line of its docstring describes the feature.

    Parameters
    ----------
    lookback : int, or callable from a window to int
        A row of a finite feature reads this many earlier bars, exactly.
    memory : int, or callable from a window to int
        Recursive features: a bar this far back moves a row by less than 2^-24 of the column's scale. Give either
        `lookback` or `memory`.
    windows : sequence of int
        One column for each, called NAME_W; the function takes the window as the keyword `window`.
    family, unit, undefined, oracle, version
        As in `Feature`.

    Returns
    -------
    callable
        Decorator that returns the function as it is.

    Raises
    ------
    CallError
        The declaration contradicts itself; what the function returns is checked when it is computed.

    Examples
    --------
    >>> import polars as pl
    >>> @feature(windows=(20, 50), lookback=lambda window: window - 1)
    ... def close_to_high(*, window):
    ...     "Close over the highest high of the window."
    ...     return pl.col("close") / pl.col("high").rolling_max(window)
    >>> [(one.name, one.lookback, one.inputs) for one in declared(close_to_high)]
    [('close_to_high_20', 19, ('close', 'high')), ('close_to_high_50', 49, ('close', 'high'))]
    """
    if function is not None:
        raise CallError("@feature takes brackets with a declaration: @feature(lookback=20), or @feature(memory=200).")
    prose = _Prose(family, unit or "-", undefined or "where too few bars lie behind", oracle, version)

    def declare(function: F) -> F:
        setattr(function, MARK, tuple(_records(function, windows, lookback, memory, prose)))
        return function

    return declare


def declared(function: object, /) -> tuple[Feature, ...]:
    """Return the features that a function was declared as; none for anything else."""
    return getattr(function, MARK, ())


# ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Prose:
    family: str
    unit: str
    undefined: str
    oracle: str
    version: int


def _records(
    function: Callable[..., Any], windows: Sequence[int], lookback: Reach | None, memory: Reach | None, prose: _Prose
) -> list[Feature]:
    stem = function.__name__
    description = (inspect.getdoc(function) or "No description.").strip().splitlines()[0]
    records = []
    for window in windows or (None,):
        name = stem if window is None else f"{stem}_{window}"
        parameters = {} if window is None else {"window": window}
        records.append(
            Feature(
                name=name,
                description=description,
                computation=_computation(function, name, parameters),
                lookback=_reach(lookback, window, f"lookback of {stem}"),
                memory=_reach(memory, window, f"memory of {stem}"),
                **vars(prose),
            )
        )
    return records


def _reach(reach: Reach | None, window: int | None, what: str) -> int | None:
    if not callable(reach):
        return reach
    if window is None:
        raise CallError(f"{what} is a function, but there are no windows. Give a number, or windows=(20, 50).")
    return int(reach(window))


def _computation(function: Callable[..., Any], name: str, parameters: dict[str, int]) -> Computation:
    arguments = inspect.signature(getattr(function, "py_func", function)).parameters.values()
    required = (a for a in arguments if a.kind in {a.POSITIONAL_ONLY, a.POSITIONAL_OR_KEYWORD} and a.default is a.empty)
    inputs = tuple(one.name for one in required if one.name not in parameters)
    bound = tuple(parameters.items())
    if inputs:
        return Computation("kernel", function, inputs, bound, column=name)
    expression = function(**parameters)
    return Computation("expressions", function, _columns_of(expression, name), bound, column=name)


def _columns_of(expression: Any, name: str) -> tuple[str, ...]:
    import polars as pl  # noqa: PLC0415  # a file of kernels alone need not load it

    if not isinstance(expression, pl.Expr):
        raise CallError(
            f"feature {name} returned a {type(expression).__name__}, expected a Polars expression. For a kernel name "
            f"the bar columns as arguments: def {name}(high, low, close)."
        )
    if not (names := tuple(dict.fromkeys(expression.meta.root_names()))):
        raise CallError(f"feature {name} reads no bar column. Start its expression from pl.col(...).")
    return names
