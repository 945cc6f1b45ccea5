"""Audit of context columns: a row knows a longer bar only once that bar has closed."""

from collections.abc import Sequence
from datetime import timedelta

import numpy as np
import polars as pl

from mmf.bars import Interval
from mmf.errors import DataError
from mmf.features.audit import mutated
from mmf.features.build import compute_chunk
from mmf.features.context import context_columns, with_context
from mmf.features.registry import FeatureSet


def context_causality(
    features: FeatureSet,
    times: pl.DataFrame,
    longer: pl.DataFrame,
    /,
    *,
    interval: Interval,
    context: Interval,
    rows: Sequence[int] | None = None,
) -> pl.DataFrame:
    """Change and take away every longer bar that closes after a row, and see what moves.

    Parameters
    ----------
    features : FeatureSet
        Columns to look up.
    times : pl.DataFrame
        Rows of one series, sorted: open_time.
    longer : pl.DataFrame
        Bars of the same symbol in the longer interval, sorted: open_time and the set's inputs.
    interval, context : Interval
        Of the rows, and of `longer`.
    rows : sequence of int, optional
        Rows t to cut at; by default all of the last two longer bars, so that every place within one is met.

    Returns
    -------
    pl.DataFrame
        One row a context column: `column`, `leak_rows` (rows at or before some t that moved when only longer bars that
        close after t changed or went), `answers` (whether row t moved with the newest bar that had closed, for some
        t), `is_causal`.

    Raises
    ------
    DataError
        No longer bar closes before the rows that are cut at.
    """
    count = 2 * (context.ms // interval.ms)
    rows = list(rows) if rows is not None else list(range(max(0, times.height - count), times.height))
    columns = context_columns(features.columns, [context])

    def looked_up(bars: pl.DataFrame) -> pl.DataFrame:
        computed = compute_chunk(features, bars, interval=context, n_own=bars.height)
        frame = times.select("open_time")
        return with_context(frame, computed, features.columns, interval=interval, context=context).collect()

    base = looked_up(longer)
    leaks = np.zeros(len(columns), np.int64)
    answers = np.zeros(len(columns), bool)
    for t in rows:
        closed = times["open_time"][t] + timedelta(milliseconds=interval.ms - context.ms)
        n_known = int((longer["open_time"] <= closed).sum())
        if n_known == 0:
            raise DataError(f"no bar of {context.name} closes before row {t}. Bring in bars from further back.")
        others = [looked_up(longer[:n_known])]
        if n_known < longer.height:
            others.append(looked_up(mutated(longer, n_known, longer.height)))
        leaks += [sum(int(base[c].ne_missing(o[c])[: t + 1].sum()) for o in others) for c in columns]
        newest = looked_up(mutated(longer, n_known - 1, n_known))
        answers |= np.array([bool(base[c].ne_missing(newest[c])[t]) for c in columns])
    return pl.DataFrame(
        {"column": columns, "leak_rows": leaks, "answers": answers, "is_causal": (leaks == 0) & answers}
    )
