"""How likely a label is, given the state of a simulated market at the bar's close."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import product

import numpy as np

from mmf.bars import DAY_MS
from mmf.markets.simulated_paths import MOMENTUM_GAIN, MOMENTUM_KEEP, Dynamics, shocks, stationary_regimes

_WEEK_MS = 7 * DAY_MS
_SEED = 20_220_101  # fixed: what a market allows to be known does not hang on the seed of one sample of it
_N_FUTURES = 8_000
_N_STATES = 12_000
_N_SETTLE = 120  # five half-lives: bars until the momentum of a state has its stationary law

# The drift bends most where momentum is small: the grid is even in its square root.
_ROOTS = np.linspace(-1.0, 1.0, 25)
_MOMENTA = 9.0 * np.sign(_ROOTS) * _ROOTS**2
_UP, _DOWN = slice(12, None), slice(12, None, -1)
_N_SCALES = 17
_EVENNESS = (0.5, 1.0)


@dataclass(frozen=True)
class Label:
    """The question asked of a market: does the close gain more than `hurdle` within `horizon` bars."""

    horizon: int
    hurdle: float


@dataclass(frozen=True)
class States:
    """State of a market at the close of bars; every field is an (n,) array.

    Attributes
    ----------
    regime : np.ndarray
        0 calm, 1 trending, 2 stressed.
    fast : np.ndarray
        Fast part of log-volatility.
    momentum : np.ndarray
        Momentum as in `simulated_paths.momentum_path`.
    open_time_ms : np.ndarray
        Open time of the bar; tells the hours of the week that follow.
    """

    regime: np.ndarray
    fast: np.ndarray
    momentum: np.ndarray
    open_time_ms: np.ndarray


def label_probability(dynamics: Dynamics, label: Label, states: States, /) -> np.ndarray:
    """Return the (n,) probability that the label is 1, given the state at the bar's close.

    Notes
    -----
    Nested Monte Carlo on a grid: 8,000 futures (fixed seed, half of them mirrored) of regime, volatility and
    drift, from each of 3 regimes and 25 momenta. What the present tells of volatility (hours of the week, decay
    of the fast part) enters twice: its root mean square over the horizon scales a whole future, and its mean
    over that root mean square, its evenness, weakens the drift against the noise. The grid has 17 scales and 2
    degrees of evenness; between its points the probability is linear.
    """
    low, high = _scale_range(dynamics)
    table = _table(dynamics, label, np.geomspace(low, high, _N_SCALES))
    scale, evenness = _known_volatility(dynamics, label, states)
    root = np.sign(states.momentum) * np.sqrt(np.abs(states.momentum) / _MOMENTA[-1])
    places = (
        _grid_place(root, -1.0, 1.0, len(_MOMENTA)),
        _grid_place(np.log(scale), np.log(low), np.log(high), _N_SCALES),
        _grid_place(evenness, *_EVENNESS, len(_EVENNESS)),
    )
    return _interpolate(table, states.regime, places)


def stationary_states(dynamics: Dynamics, /) -> States:
    """Return 12,000 independent states of a market that has run for long (fixed seed)."""
    rng = np.random.default_rng(_SEED + 2)
    regime, shock = _settling(replace(dynamics, coupling=0.0))
    coupling = dynamics.regime_coupling[regime]
    momentum = rng.normal(0.0, 2.0, _N_STATES)
    for most, noise in zip(coupling, shock, strict=True):
        momentum = MOMENTUM_KEEP * momentum + MOMENTUM_GAIN * (most * np.tanh(momentum) + noise)
    n_slots = max(1, _WEEK_MS // dynamics.interval_ms)
    return States(
        regime=regime[-1],
        fast=dynamics.fast_sd * rng.standard_normal(_N_STATES),
        momentum=momentum,
        open_time_ms=rng.integers(0, n_slots, _N_STATES) * dynamics.interval_ms,
    )


# ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Futures:
    """What the coupling does not change of the futures of one regime; (bars, futures) float32 and int8."""

    regime: np.ndarray
    volatility: np.ndarray
    shock: np.ndarray


def _table(dynamics: Dynamics, label: Label, scales: np.ndarray) -> np.ndarray:
    """(3, momenta, scales, evenness) share of futures whose price gains more than the hurdle."""
    table = np.empty((3, len(_MOMENTA), len(scales), len(_EVENNESS)))
    for start, future in enumerate(_futures(replace(dynamics, coupling=0.0), label.horizon)):
        noise = (future.volatility * future.shock).sum(axis=0)
        # What keeps the price a martingale lowers its logarithm by half the variance, to leading order.
        drag = 0.5 * (future.volatility**2).sum(axis=0)
        drift = _drift(future, dynamics.regime_coupling.astype(np.float32))
        for (j, scale), (k, evenness) in product(enumerate(scales), enumerate(_EVENNESS)):
            gain = noise + np.float32(evenness) * drift
            least = np.float32(np.log1p(label.hurdle) / scale) + np.float32(scale) * drag
            table[start, _UP, j, k] = (gain > least).mean(axis=1)
            table[start, _DOWN, j, k] = (-gain > least).mean(axis=1)
    return table


def _drift(future: _Futures, regime_coupling: np.ndarray) -> np.ndarray:
    """(upward momenta, futures) sum over a future of its drift, weighted by volatility."""
    n_futures = future.shock.shape[1]
    momentum = np.repeat(_MOMENTA[_UP, None].astype(np.float32), n_futures, axis=1)
    total = np.zeros_like(momentum)
    for regime, volatility, shock in zip(future.regime, future.volatility, future.shock, strict=True):
        drift = regime_coupling[regime] * np.tanh(momentum)
        total += volatility * drift
        momentum = np.float32(MOMENTUM_KEEP) * momentum + np.float32(MOMENTUM_GAIN) * (drift + shock)
    return total


@lru_cache(maxsize=2)
def _futures(dynamics: Dynamics, horizon: int) -> tuple[_Futures, _Futures, _Futures]:
    """Futures from each regime; the same random numbers for all three."""
    rng = np.random.default_rng(_SEED)
    half = (horizon, _N_FUTURES // 2)
    shock = shocks(rng, half)
    # Mirrored shocks make the law as symmetric as it is; without them the AUC of a table is three times as noisy.
    shock = np.concatenate([shock, -shock], axis=1).astype(np.float32)
    uniform, normal = (np.tile(draw, 2) for draw in (rng.random(half), rng.standard_normal(half)))
    surprise = np.exp(_fast_surprise(dynamics, normal))
    regimes = (_regimes(dynamics, np.full(_N_FUTURES, start), uniform) for start in range(3))
    calm, trending, stressed = (
        _Futures(regime, (dynamics.regime_scale[regime] * surprise).astype(np.float32), shock) for regime in regimes
    )
    return calm, trending, stressed


@lru_cache(maxsize=2)
def _settling(dynamics: Dynamics) -> tuple[np.ndarray, np.ndarray]:
    """(bars, states) regimes and shocks that lead to the stationary law."""
    rng = np.random.default_rng(_SEED + 1)
    first = rng.choice(3, _N_STATES, p=stationary_regimes(dynamics))
    shape = (_N_SETTLE, _N_STATES)
    return _regimes(dynamics, first, rng.random(shape)), shocks(rng, shape)


def _regimes(dynamics: Dynamics, regime: np.ndarray, uniform: np.ndarray) -> np.ndarray:
    """(bars, paths) regimes that follow a first one."""
    cumulative = np.cumsum(dynamics.regime_step, axis=1)
    out = np.empty(uniform.shape, np.int8)
    for k, draw in enumerate(uniform):
        leave_calm, leave_trending = cumulative[regime, 0], cumulative[regime, 1]
        regime = (draw >= leave_calm).astype(np.int8) + (draw >= leave_trending)
        out[k] = regime
    return out


def _fast_surprise(dynamics: Dynamics, normal: np.ndarray) -> np.ndarray:
    """(bars, paths) part of the fast log-volatility that the present does not tell."""
    return np.stack(list(_surprises(dynamics, normal)))


def _surprises(dynamics: Dynamics, normal: np.ndarray) -> Iterator[np.ndarray]:
    gain = dynamics.fast_sd * np.sqrt(1.0 - dynamics.fast_keep**2)
    fast = np.zeros(normal.shape[1])
    for draw in normal:
        fast = dynamics.fast_keep * fast + gain * draw
        yield fast


def _known_volatility(dynamics: Dynamics, label: Label, states: States) -> tuple[np.ndarray, np.ndarray]:
    """(n,) root mean square over the horizon of the volatility now known, and its mean over that."""
    total, squares = np.zeros((2, len(states.fast)))
    for k in range(1, label.horizon + 1):
        season = dynamics.season(states.open_time_ms + k * dynamics.interval_ms)
        known = dynamics.sigma * season * np.exp(dynamics.fast_keep**k * states.fast)
        total += known
        squares += known**2
    scale = np.sqrt(squares / label.horizon)
    return scale, total / label.horizon / scale


def _scale_range(dynamics: Dynamics) -> tuple[float, float]:
    """Least and greatest scale of the grid: the hours of the week times 4.5 deviations of fast volatility."""
    week = dynamics.season(np.arange(0, _WEEK_MS, dynamics.interval_ms))
    reach = np.exp(4.5 * dynamics.fast_sd)
    return dynamics.sigma * week.min() / reach * 0.99, dynamics.sigma * week.max() * reach * 1.01


def _grid_place(x: np.ndarray, first: float, last: float, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Index of the grid point at or below `x`, and the fraction of the way to the next."""
    place = np.clip((x - first) / (last - first), 0.0, 1.0) * (n - 1)
    below = np.minimum(place.astype(np.int64), n - 2)
    return below, place - below


def _interpolate(
    table: np.ndarray,
    regime: np.ndarray,
    places: tuple[tuple[np.ndarray, np.ndarray], ...],
    index: tuple[np.ndarray, ...] = (),
) -> np.ndarray:
    """(n,) linear interpolation along every axis of `table` but the first.

    Written as a + part (b - a), which is a itself where the table does not change, so that equal probabilities
    stay equal and their AUC is 0.5.
    """
    if len(index) == len(places):
        return table[(regime, *index)]
    below, part = places[len(index)]
    near = _interpolate(table, regime, places, (*index, below))
    far = _interpolate(table, regime, places, (*index, below + 1))
    return near + part * (far - near)
