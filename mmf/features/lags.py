"""Lag columns: what a feature was k stored bars ago, as lazy shifts of one series."""

import re
from collections.abc import Sequence

import polars as pl

from mmf.errors import CallError

LAGS = (1, 2, 3, 5, 8, 13)

_LAGGED = re.compile(r"(.+)_lag_([1-9]\d*)")


def lag_name(column: str, lag: int, /) -> str:
    """Name of a lag column.

    Examples
    --------
    >>> lag_name("rsi_14", 3)
    'rsi_14_lag_3'
    """
    if lag < 1:
        raise CallError(f"lag {lag} of {column} does not look back. Use 1 or more.")
    return f"{column}_lag_{lag}"


def split_lag(name: str, /) -> tuple[str, int]:
    """Base column and lag of a name; lag 0 is the column itself.

    Examples
    --------
    >>> split_lag("rsi_14_lag_3"), split_lag("rsi_14")
    (('rsi_14', 3), ('rsi_14', 0))
    """
    if match := _LAGGED.fullmatch(name):
        return match[1], int(match[2])
    return name, 0


def lag_columns(columns: Sequence[str], lags: Sequence[int] = LAGS, /) -> tuple[str, ...]:
    """Names of the columns and, after them, of their lags, column by column.

    Examples
    --------
    >>> lag_columns(["a", "b"], [1, 2])
    ('a', 'b', 'a_lag_1', 'a_lag_2', 'b_lag_1', 'b_lag_2')
    """
    return (*columns, *(lag_name(column, lag) for column in columns for lag in lags))


def lag_expr(name: str, /, *, by: Sequence[str] = ()) -> pl.Expr:
    """Expression of a column by its name: a shift of its base column where the name ends in `_lag_N`.

    Parameters
    ----------
    name : str
        Such as `rsi_14` or `rsi_14_lag_3`.
    by : sequence of str
        Columns that tell several series of one frame apart: a lag never reads across them, and the rows may come in
        any order. Without them the frame is one series in open_time order; that is ten times as fast.
    """
    column, lag = split_lag(name)
    if not lag:
        return pl.col(column)
    shifted = pl.col(column).shift(lag)
    return (shifted.over(by, order_by="open_time") if by else shifted).alias(name)


def lagged(
    frame: pl.DataFrame | pl.LazyFrame,
    columns: Sequence[str],
    /,
    *,
    lags: Sequence[int] = LAGS,
    by: Sequence[str] = (),
) -> pl.LazyFrame:
    """Add lag columns lazily.

    Parameters
    ----------
    frame : pl.DataFrame or pl.LazyFrame
        Rows of one series in open_time order, whole: a filter on rows comes after. Of several series with `by`.
    columns : sequence of str
        Columns to lag.
    lags : sequence of int
        How many stored bars back.
    by : sequence of str
        Columns that tell several series apart, such as exchange, category, symbol, interval; the frame then holds
        open_time too.

    Returns
    -------
    pl.LazyFrame
        The columns of `frame`, then the lag columns, null in the first rows of a series. Lags that a later `select`
        does not name are never computed, and their base columns never read.
    """
    return frame.lazy().with_columns(lag_expr(lag_name(column, lag), by=by) for column in columns for lag in lags)
