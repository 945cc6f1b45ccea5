"""Audits of a feature set: no look-ahead, and declared reach equal to measured reach.

An audit changes bars and looks at which rows move. It knows nothing of how a column is computed, so it holds for
features of users as well.
"""

from collections.abc import Sequence

import numpy as np
import polars as pl

from mmf.bars import Interval
from mmf.errors import DataError
from mmf.features.build import compute_chunk, compute_columns
from mmf.features.registry import FeatureSet

SCALE_SHARE = 2.0**-24  # of a column's scale: half a unit in the last place of a float32

# A bar stays a bar (low <= open, close <= high), and every ratio of its parts changes.
_MUTATION = {"high": 2.3, "low": 0.9, "close": 2.0, "volume": 2.0, "turnover": 2.0}


def causality(
    features: FeatureSet, bars: pl.DataFrame, /, *, interval: Interval, rows: Sequence[int] | None = None
) -> pl.DataFrame:
    """Change every bar after a row, and the bar of the row, and see what moves.

    Parameters
    ----------
    features : FeatureSet
        Columns to audit.
    bars : pl.DataFrame
        Bars of one series with open_time and the set's inputs, sorted; three times the set's memory.
    interval : Interval
        Grid of the series.
    rows : sequence of int, optional
        Rows t to cut at; by default three in the last half.

    Returns
    -------
    pl.DataFrame
        One row a column of the set, and missing_bars and is_warm: `column`; `leak_rows` (count of rows at or before
        some t that moved when only later bars changed); `answers` (whether the row of t moved when its own bar
        changed, for some t; bookkeeping columns need not); `is_causal`.

    Raises
    ------
    DataError
        Too few bars.
    """
    _check_enough(features, bars)
    rows = rows or [bars.height * share // 8 for share in (4, 5, 7)]
    base = _compute(features, bars, interval)
    leaks = np.zeros(base.width - 1, np.int64)
    answers = np.zeros(base.width - 1, bool)
    for t in rows:
        after = _compute(features, mutated(bars, t + 1, bars.height), interval)
        leaks += _moved(base, after)[: t + 1].sum(axis=0)
        answers |= _moved(base, _compute(features, mutated(bars, t, t + 1), interval))[t]
    columns = base.columns[1:]
    must_answer = np.array([name in features.columns for name in columns])
    return pl.DataFrame(
        {
            "column": columns,
            "leak_rows": leaks,
            "answers": answers,
            "is_causal": (leaks == 0) & (answers | ~must_answer),
        }
    )


def reach(features: FeatureSet, bars: pl.DataFrame, /, *, rows: Sequence[int] | None = None) -> pl.DataFrame:
    """Change single bars and see how many later rows move.

    Parameters
    ----------
    features : FeatureSet
        Columns to audit.
    bars : pl.DataFrame
        Bars of one series with open_time and the set's inputs, sorted; three times the set's memory.
    rows : sequence of int, optional
        Rows to change, one at a time; by default three in the first third.

    Returns
    -------
    pl.DataFrame
        One row a column: `column`, `kind` (lookback or memory), `declared`, `measured` (bars), `is_kept`. A lookback
        is measured as the distance to the last row that moved at all, and must be met exactly. A memory is measured
        as the distance after which all rows move by less than 2^-24 of the column's root mean square, and must not
        exceed the declared one. Both look at the numbers before they are rounded to float32, where the last bit of
        a row may flip for any cause.

    Raises
    ------
    DataError
        Too few bars.
    """
    _check_enough(features, bars)
    rows = rows or [bars.height * share // 24 for share in (2, 5, 7)]
    base = _exact_values(features, bars)
    scale = np.sqrt(np.nanmean(base**2, axis=0))
    exact = np.full(len(features.columns), -1)
    faded = np.full(len(features.columns), -1)
    for t in rows:
        after = _exact_values(features, mutated(bars, t, t + 1))
        became = np.isnan(after) != np.isnan(base)
        moved = np.abs(after - base)
        exact = np.maximum(exact, _last((moved > 0) | became) - t)
        faded = np.maximum(faded, _last((moved >= SCALE_SHARE * scale) | became) + 1 - t)
    finite = np.array([feature.lookback is not None for feature in features.features])
    declared = np.array([feature.reach for feature in features.features])
    measured = np.where(finite, exact, faded)
    return pl.DataFrame(
        {
            "column": features.columns,
            "kind": np.where(finite, "lookback", "memory"),
            "declared": declared,
            "measured": measured,
            "is_kept": np.where(finite, measured == declared, measured <= declared),
        }
    )


def mutated(bars: pl.DataFrame, start: int, stop: int, /) -> pl.DataFrame:
    """Bars whose rows start..stop have other numbers: the close doubled, the range wider, the volume doubled."""
    row = pl.int_range(pl.len())
    is_changed = (row >= start) & (row < stop)
    return bars.with_columns(
        pl.when(is_changed).then(pl.col(name) * factor).otherwise(pl.col(name)).alias(name)
        for name, factor in _MUTATION.items()
        if name in bars.columns
    )


# ------------------------------------------------------------------------------------


def _check_enough(features: FeatureSet, bars: pl.DataFrame) -> None:
    needed = 3 * features.memory + 24
    if bars.height < needed:
        raise DataError(
            f"an audit of {features.name} needs {needed} bars (three times its memory of {features.memory}), got "
            f"{bars.height}. Bring more bars in, or audit a set of shorter windows."
        )


def _compute(features: FeatureSet, bars: pl.DataFrame, interval: Interval) -> pl.DataFrame:
    return compute_chunk(features, bars, interval=interval, n_own=bars.height)


def _moved(base: pl.DataFrame, other: pl.DataFrame) -> np.ndarray:
    """(n, p) whether a value, or whether it is null, differs."""
    names = base.columns[1:]
    return np.column_stack([base[name].ne_missing(other[name]).to_numpy() for name in names])


def _exact_values(features: FeatureSet, bars: pl.DataFrame) -> np.ndarray:
    """(n, p) float64; NaN where undefined."""
    columns = compute_columns(features, bars, n_own=bars.height)
    values = np.column_stack([columns[name] for name in features.columns])
    return np.where(np.isfinite(values), values, np.nan)


def _last(moved: np.ndarray) -> np.ndarray:
    """(p,) last row that moved; -1 for a column that never did."""
    n = len(moved)
    return np.where(moved.any(axis=0), n - 1 - np.argmax(moved[::-1], axis=0), -1)
