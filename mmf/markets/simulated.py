"""A simulated market: bars with the habits of crypto futures, and an edge whose size is known."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from hashlib import sha256
from typing import Literal, get_args

import numpy as np
import polars as pl

from mmf.bars import BAR_SCHEMA, Interval, Series
from mmf.errors import CallError
from mmf.markets.simulated_edge import bayes_auc, coupling_for
from mmf.markets.simulated_paths import (
    HOUR_MS,
    Dynamics,
    autoregress,
    bridge_extremes,
    compensator,
    fast_path,
    momentum_path,
    regime_path,
    tail_scale,
)
from mmf.markets.simulated_truth import Label, States, label_probability
from mmf.markets.source import Batch

Edge = Literal["none", "planted", "iid"]

_OPENING_PRICE = {"BTCUSDT": 46_216.9, "ETHUSDT": 3_676.2}
_FACTOR_SHARE = 0.8  # share of a shock's variance that all symbols have in common, so their correlation
_HOURLY_TURNOVER = 1.6e8
_VOLUME_POWER = 0.9  # of the bar's range
_VOLUME_NOISE = 0.4
_VOLUME_HALF_LIFE_H = 12.0
_SIGNIFICANT_DIGITS = 6


@dataclass(frozen=True)
class MarketConfig:
    """What market to simulate.

    Attributes
    ----------
    seed : int
        Same seed, same bars.
    symbols : tuple of str
        What the market trades; the bars of one symbol do not depend on the others named here.
    interval : str
        Bar length, aliases such as `1h` included.
    start_ms : int
        First open_time in ms UTC, moved up to the interval's grid.
    n_bars : int
        Bars of each symbol; more of them leave the earlier ones as they are.
    edge : {"none", "planted", "iid"}
        none: a martingale with clustered volatility. planted: the same with a drift that follows past returns.
        iid: returns of one law, independent of everything before.
    strength : float
        Bayes AUC of the planted edge, in (0.5, 0.8]; not used by the other two.
    horizon : int
        Bars over which the label looks ahead.
    hurdle : float
        Return above which the label is 1.

    Raises
    ------
    CallError
        A value is out of its range.
    """

    seed: int = 7
    symbols: tuple[str, ...] = ("BTCUSDT",)
    interval: str = "60"
    start_ms: int = 1_640_995_200_000
    n_bars: int = 17_520
    edge: Edge = "planted"
    strength: float = 0.70
    horizon: int = 36
    hurdle: float = 0.005

    def __post_init__(self) -> None:
        Interval.parse(self.interval)
        if not self.symbols or len(set(self.symbols)) != len(self.symbols):
            raise CallError(f"symbols {self.symbols!r}: name at least one, and each once.")
        for symbol in self.symbols:
            Series("simulated", "linear", symbol, "60")
        if self.edge not in get_args(Edge):
            raise CallError(f"edge {self.edge!r} is unknown. Use one of {', '.join(get_args(Edge))}.")
        if self.edge == "planted" and not 0.5 < self.strength <= 0.8:
            raise CallError(f"strength {self.strength} is not in (0.5, 0.8]: it is the Bayes AUC to plant.")
        for name, least in (("seed", 0), ("start_ms", 0), ("n_bars", 1), ("horizon", 1)):
            if getattr(self, name) < least:
                raise CallError(f"{name} {getattr(self, name)} is too small: use {least} or more.")
        if not -0.5 <= self.hurdle <= 0.5:
            raise CallError(f"hurdle {self.hurdle} is not in [-0.5, 0.5]: it is a fraction, 0.005 for 0.5 %.")


class SimulatedMarket:
    """The market of a configuration.

    Parameters
    ----------
    config : MarketConfig
        What to simulate.

    Examples
    --------
    >>> market = SimulatedMarket(MarketConfig(n_bars=3, strength=0.70))
    >>> market.bars("BTCUSDT").height, round(market.bayes_auc, 2)
    (3, 0.7)
    """

    def __init__(self, config: MarketConfig = MarketConfig()) -> None:
        self.config = config

    @cached_property
    def dynamics(self) -> Dynamics:
        """What moves volatility and drift; the coupling is found here, in about a second, where an edge is planted.

        Raises
        ------
        CallError
            The strength cannot be reached at this interval, horizon and hurdle.
        """
        dynamics = Dynamics(Interval.parse(self.config.interval).ms, is_clustered=self.config.edge != "iid")
        if self.config.edge != "planted":
            return dynamics
        return replace(dynamics, coupling=coupling_for(dynamics, self._label, self.config.strength))

    @property
    def bayes_auc(self) -> float | None:
        """AUC of the label that knowing the market's state gives in the long run; None where no edge is planted.

        Without an edge volatility still tells a little of the label: `mmf.markets.simulated_edge.bayes_auc`.
        """
        return bayes_auc(self.dynamics, self._label) if self.config.edge == "planted" else None

    def bars(self, symbol: str, /) -> pl.DataFrame:
        """Return the bars of a symbol in `BAR_SCHEMA`.

        Notes
        -----
        A bar opens at the close before it. Prices have six significant digits. Volume follows the bar's range,
        turnover is volume times the mean of open, high, low and close.
        """
        path = self._path(symbol)
        price = {name: _round_price(np.exp(value)) for name, value in path.log_prices.items()}
        volume = self._volume(symbol, path)
        turnover = volume * sum(price.values()) / 4.0
        columns = {"open_time": path.states.open_time_ms, **price, "volume": volume, "turnover": turnover}
        return pl.DataFrame(columns).select(pl.col(name).cast(kind) for name, kind in BAR_SCHEMA.items())

    def truth(self, symbol: str, /) -> pl.DataFrame:
        """Return `open_time` and `probability`: how likely the label is 1, given the market's state at the close.

        Notes
        -----
        The label is 1 where the close `horizon` bars on is more than `hurdle` above this one. Computed as
        `mmf.markets.simulated_truth.label_probability` tells; rows whose horizon is not over have a probability too.
        """
        states = self._path(symbol).states
        columns = {
            "open_time": states.open_time_ms,
            "probability": label_probability(self.dynamics, self._label, states),
        }
        return pl.DataFrame(columns).with_columns(pl.col("open_time").cast(BAR_SCHEMA["open_time"]))

    @property
    def _label(self) -> Label:
        return Label(self.config.horizon, self.config.hurdle)

    def _path(self, symbol: str) -> "_Path":
        if symbol not in self.config.symbols:
            raise CallError(f"symbol {symbol!r} is not simulated here; this market has {self.config.symbols}.")
        n, dynamics = self.config.n_bars, self.dynamics
        open_time_ms = _open_times(self.config)
        regime = regime_path(dynamics, self._stream("regime").random(n))
        fast = fast_path(dynamics, self._stream("fast").standard_normal(n))
        tail = tail_scale(self._stream("tail").random(n))
        factor = self._stream("factor").standard_normal(n)
        own = self._stream("own", symbol).standard_normal(n)
        shock = tail * (np.sqrt(_FACTOR_SHARE) * factor + np.sqrt(1.0 - _FACTOR_SHARE) * own)
        sigma = dynamics.sigma * dynamics.regime_scale[regime] * np.exp(fast) * dynamics.season(open_time_ms)
        z, momentum = momentum_path(shock, dynamics.regime_coupling[regime])
        log_return = sigma * z - compensator(sigma)
        extremes = self._stream("high", symbol).random(n), self._stream("low", symbol).random(n)
        up, down = bridge_extremes(log_return, sigma * tail, *extremes)
        log_price = np.log(_opening_price(symbol)) + np.concatenate([[0.0], np.cumsum(log_return)])
        before, close = log_price[:-1], log_price[1:]
        return _Path(
            states=States(regime, fast, momentum, open_time_ms),
            log_prices={"open": before, "high": before + up, "low": before + down, "close": close},
        )

    def _volume(self, symbol: str, path: "_Path") -> np.ndarray:
        hours = self.dynamics.interval_ms / HOUR_MS
        noise = self._stream("volume", symbol).standard_normal(self.config.n_bars)
        if self.config.edge != "iid":  # there the volume tells the range of its own bar alone
            noise = autoregress(noise, 0.5 ** (hours / _VOLUME_HALF_LIFE_H))
        span = (path.log_prices["high"] - path.log_prices["low"]) / self.dynamics.sigma
        usual = _HOURLY_TURNOVER * hours / _opening_price(symbol)
        volume = usual * span**_VOLUME_POWER * np.exp(_VOLUME_NOISE * noise)
        return np.maximum(np.round(volume, 3), 0.001)

    def _stream(self, *names: str) -> np.random.Generator:
        """Return the random numbers of one purpose: drawn in time order, so that more bars keep the earlier ones."""
        tag = int.from_bytes(sha256("/".join(names).encode()).digest()[:8], "little")
        return np.random.default_rng([self.config.seed, tag])


class SimulatedSource:
    """A simulated market as a source of bars.

    Parameters
    ----------
    config : MarketConfig
        What to simulate.
    """

    def __init__(self, config: MarketConfig = MarketConfig()) -> None:
        self.market = SimulatedMarket(config)

    def batches(self, series: Series, wanted: Sequence[tuple[int, int]], /) -> Iterator[Batch]:
        """Yield the bars of each wanted range; see `mmf.markets.source.Source`.

        Raises
        ------
        CallError
            The series is not of exchange simulated, or of another interval or symbol than the market.
        """
        config = self.market.config
        own = Series.of("simulated", series.category, series.symbol, config.interval)
        if series != own:
            raise CallError(f"series {series} is not of this simulated market; expected one such as {own}.")
        bars = self.market.bars(series.symbol)
        now_ms = time.time_ns() // 1_000_000
        end_ms = int(_open_times(config)[-1]) + series.grid.ms
        time_ms = pl.col("open_time").dt.epoch("ms")
        for start_ms, stop_ms in wanted:
            rows = bars.filter((time_ms >= start_ms) & (time_ms < stop_ms))
            if rows.height:
                yield Batch(series, rows, "simulated", now_ms, min(now_ms, end_ms))


# ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Path:
    states: States
    log_prices: dict[str, np.ndarray]


def _open_times(config: MarketConfig) -> np.ndarray:
    grid = Interval.parse(config.interval)
    first = -((grid.anchor_ms - config.start_ms) // grid.ms)
    return grid.anchor_ms + (first + np.arange(config.n_bars)) * grid.ms


def _opening_price(symbol: str) -> float:
    """Known symbols open near what they cost; another between 0.1 and 1,000, by its name."""
    if symbol in _OPENING_PRICE:
        return _OPENING_PRICE[symbol]
    place = int.from_bytes(sha256(symbol.encode()).digest()[:4], "little") / 2**32
    return 10.0 ** (4.0 * place - 1.0)


def _round_price(price: np.ndarray) -> np.ndarray:
    """Round to a tick of six significant digits, which never turns the order of two prices.

    A fixed tick would grow coarse where a martingale falls for years; exchanges restate theirs as well. The
    path itself stays unrounded, so the error does not add up.
    """
    digits = _SIGNIFICANT_DIGITS - 1 - np.floor(np.log10(price))
    tick = 10.0 ** np.abs(digits)
    return np.where(digits >= 0, np.round(price * tick) / tick, np.round(price / tick) * tick)
