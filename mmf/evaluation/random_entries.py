"""What the same trades would have brought at random times: the yardstick of timing."""

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
        raise CallError("trades of a schedule must follow each other within the range. Backtest with at_once=1.")
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


# ------------------------------------------------------------------------------------


def _shuffled_in_groups(k: int, rng: np.random.Generator) -> np.ndarray:
    if k < 2:
        return np.arange(k)
    is_cut = rng.random(k - 1) < 1 / TRADES_TOGETHER
    groups = np.split(np.arange(k), np.flatnonzero(is_cut) + 1)
    return np.concatenate([groups[i] for i in rng.permutation(len(groups))])
