"""Surrogates of a series' own bars: markets that look like it and in which nothing can be foretold."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import polars as pl

from mmf.bars import BAR_SCHEMA
from mmf.errors import CallError, DataError
from mmf.markets.simulated_paths import bridge_extremes, compensator, tail_scale

Kind = Literal["martingale", "iid"]
KINDS: tuple[Kind, ...] = ("martingale", "iid")

HALF_LIFE = 12  # bars, on either side: short enough for the hours of the day, long enough to hide the single bar
MIN_BARS = 100
_FLOOR = 1e-8  # of a bar's variance, as a share of the mean: a market that stood still


def surrogate(bars: pl.DataFrame, /, kind: Kind, *, seed: int) -> pl.DataFrame:
    """Re-simulate bars so that no past tells the direction of the future.

    Parameters
    ----------
    bars : pl.DataFrame
        (n,) open_time, open, high, low, close, volume, turnover of one series, in order.
    kind : {"martingale", "iid"}
        `martingale`: the volatility of each bar is that of the real market at the time, its direction is drawn anew.
        `iid`: whole bars are drawn with replacement from the real ones, so that all have one law.
    seed : int
        Draws them.

    Returns
    -------
    pl.DataFrame
        The same columns on the same open_times, holes included; other columns are left out. The first open is the real
        one, and each open is the close before it.

    Raises
    ------
    CallError
        The kind is unknown.
    DataError
        There are fewer than 100 bars, or the market never moved.

    Notes
    -----
    Both are martingales exactly: the mean growth of a bar is 1, whatever came before. `martingale`:

    1. The variance that each real bar shows is (o - c')^2 + (c - o)^2 / 2 + (h - l)^2 / (8 ln 2), in logarithms, c'
       being the close before: a gap and half of each of two estimates of what happens within the bar.
    2. A two-sided exponential average of half-life 12 bars makes it a path, scaled so that the real returns divided by
       it have mean square 1. It looks into the future, on purpose: it shall be the path the market took. A bar shares
       in its own volatility with 3 %, so its own outburst cannot be told from its neighbours'.
    3. The shock is normal with one of three variances (mean 1), as in `mmf.markets.simulated`; the logarithm of its
       mean exponential is taken off the return.
    4. High and low are those of a Brownian bridge from open to close with the bar's own variance.
    5. Volume is the real one times the ratio of the two ranges, to the power with which real volume follows real range
       (least squares on logarithms). Turnover is volume times the mean of the bar's prices.

    `iid` keeps return, wicks, volume of a bar together, and takes the logarithm of the mean growth off each return.
    """
    if bars.height < MIN_BARS:
        raise DataError(f"{bars.height} bars are too few to re-simulate; it takes {MIN_BARS}. Take a longer range.")
    real = _Shape.of(bars)
    if not np.any(real.log_return):
        raise DataError("the market never moved in these bars: there is nothing to re-simulate.")
    rng = np.random.default_rng([seed, KINDS.index(kind) if kind in KINDS else 0])
    match kind:
        case "martingale":
            drawn = _martingale(real, rng)
        case "iid":
            drawn = _iid(real, rng)
        case _:
            raise CallError(f"surrogate {kind!r} is unknown. Use one of {', '.join(KINDS)}.")
    return _frame(bars, drawn)


def volatility_path(bars: pl.DataFrame, /) -> np.ndarray:
    """Return the (n,) standard deviation of each bar's log-return as `surrogate` estimates it."""
    return _volatility(_Shape.of(bars))


# ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Shape:
    """(n,) each: log-prices from the close before, and volume."""

    gap: np.ndarray
    high: np.ndarray
    low: np.ndarray
    log_return: np.ndarray
    volume: np.ndarray

    @classmethod
    def of(cls, bars: pl.DataFrame) -> "_Shape":
        open_, high, low, close = (np.log(bars[name].to_numpy()) for name in ("open", "high", "low", "close"))
        before = np.append(open_[:1], close[:-1])
        return cls(open_ - before, high - before, low - before, close - before, bars["volume"].to_numpy())

    @property
    def span(self) -> np.ndarray:
        return self.high - self.low


def _volatility(real: _Shape) -> np.ndarray:
    body = real.log_return - real.gap
    variance = real.gap**2 + body**2 / 2 + real.span**2 / (8 * np.log(2))
    keep = 0.5 ** (1 / HALF_LIFE)
    past, weight = _averaged(variance, keep)
    future, weight_ahead = (part[::-1] for part in _averaged(variance[::-1], keep))
    # both sums hold the bar itself
    smooth = (past + future - variance) / (weight + weight_ahead - 1)
    smooth = np.maximum(smooth, _FLOOR * variance.mean())
    return np.sqrt(smooth * np.mean(real.log_return**2 / smooth))


def _averaged(values: np.ndarray, keep: float) -> tuple[np.ndarray, np.ndarray]:
    """Exponentially weighted sums of the values so far, and of the weights."""
    from scipy.signal import lfilter  # noqa: PLC0415 - markets are listed without it

    return lfilter([1.0], [1.0, -keep], values), lfilter([1.0], [1.0, -keep], np.ones(len(values)))


def _martingale(real: _Shape, rng: np.random.Generator) -> _Shape:
    n, sigma = len(real.log_return), _volatility(real)
    tail = tail_scale(rng.random(n))
    log_return = sigma * tail * rng.standard_normal(n) - compensator(sigma)
    high, low = bridge_extremes(log_return, sigma * tail, rng.random(n), rng.random(n))
    is_known = (real.span > 0) & (real.volume > 0)
    power = _power(np.log(real.span[is_known]), np.log(real.volume[is_known]))
    # a bar that stood still keeps its volume: it has no range to compare with
    ratio = np.where(real.span > 0, (high - low) / np.where(real.span > 0, real.span, 1.0), 1.0)
    return _Shape(np.zeros(n), high, low, log_return, real.volume * ratio**power)


def _iid(real: _Shape, rng: np.random.Generator) -> _Shape:
    rows = rng.integers(0, len(real.log_return), len(real.log_return))
    log_return = real.log_return[rows] - np.log(np.mean(np.exp(real.log_return)))
    # a close that was moved may lie beyond the wick, and a gap beyond either
    high, low = np.maximum(real.high[rows], 0.0), np.minimum(real.low[rows], 0.0)
    return _Shape(
        np.zeros(len(rows)), np.maximum(high, log_return), np.minimum(low, log_return), log_return, real.volume[rows]
    )


def _power(log_span: np.ndarray, log_volume: np.ndarray) -> float:
    """Slope of volume on range, at least 0."""
    if len(log_span) < 2 or np.ptp(log_span) == 0:
        return 0.0
    return max(0.0, float(np.polyfit(log_span, log_volume, 1)[0]))


def _frame(bars: pl.DataFrame, drawn: _Shape) -> pl.DataFrame:
    level = np.log(bars["open"][0]) + np.concatenate([[0.0], np.cumsum(drawn.log_return)])
    prices = {
        "open": level[:-1],
        "high": level[:-1] + drawn.high,
        "low": level[:-1] + drawn.low,
        "close": level[1:],
    }
    prices = {name: np.exp(values) for name, values in prices.items()}
    # exp of a sum may differ in its last bit
    prices["high"] = np.maximum.reduce([prices["high"], prices["open"], prices["close"]])
    prices["low"] = np.minimum.reduce([prices["low"], prices["open"], prices["close"]])
    mean = np.mean(list(prices.values()), axis=0)
    columns = {"open_time": bars["open_time"], **prices, "volume": drawn.volume, "turnover": drawn.volume * mean}
    return pl.DataFrame(columns).select(pl.col(name).cast(kind) for name, kind in BAR_SCHEMA.items())
