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


def lagged(
    frame: pl.DataFrame | pl.LazyFrame, columns: Sequence[str], /, *, lags: Sequence[int] = LAGS
) -> pl.LazyFrame:
    """Add lag columns lazily.

    Parameters
    ----------
    frame : pl.DataFrame or pl.LazyFrame
        Rows of one series in open_time order, whole: a filter on rows comes after.
    columns : sequence of str
        Columns to lag.
    lags : sequence of int
        How many stored bars back.

    Returns
    -------
    pl.LazyFrame
        The columns of `frame`, then the lag columns, null in the first rows. Lags that a later `select` does not
        name are never computed, and their base columns never read.
    """
    return frame.lazy().with_columns(
        pl.col(column).shift(lag).alias(lag_name(column, lag)) for column in columns for lag in lags
    )
