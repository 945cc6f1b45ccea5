"""Context columns: what a feature of a longer interval was when a bar closed, joined by close_time."""

import re
from collections.abc import Sequence
from datetime import timedelta

import polars as pl

from mmf.bars import Interval
from mmf.errors import CallError

MAX_AGE = 2  # in bars of the longer interval: what is older says nothing about the market of the row

_CONTEXT = re.compile(r"(.+)_ctx_([1-9]\d*|[dw])")
_CLOSE = "_close_time"  # features begin with a letter


def context_name(column: str, context: Interval, /) -> str:
    """Name of a context column.

    Examples
    --------
    >>> context_name("rsi_14", Interval("240")), context_name("rsi_14", Interval("D"))
    ('rsi_14_ctx_240', 'rsi_14_ctx_d')
    """
    return f"{column}_ctx_{context.name.lower()}"


def split_context(name: str, /) -> tuple[str, Interval | None]:
    """Base column and longer interval of a name; None where the column is of the row's own interval.

    Examples
    --------
    >>> split_context("rsi_14_ctx_240"), split_context("rsi_14")
    (('rsi_14', Interval(name='240')), ('rsi_14', None))
    """
    if match := _CONTEXT.fullmatch(name):
        return match[1], Interval(match[2].upper())
    return name, None


def context_columns(columns: Sequence[str], contexts: Sequence[Interval], /) -> tuple[str, ...]:
    """Names of the columns in each longer interval, interval by interval.

    Examples
    --------
    >>> context_columns(["a", "b"], [Interval("240")])
    ('a_ctx_240', 'b_ctx_240')
    """
    return tuple(context_name(column, context) for context in contexts for column in columns)


def with_context(
    frame: pl.DataFrame | pl.LazyFrame,
    longer: pl.DataFrame | pl.LazyFrame,
    columns: Sequence[str],
    /,
    *,
    interval: Interval,
    context: Interval,
) -> pl.LazyFrame:
    """Add the columns of a longer interval as each row knew them when its own bar closed.

    A row gets the last longer bar that closed no later than the row itself. The longer bar that holds the row's
    open_time is still forming then, unless both close together, and is never seen: joining by open_time would show
    its close up to three rows early (60 in 240).

    Parameters
    ----------
    frame : pl.DataFrame or pl.LazyFrame
        Rows of one series in open_time order.
    longer : pl.DataFrame or pl.LazyFrame
        Rows of the same symbol in the longer interval, in open_time order: open_time and `columns`.
    columns : sequence of str
        Columns of `longer` to add.
    interval, context : Interval
        Of the rows, and of `longer`.

    Returns
    -------
    pl.LazyFrame
        The rows and columns of `frame`, then one `NAME_ctx_INTERVAL` a column; null before the first longer bar has
        closed, and where the last one closed more than two of its intervals before the row did. Columns that a later
        `select` does not name are never read. A lag of a context column counts rows of `frame`.

    Raises
    ------
    CallError
        `context` is no longer than `interval`.
    """
    require_longer(interval, context)
    known = longer.lazy().select(
        _close_time(context), *(pl.col(column).alias(context_name(column, context)) for column in columns)
    )
    joined = (
        frame.lazy()
        .with_columns(_close_time(interval))
        .join_asof(known, on=_CLOSE, strategy="backward", tolerance=timedelta(milliseconds=MAX_AGE * context.ms))
    )
    return joined.drop(_CLOSE)


def require_longer(interval: Interval, context: Interval, /) -> None:
    """Raise CallError where the context is no longer than the rows' own interval."""
    if context.ms <= interval.ms:
        raise CallError(
            f"context {context.name} is no longer than the interval {interval.name} of the rows. Choose a longer one, "
            "such as 240 for 60."
        )


# ------------------------------------------------------------------------------------


def _close_time(interval: Interval) -> pl.Expr:
    return (pl.col("open_time") + timedelta(milliseconds=interval.ms)).alias(_CLOSE)
