"""Intervals for figures of dependent rows: the stationary block bootstrap."""

from collections.abc import Callable, Iterator

import numpy as np

from mmf.errors import CallError


def block_samples(n: int, /, *, mean_block: float, n_samples: int, seed: int) -> Iterator[np.ndarray]:
    """Draw row indices in blocks of random length.

    Parameters
    ----------
    n : int
        Rows, in time order.
    mean_block : float
        Mean length of a block; at least the horizon of the labels, whose overlap makes neighbours alike.
    n_samples : int
        How many samples.
    seed : int
        Draws them.

    Yields
    ------
    np.ndarray
        (n,) int64; a block that runs over the end goes on at the beginning.

    Notes
    -----
    D. N. Politis and J. P. Romano, The stationary bootstrap, Journal of the American Statistical Association 89, 1994.
    """
    if mean_block < 1 or n < 1:
        raise CallError(f"blocks of {mean_block} rows out of {n} cannot be drawn. Use a mean block of 1 or more.")
    rng = np.random.default_rng(seed)
    row = np.arange(n)
    for _ in range(n_samples):
        begins = rng.random(n) < 1 / mean_block
        begins[0] = True
        first = np.maximum.accumulate(np.where(begins, row, 0))  # where the block of each row begins
        starts = rng.integers(0, n, n)
        yield (starts[first] + row - first) % n


def interval(
    statistic: Callable[[np.ndarray], float],
    n: int,
    /,
    *,
    level: float,
    mean_block: float,
    n_samples: int = 2_000,
    seed: int = 0,
) -> tuple[float, float]:
    """Return a percentile interval of a statistic of rows.

    Parameters
    ----------
    statistic : callable
        Given (n,) row indices, repeated ones among them; NaN where it is undefined, which is left out.
    n : int
        Rows.
    level : float
        Share that the interval covers, such as 0.95.
    mean_block, n_samples, seed
        See `block_samples`.
    """
    drawn = np.array(
        [statistic(rows) for rows in block_samples(n, mean_block=mean_block, n_samples=n_samples, seed=seed)]
    )
    low, high = np.nanquantile(drawn, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
