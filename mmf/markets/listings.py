"""What exchanges tell beside klines, in the same columns for all of them."""

from collections.abc import Awaitable, Callable

import numpy as np
import polars as pl

from mmf.ranges import Ranges

FUNDING_SCHEMA: dict[str, pl.DataType] = {"funding_time": pl.Datetime("ms", "UTC"), "rate": pl.Float64()}
INSTRUMENT_SCHEMA: dict[str, pl.DataType] = {
    "symbol": pl.String(),
    "status": pl.String(),
    "launch_ms": pl.Int64(),
    "delivery_ms": pl.Int64(),
    "funding_interval_min": pl.Int64(),
    "base": pl.String(),
    "quote": pl.String(),
}

_USUAL_MS = 8 * 3_600_000  # between two fundings, where the rates at hand do not tell
_NEIGHBOURS = 4  # steps on either side that tell what is usual: the interval changes in the life of a contract
_LATE = 1.5  # a step longer than so many usual ones has lost a rate


async def whole_funding(
    ask: Callable[[int, int], Awaitable[pl.DataFrame]], start_ms: int, stop_ms: int, /
) -> pl.DataFrame:
    """Ask for the rates of a half-open range of time, and again for its gaps while that brings any.

    Parameters
    ----------
    ask : callable
        Half-open range -> what one look at it finds, `FUNDING_SCHEMA` in any order.
    start_ms, stop_ms : int
        The range; what lies after the exchange's own time counts as a gap.

    Returns
    -------
    pl.DataFrame
        `FUNDING_SCHEMA`, oldest first; what two looks lack does not exist.
    """
    found, n_before = _in_order(await ask(start_ms, stop_ms)), -1
    while found.height > n_before and (gaps := funding_gaps(_times_ms(found), start_ms, stop_ms)):
        n_before = found.height
        found = _in_order(pl.concat([found, *[await ask(*gap) for gap in gaps]]))
    return found


def funding_gaps(times_ms: np.ndarray, start_ms: int, stop_ms: int, /) -> Ranges:
    """Return the ranges within a half-open range in which rates seem to be missing.

    Parameters
    ----------
    times_ms : np.ndarray
        Times of the known rates within the range, shape (n,), sorted.

    Notes
    -----
    A gap is a step of more than one and a half times the median of the nine around it; before the first rate and
    after the last one, a time in which one more was due. Where the interval changes back and forth within nine rates
    a gap may be none.

    Examples
    --------
    >>> funding_gaps(np.array([10, 20, 40, 50, 60]), 5, 65)
    [(21, 40)]
    """
    if len(times_ms) == 0:
        return [(start_ms, stop_ms)] if stop_ms - start_ms > _USUAL_MS else []
    steps = np.diff(times_ms)
    usual = _usual(steps) if len(steps) else np.array([_USUAL_MS])
    inner = [(int(times_ms[i]) + 1, int(times_ms[i + 1])) for i in np.flatnonzero(steps > _LATE * usual[: len(steps)])]
    first, last = int(times_ms[0]), int(times_ms[-1])
    before = [(start_ms, first)] if first - start_ms > usual[0] else []
    after = [(last + 1, stop_ms)] if stop_ms - last > usual[-1] else []
    return [*before, *inner, *after]


# ------------------------------------------------------------------------------------


def _in_order(rates: pl.DataFrame) -> pl.DataFrame:
    return rates.unique("funding_time").sort("funding_time")


def _times_ms(rates: pl.DataFrame) -> np.ndarray:
    return rates["funding_time"].to_physical().to_numpy()


def _usual(steps: np.ndarray) -> np.ndarray:
    around = np.lib.stride_tricks.sliding_window_view(np.pad(steps, _NEIGHBOURS, mode="reflect"), 2 * _NEIGHBOURS + 1)
    return np.median(around, axis=1)
