"""Bars that the market seldom shows and that features stumble over: flat, without volume, without turnover, jumps."""

from itertools import pairwise

import numpy as np
import polars as pl

PLACES = 4  # of each kind
RUN = 3  # bars without movement, volume or turnover at a place
JUMP = 1.08

_PRICES = ("open", "high", "low", "close")


def plant_awkward(bars: pl.DataFrame, /, *, seed: int) -> tuple[pl.DataFrame, list[int]]:
    """Return bars of which some are awkward, and the first row of each awkward place.

    Parameters
    ----------
    bars : pl.DataFrame
        Bars of one series with some of the columns open, high, low, close, volume and turnover, sorted.
    seed : int
        Draws the places, one in each of sixteen stretches of the last nine tenths, the kinds by turns: three bars at
        one price, three without volume, three whose turnover is not known, and one from which on all prices are 8 %
        higher or lower.
    """
    n = bars.height
    edges = np.linspace(n // 10, n - RUN - 2, 4 * PLACES + 1).astype(int).tolist()
    rng = np.random.default_rng([seed, n])
    starts = [int(rng.integers(low, max(low + 1, high - RUN))) for low, high in pairwise(edges)]
    flat, silent, unknown = (pl.Series(_runs(starts[kind::4], n)) for kind in range(3))
    factor = pl.Series(_jumps(starts[3::4], n))
    prices = [name for name in _PRICES if name in bars.columns]
    changed = {name: pl.when(flat).then(pl.col(prices[-1])).otherwise(pl.col(name)) * factor for name in prices}
    changed |= {name: pl.when(silent).then(0.0).otherwise(pl.col(name)) for name in ("volume", "turnover")}
    changed["turnover"] = pl.when(unknown).then(None).otherwise(changed["turnover"])
    return bars.with_columns(
        expression.alias(name) for name, expression in changed.items() if name in bars.columns
    ), starts


# ------------------------------------------------------------------------------------


def _jumps(rows: list[int], n: int) -> np.ndarray:
    """(n,) factor of the prices: up at the first row, down at the second, and so on."""
    factor = np.ones(n)
    for turn, row in enumerate(rows):
        factor[row:] *= JUMP if turn % 2 == 0 else 1 / JUMP
    return factor


def _runs(starts: list[int], n: int) -> np.ndarray:
    """(n,) bool: the rows of the runs that begin at these rows."""
    chosen = np.zeros(n, bool)
    for start in starts:
        chosen[start : start + RUN] = True
    return chosen
