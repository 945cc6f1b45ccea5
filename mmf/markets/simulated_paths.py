"""The moving parts of a simulated market: regimes, volatility, momentum and the range within a bar."""

from dataclasses import dataclass

import numba
import numpy as np

HOUR_MS = 3_600_000
_HOURS_OF_WEEK = 168
_THURSDAY = 72  # 1970-01-01 00:00 UTC in hours after Monday

# Standard deviation of the log-return of one hour in the trending regime, before season and fast volatility.
HOURLY_SIGMA = 0.0050

# Regimes in order calm, trending, stressed. Mean stays are in hours of the clock, so that an hour and a
# minute of one market tell the same story.
REGIMES = ("calm", "trending", "stressed")
_REGIME_SCALE = (0.55, 1.0, 1.9)
_REGIME_DRIFT = (0.75, 1.25, 0.75)
_REGIME_STAY_H = (480.0, 480.0, 168.0)
_REGIME_NEXT = ((0.0, 0.75, 0.25), (0.65, 0.0, 0.35), (0.35, 0.65, 0.0))

_FAST_HALF_LIFE_H = 8.0
_FAST_SD = 0.4

# A bar's shock is normal with one of three variances (mean 1): fat tails with every exponential moment finite,
# which a Student t does not have, so the price can be compensated exactly.
_TAIL_PROBABILITY = np.array([0.80, 0.18, 0.02])
_TAIL_VARIANCE = np.array([0.66, 1.90, 6.5])
_TAIL_VARIANCE /= _TAIL_PROBABILITY @ _TAIL_VARIANCE

# Momentum: the drift follows a past return that is exponentially weighted over bars.
MOMENTUM_HALF_LIFE = 24
MOMENTUM_KEEP = 0.5 ** (1.0 / MOMENTUM_HALF_LIFE)
MOMENTUM_GAIN = float(np.sqrt(1.0 - MOMENTUM_KEEP**2))

_HOUR_PROFILE = np.array(
    [
        *(1.05, 1.02, 0.93, 0.84, 0.75, 0.77, 0.80, 0.85, 0.92, 0.86, 0.84, 0.88),
        *(1.02, 1.20, 1.40, 1.30, 1.15, 1.12, 1.10, 1.08, 1.08, 1.02, 1.00, 0.97),
    ]
)
_DAY_PROFILE = np.array([1.08, 1.06, 1.08, 1.06, 1.05, 0.72, 0.80])


@dataclass(frozen=True)
class Dynamics:
    """What moves volatility and drift, for bars of one length.

    Attributes
    ----------
    interval_ms : int
        Length of a bar.
    is_clustered : bool
        Whether regimes, fast volatility and the hours of the week move volatility; without it every bar has
        the same.
    coupling : float
        Greatest drift of a bar in units of its own volatility, in a regime with drift factor 1; 0 for none.
    """

    interval_ms: int
    is_clustered: bool = True
    coupling: float = 0.0

    @property
    def sigma(self) -> float:
        """Standard deviation of a bar's log-return at scale 1."""
        return HOURLY_SIGMA * (self.interval_ms / HOUR_MS) ** 0.5

    @property
    def regime_scale(self) -> np.ndarray:
        """(3,) volatility of each regime."""
        return np.array(_REGIME_SCALE if self.is_clustered else (1.0, 1.0, 1.0))

    @property
    def regime_coupling(self) -> np.ndarray:
        """(3,) greatest drift of a bar in each regime, in units of its volatility."""
        return self.coupling * np.array(_REGIME_DRIFT)

    @property
    def regime_step(self) -> np.ndarray:
        """(3, 3) transition probabilities from one bar to the next."""
        leave = 1.0 - np.exp(-self.interval_ms / HOUR_MS / np.array(_REGIME_STAY_H))
        return leave[:, None] * np.array(_REGIME_NEXT) + np.diag(1.0 - leave)

    @property
    def fast_keep(self) -> float:
        """Autocorrelation of the fast part of log-volatility from one bar to the next."""
        return 0.5 ** (self.interval_ms / HOUR_MS / _FAST_HALF_LIFE_H)

    @property
    def fast_sd(self) -> float:
        """Stationary standard deviation of the fast part of log-volatility."""
        return _FAST_SD if self.is_clustered else 0.0

    def season(self, open_time_ms: np.ndarray, /) -> np.ndarray:
        """(n,) factor of volatility from the hours of the week that each bar covers."""
        if not self.is_clustered:
            return np.ones(len(open_time_ms))
        variance = np.outer(_DAY_PROFILE**2, _HOUR_PROFILE**2).ravel()
        n_hours = max(1, self.interval_ms // HOUR_MS)
        first = (open_time_ms // HOUR_MS + _THURSDAY) % _HOURS_OF_WEEK
        wrapped = np.concatenate([[0.0], np.cumsum(np.tile(variance, 2))])
        if n_hours >= _HOURS_OF_WEEK:
            return np.full(len(open_time_ms), np.sqrt(variance.mean()))
        return np.sqrt((wrapped[first + n_hours] - wrapped[first]) / n_hours)


def stationary_regimes(dynamics: Dynamics, /) -> np.ndarray:
    """Return the (3,) share of bars that each regime has in the long run."""
    values, vectors = np.linalg.eig(dynamics.regime_step.T)
    share = np.abs(vectors[:, np.argmax(values.real)].real)
    return share / share.sum()


def regime_path(dynamics: Dynamics, uniform: np.ndarray, /) -> np.ndarray:
    """Return the (n,) int8 regime of each bar, the first drawn from the stationary law."""
    return _walk_regimes(uniform, np.cumsum(stationary_regimes(dynamics)), np.cumsum(dynamics.regime_step, axis=1))


def fast_path(dynamics: Dynamics, normal: np.ndarray, /) -> np.ndarray:
    """Return the (n,) fast part of log-volatility, stationary from the first bar on."""
    keep = dynamics.fast_keep
    return _autoregress(normal * dynamics.fast_sd, keep, np.sqrt(1.0 - keep**2))


def autoregress(normal: np.ndarray, keep: float, /) -> np.ndarray:
    """Return an (n,) stationary first-order autoregression of unit variance."""
    return _autoregress(normal, keep, np.sqrt(1.0 - keep**2))


def tail_scale(uniform: np.ndarray, /) -> np.ndarray:
    """Return the factors that turn standard normals into fat-tailed shocks of unit variance."""
    component = np.searchsorted(np.cumsum(_TAIL_PROBABILITY)[:-1], uniform, side="right")
    return np.sqrt(_TAIL_VARIANCE)[component]


def shocks(rng: np.random.Generator, shape: tuple[int, ...], /) -> np.ndarray:
    """Return fat-tailed shocks of unit variance."""
    return tail_scale(rng.random(shape)) * rng.standard_normal(shape)


def compensator(sigma: np.ndarray, /) -> np.ndarray:
    """Return the log of the mean of exp(sigma shock): what keeps a price without drift a martingale."""
    terms = zip(_TAIL_PROBABILITY, _TAIL_VARIANCE, strict=True)
    return np.log1p(sum(share * np.expm1(0.5 * sigma**2 * variance) for share, variance in terms))


def momentum_path(shock: np.ndarray, coupling: np.ndarray, /) -> tuple[np.ndarray, np.ndarray]:
    """Return standardised returns with their drift, and the momentum at each close.

    Parameters
    ----------
    shock, coupling : np.ndarray
        (n,) shocks of unit variance, and the greatest drift of each bar.

    Returns
    -------
    tuple of np.ndarray
        (n,) standardised returns `z[t] = coupling[t] tanh(momentum[t-1]) + shock[t]`, and (n,) momentum: past
        `z` weighted exponentially with a half-life of 24 bars, of unit variance where nothing drifts.
    """
    return _walk_momentum(shock, coupling)


def bridge_extremes(
    log_return: np.ndarray, deviation: np.ndarray, uniform_up: np.ndarray, uniform_down: np.ndarray, /
) -> tuple[np.ndarray, np.ndarray]:
    """Return the highest and lowest log-price within a bar, counted from its open.

    Notes
    -----
    A Brownian bridge from 0 to r with variance v exceeds m with probability exp(-2 m (m - r) / v), which is
    inverted here. The two extremes are drawn independently: each has its exact law, their dependence given r
    is left out.
    """
    variance2 = 2.0 * deviation**2
    high = 0.5 * (log_return + np.sqrt(log_return**2 - variance2 * np.log1p(-uniform_up)))
    low = 0.5 * (log_return - np.sqrt(log_return**2 - variance2 * np.log1p(-uniform_down)))
    return high, low


# ------------------------------------------------------------------------------------


@numba.njit(cache=True, nogil=True)
def _walk_regimes(uniform, before, cumulative):
    out = np.empty(len(uniform), np.int8)
    row = before
    for t in range(len(uniform)):
        regime = 0
        while regime < 2 and uniform[t] >= row[regime]:
            regime += 1
        out[t] = regime
        row = cumulative[regime]
    return out


@numba.njit(cache=True, nogil=True)
def _autoregress(shock, keep, gain):
    out = np.empty(len(shock))
    state = shock[0]
    out[0] = state
    for t in range(1, len(shock)):
        state = keep * state + gain * shock[t]
        out[t] = state
    return out


@numba.njit(cache=True, nogil=True)
def _walk_momentum(shock, coupling):
    z = np.empty(len(shock))
    momentum = np.empty(len(shock))
    state = 0.0
    for t in range(len(shock)):
        z[t] = coupling[t] * np.tanh(state) + shock[t]
        state = MOMENTUM_KEEP * state + MOMENTUM_GAIN * z[t]
        momentum[t] = state
    return z, momentum
