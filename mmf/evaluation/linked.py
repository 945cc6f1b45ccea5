"""Bars with stretches of time taken out, prices linked so that what happened meanwhile cannot be seen."""

from collections.abc import Sequence

import numpy as np
import polars as pl

PRICES = ("open", "high", "low", "close")

Gap = tuple[int, int]  # half-open, in ms


def linked_bars(bars: pl.DataFrame, gaps: Sequence[Gap], /) -> pl.DataFrame:
    """Take the bars of some stretches of time out, and link the prices behind each to those before it.

    Parameters
    ----------
    bars : pl.DataFrame
        open_time, open, high, low, close and what else there is, in order.
    gaps : sequence of (start, stop)
        Half-open, in ms, in order; they do not overlap.

    Returns
    -------
    pl.DataFrame
        The other bars. Where a gap lies between two of them, all prices before it are scaled so that the open of the
        first bar behind it is the open of the gap's first bar: a position that was due when the gap began is filled
        at the price it had then, and the market's way through the gap is not there.

    Notes
    -----
    The newest prices stay as they are, as in back-adjusted futures: ratios count, levels do not.
    """
    times = bars["open_time"].to_physical().to_numpy()
    factor, is_kept = np.ones(len(times)), np.ones(len(times), bool)
    for start, stop in gaps:
        first, behind = (int(np.searchsorted(times, instant)) for instant in (start, stop))
        is_kept[first:behind] = False
        if 0 < first < behind < len(times):
            factor[:first] *= bars["open"][behind] / bars["open"][first]
    scaled = bars.with_columns(pl.col(name) * pl.Series(factor) for name in PRICES if name in bars.columns)
    return scaled.filter(pl.Series(is_kept))


def joined_gaps(gaps: Sequence[Gap], /) -> list[Gap]:
    """Join gaps that touch or overlap.

    Examples
    --------
    >>> joined_gaps([(0, 10), (8, 20), (30, 40)])
    [(0, 20), (30, 40)]
    """
    joined: list[Gap] = []
    for start, stop in sorted(gaps):
        if joined and start <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(stop, joined[-1][1]))
        else:
            joined.append((start, stop))
    return joined


def outside(times: pl.Series, gaps: Sequence[Gap], /) -> pl.Series:
    """Return whether each instant lies outside all gaps; one at the very start of a gap still does.

    Funding that is due when a gap begins is paid for the bar before it.
    """
    ms = times.to_physical().to_numpy()
    inside = np.zeros(len(ms), bool)
    for start, stop in gaps:
        inside |= (ms > start) & (ms < stop)
    return pl.Series(~inside)
