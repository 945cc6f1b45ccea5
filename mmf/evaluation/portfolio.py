"""Several symbols traded beside each other, each with an equal part of the equity."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from mmf.bars import Interval
from mmf.evaluation.backtest import Backtest, Costs, Performance, Rules, backtest, holding, performance


@dataclass(frozen=True)
class Desk:
    """One symbol as it is traded by itself.

    Attributes
    ----------
    symbol : str
        Its name.
    bars : pl.DataFrame
        (n,) open_time, open, high, low, close, in order.
    funding : pl.DataFrame or None
        funding_time and rate.
    """

    symbol: str
    bars: pl.DataFrame
    funding: pl.DataFrame | None = None

    @property
    def open_time_ms(self) -> np.ndarray:
        """(n,) int64 times of the bars."""
        return self.bars["open_time"].to_physical().to_numpy()

    def between(self, open_time_ms: np.ndarray, /) -> "Desk":
        """Return the desk with all stored bars from the first of these times to the last."""
        first, last = int(open_time_ms.min()), int(open_time_ms.max())
        return replace(self, bars=self.bars.filter(pl.col("open_time").to_physical().is_between(first, last)))

    def aligned(self, open_time_ms: np.ndarray, values: np.ndarray, /) -> np.ndarray:
        """Return (bars,) float64, NaN where a bar has no value."""
        found = np.full(self.bars.height, np.nan)
        found[np.searchsorted(self.open_time_ms, open_time_ms)] = values
        return found


@dataclass(frozen=True)
class Portfolio:
    """What came of it.

    Attributes
    ----------
    whole : Backtest
        Trades of all symbols behind a column symbol, in the order of entry, and the equity of all: the mean of the
        symbols' own at every open_time that one of them has, a symbol without a bar standing where it stood.
    parts : tuple of Backtest
        Each symbol by itself, in the order of the desks.
    """

    whole: Backtest
    parts: tuple[Backtest, ...]


def trade_all(
    desks: Sequence[Desk], signals: Sequence[np.ndarray], /, *, interval: Interval, rules: Rules, costs: Costs
) -> Portfolio:
    """Trade each symbol on its own signals with an equal part of the equity, which is not shared out anew.

    Parameters
    ----------
    desks : sequence of Desk
        The symbols.
    signals : sequence of np.ndarray
        (n,) bool of each; see `mmf.evaluation.backtest.backtest`.
    interval, rules, costs : Interval, Rules, Costs
        The same for all.
    """
    settings = {"interval": interval, "rules": rules, "costs": costs}
    parts = tuple(
        backtest(desk.bars, wanted, funding=desk.funding, **settings)
        for desk, wanted in zip(desks, signals, strict=True)
    )
    named = [
        part.trades.select(pl.lit(desk.symbol).alias("symbol"), pl.all())
        for desk, part in zip(desks, parts, strict=True)
    ]
    trades = named[0] if len(named) == 1 else pl.concat(named).sort("entry_time", "symbol")
    return Portfolio(Backtest(trades, _together([part.equity for part in parts])), parts)


def performance_of(portfolio: Portfolio, /, *, interval: Interval, rules: Rules) -> Performance:
    """Summarise; a trade moves its part of its symbol's part of the equity."""
    each = replace(rules, at_once=rules.at_once * len(portfolio.parts))
    return performance(portfolio.whole, interval=interval, rules=each)


def hold_all(desks: Sequence[Desk], /, *, interval: Interval, costs: Costs) -> np.ndarray:
    """Return the equity of buying and holding all symbols, at the times of the portfolio's equity."""
    held = [holding(desk.bars, interval=interval, costs=costs, funding=desk.funding) for desk in desks]
    return mean_of(held, [desk.open_time_ms for desk in desks], before=1.0)


def all_times(times: Sequence[np.ndarray], /) -> np.ndarray:
    """Return every time that one of the symbols has, ascending."""
    return np.unique(np.concatenate(times))


def mean_of(curves: Sequence[np.ndarray], times: Sequence[np.ndarray], /, *, before: float) -> np.ndarray:
    """Return the mean of curves at every time that one of them has.

    A curve stays where it stood while it has no value, and is `before` until its first one.
    """
    if len(curves) == 1:
        return curves[0]
    union = all_times(times)
    laid = [
        np.concatenate([[before], curve])[np.searchsorted(own, union, side="right")]
        for curve, own in zip(curves, times, strict=True)
    ]
    return np.mean(laid, axis=0)


# ------------------------------------------------------------------------------------


def _together(equities: Sequence[pl.DataFrame]) -> pl.DataFrame:
    if len(equities) == 1:
        return equities[0]
    times = [equity["open_time"].to_physical().to_numpy() for equity in equities]
    equity, gross = (
        mean_of([one[name].to_numpy() for one in equities], times, before=1.0) for name in ("equity", "gross")
    )
    invested = mean_of([(one["equity"] * one["position"]).to_numpy() for one in equities], times, before=0.0)
    peak = np.maximum.accumulate(np.maximum(equity, 1.0))
    return pl.DataFrame(
        {
            "open_time": pl.Series(all_times(times)).cast(pl.Datetime("ms", "UTC")),
            "equity": equity,
            "gross": gross,
            "drawdown": equity / peak - 1,
            "position": invested / equity,
        }
    )
