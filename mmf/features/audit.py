"""Audits of a feature set: no look-ahead, and declared reach equal to measured reach.

An audit changes bars or takes them away and looks at which rows move. It knows nothing of how a column is computed, so
it holds for features of users as well.
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
_UP = {"open": 1.3, "high": 2.3, "low": 0.9, "close": 2.0, "volume": 2.0, "turnover": 3.0}
_DOWN = {"open": 0.7, "high": 1.1, "low": 0.4, "close": 0.5, "volume": 0.5, "turnover": 0.3}


def causality(
    features: FeatureSet, bars: pl.DataFrame, /, *, interval: Interval, rows: Sequence[int] | None = None
) -> pl.DataFrame:
    """Change every bar after a row, take them away, change the bar of the row, and see what moves.

    Taking away catches what changing does not: a look at the length, at a rank, or at whether a bar is there at all.

    Parameters
    ----------
    features : FeatureSet
        Columns to audit.
    bars : pl.DataFrame
        Bars of one series with open_time and the set's inputs, sorted; three times the set's memory where no rows are
        named.
    interval : Interval
        Grid of the series.
    rows : sequence of int, optional
        Rows t to cut at; by default three in the last half. A leak in some rows alone needs many.

    Returns
    -------
    pl.DataFrame
        One row a column of the set, and missing_bars and is_warm: `column`; `leak_rows` (count of rows at or before
        some t that moved when only later bars changed or went); `answers` (whether the row of t moved when its own bar
        changed, for some t; bookkeeping columns need not); `is_causal`.

    Raises
    ------
    DataError
        Too few bars.
    """
    if not rows:
        _check_enough(features, bars)
        rows = [bars.height * share // 8 for share in (4, 5, 7)]
    base = _compute(features, bars, interval)
    leaks = np.zeros(base.width - 1, np.int64)
    answers = np.zeros(base.width - 1, bool)
    for t in rows:
        changed = _compute(features, mutated(bars, t + 1, bars.height), interval)
        without = _compute(features, bars[: t + 1], interval)
        leaks += (_moved(base[: t + 1], changed[: t + 1]) | _moved(base[: t + 1], without)).sum(axis=0)
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
    """Change single bars, up and down, and see how many later rows move.

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
        One row a column: `column`, `kind` (lookback or memory), `declared`, `measured` (bars), `is_kept`, `faded`. A
        lookback is measured as the distance to the last row that moved at all, and must be met exactly. A memory is
        measured as the distance after which a bar moved up moves all rows by less than 2^-24 of the column's root mean
        square (`faded`, for both kinds), and must not exceed the declared one. Both look at the numbers before they are
        rounded to float32, where the last bit of a row may flip for any cause.

    Raises
    ------
    DataError
        Too few bars.
    """
    _check_enough(features, bars)
    rows = rows or [bars.height * share // 24 for share in (2, 5, 7)]
    base = _exact_values(features, bars)
    scale = np.sqrt(np.nansum(base**2, axis=0) / np.maximum(1, np.isfinite(base).sum(axis=0)))
    exact = np.full(len(features.columns), -1)
    faded = np.full(len(features.columns), -1)
    for t in rows:
        after = _exact_values(features, mutated(bars, t, t + 1))
        became = np.isnan(after) != np.isnan(base)
        moved = np.abs(after - base)
        faded = np.maximum(faded, _last((moved >= SCALE_SHARE * scale) | became) + 1 - t)
        below = _exact_values(features, mutated(bars, t, t + 1, downwards=True))
        exact = np.maximum(exact, _last((moved > 0) | became | _differs(base, below)) - t)
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
            "faded": faded,
        }
    )


def mutated(bars: pl.DataFrame, start: int, stop: int, /, *, downwards: bool = False) -> pl.DataFrame:
    """Bars whose rows start..stop have other numbers: close and volume doubled, or halved, and the range wider."""
    row = pl.int_range(pl.len())
    is_changed = (row >= start) & (row < stop)
    return bars.with_columns(
        pl.when(is_changed).then(pl.col(name) * factor).otherwise(pl.col(name)).alias(name)
        for name, factor in (_DOWN if downwards else _UP).items()
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


def _differs(base: np.ndarray, other: np.ndarray) -> np.ndarray:
    """(n, p) whether a value, or whether it is undefined, differs."""
    return (base != other) & ~(np.isnan(base) & np.isnan(other))


def _last(moved: np.ndarray) -> np.ndarray:
    """(p,) last row that moved; -1 for a column that never did."""
    n = len(moved)
    return np.where(moved.any(axis=0), n - 1 - np.argmax(moved[::-1], axis=0), -1)
