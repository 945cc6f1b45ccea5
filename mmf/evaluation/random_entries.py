"""What the same trades would have brought at random times: the yardstick of timing."""

from collections.abc import Sequence

import numpy as np

from mmf.errors import CallError

TRADES_TOGETHER = 5  # mean count of neighbouring trades that stay together: clusters of trades stay clusters


def random_schedules(
    entry: np.ndarray, exit_: np.ndarray, n_rows: int, /, *, n_schedules: int, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Move trades to random times, keeping their lengths, their pauses and, in small groups, their order.

    Parameters
    ----------
    entry, exit_ : np.ndarray
        (k,) row at whose open each trade begins, and the row at whose open it has ended, ascending; trades do not
        overlap.
    n_rows : int
        Rows of the range; time is a ring, so that its end and its beginning are as likely as its middle.
    n_schedules : int
        How many schedules.
    seed : int
        Draws them.

    Returns
    -------
    entries, lengths : np.ndarray
        (n_schedules, k) row of each entry, within 0..n_rows - 1, and rows until the exit, which may run over the
        end of the ring.

    Raises
    ------
    CallError
        The trades overlap, or do not lie within the range.

    Notes
    -----
    Each schedule is in the market as long as the real one: only when differs.
    """
    k = len(entry)
    if k and (entry[0] < 0 or exit_[-1] > n_rows or (entry[1:] < exit_[:-1]).any() or (exit_ <= entry).any()):
        raise CallError(
            "trades of a schedule must follow each other within the range. Backtest with at_once=1, or move them by "
            "`moved_together`."
        )
    rng = np.random.default_rng(seed)
    lengths = exit_ - entry
    pauses = np.diff(entry, append=entry[:1] + n_rows) - lengths  # after each trade, around the ring
    entries, kept = np.empty((n_schedules, k), np.int64), np.empty((n_schedules, k), np.int64)
    for i in range(n_schedules):
        order = _shuffled_in_groups(k, rng)
        steps = (lengths + pauses)[order]
        begins = np.concatenate([[0], np.cumsum(steps)[:-1]]) if k else np.zeros(0, np.int64)
        entries[i] = (begins + rng.integers(n_rows)) % n_rows
        kept[i] = lengths[order]
    return entries, kept


def moved_together(
    rows: Sequence[tuple[np.ndarray, np.ndarray]], times: Sequence[np.ndarray], /, *, n_schedules: int, seed: int
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Move the trades of several symbols to random times, all those of a stretch of time alike.

    Parameters
    ----------
    rows : sequence of (entry, exit_)
        Of each symbol; see `random_schedules`.
    times : sequence of np.ndarray
        Times of each symbol's rows.
    n_schedules, seed : int
        How many schedules, and what draws them.

    Returns
    -------
    list of (entries, lengths)
        Of each symbol; see `random_schedules`. Lengths, and the entries' number, are those of the real trades.

    Notes
    -----
    Time is a ring that is cut into stretches of random length, which are shuffled: about `TRADES_TOGETHER` trades of
    the busiest symbol lie in one. Which symbols are held at the same time, and in what order, stays as it was within a
    stretch. A trade that runs out of its stretch may overlap one of the next. Times before a symbol's first bar or
    after its last are spread over its bars: all of them on one bar would make the past of that bar the yardstick.
    """
    union = np.unique(np.concatenate(times))
    n, busiest = len(union), max(1, *(len(entry) for entry, _ in rows))
    mean_length = max(2.0, n * min(1.0, TRADES_TOGETHER / busiest))
    places = [np.searchsorted(union, own)[entry] for own, (entry, _) in zip(times, rows, strict=True)]
    nearest = [_nearest(own, union) for own in times]
    entries = [np.empty((n_schedules, len(entry)), np.int64) for entry, _ in rows]
    rng = np.random.default_rng(seed)
    for i in range(n_schedules):
        moved = _moved(n, mean_length, rng)
        for of, place, near in zip(entries, places, nearest, strict=True):
            of[i] = near[moved[place]]
    return [(of, np.broadcast_to(exit_ - entry, of.shape)) for of, (entry, exit_) in zip(entries, rows, strict=True)]


def schedule_returns(
    log_open: np.ndarray, entries: np.ndarray, lengths: np.ndarray, /, *, log_cost_per_trade: float
) -> np.ndarray:
    """Return the net log return of each schedule.

    Parameters
    ----------
    log_open : np.ndarray
        (n + 1,) log of each row's open and, last, of the final close; what funding takes may be added in.
    entries, lengths : np.ndarray
        (s, k), from `random_schedules`. A trade that runs over the end is closed there and opened anew at the
        beginning, at no cost.
    log_cost_per_trade : float
        What entering and leaving costs, 0 or below.
    """
    n = len(log_open) - 1
    ends = entries + lengths
    over = np.maximum(ends - n, 0)
    gains = log_open[np.minimum(ends, n)] - log_open[entries] + log_open[over] - log_open[0]
    return gains.sum(axis=1) + entries.shape[1] * log_cost_per_trade


def shared_returns(
    log_open: np.ndarray, entries: np.ndarray, lengths: np.ndarray, /, *, at_once: int, log_cost_per_trade: float
) -> np.ndarray:
    """Return the net log return of each schedule whose trades hold a part of the equity each and may overlap.

    Parameters
    ----------
    log_open, entries, lengths, log_cost_per_trade
        See `schedule_returns`.
    at_once : int
        How many parts there are. Where a schedule has more trades at a time, they hold more than all of it.
    """
    n = len(log_open) - 1
    gains, totals = np.expm1(np.diff(log_open)), np.empty(len(entries))
    ends = entries + lengths
    for i, (begins, stops) in enumerate(zip(entries, ends, strict=True)):
        held = _counts(begins, n) - _counts(np.minimum(stops, n), n)
        over = stops[stops > n] - n
        held += len(over) * _counts(np.zeros(1, np.int64), n) - _counts(over, n)
        shares = np.cumsum(held)[:n] / at_once
        totals[i] = np.log1p(np.maximum(shares * gains, _RUIN)).sum()
    return totals + entries.shape[1] * log_cost_per_trade


# ------------------------------------------------------------------------------------

_RUIN = 1e-12 - 1  # all is lost; the logarithm of nothing is not finite


def _counts(rows: np.ndarray, n: int) -> np.ndarray:
    return np.bincount(rows, minlength=n + 1)


def _nearest(own: np.ndarray, union: np.ndarray) -> np.ndarray:
    """(n,) row of a symbol at each time, or at the next one that it has; where it has none at all, its rows in turn."""
    is_listed = (union >= own[0]) & (union <= own[-1])
    return np.where(is_listed, np.searchsorted(own, union), np.arange(len(union)) % len(own))


def _moved(n: int, mean_length: float, rng: np.random.Generator) -> np.ndarray:
    """(n,) where each place of a ring goes when the ring is cut into stretches and these are shuffled."""
    is_cut = rng.random(n) < 1 / mean_length
    is_cut[0] = True
    starts = np.flatnonzero(is_cut)
    lengths = np.diff(starts, append=n)
    order = rng.permutation(len(starts))
    begins = np.empty(len(starts), np.int64)
    begins[order] = np.concatenate([[0], np.cumsum(lengths[order])[:-1]])
    of = np.cumsum(is_cut) - 1
    return (begins[of] + np.arange(n) - starts[of] + rng.integers(n)) % n


def _shuffled_in_groups(k: int, rng: np.random.Generator) -> np.ndarray:
    if k < 2:
        return np.arange(k)
    is_cut = rng.random(k - 1) < 1 / TRADES_TOGETHER
    groups = np.split(np.arange(k), np.flatnonzero(is_cut) + 1)
    return np.concatenate([groups[i] for i in rng.permutation(len(groups))])
