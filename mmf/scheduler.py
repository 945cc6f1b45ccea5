"""Adaptive training scheduler: how much training the market of the moment deserves, and when to train anew."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Self, TypeGuard

import numpy as np

from mmf.errors import CallError, DataError
from mmf.rows import TrainingRows

BASE_ESTIMATORS = 200
BASE_EPOCHS = 25

RECENT_ROWS = 24  # one day of hourly bars: one bar's entropy is too nervous to train by
WILD_LOSS_SPREAD = 0.10  # spread of validation losses at which the full allowance for instability is given
SHARPE_DROP = 0.20


@dataclass(frozen=True, slots=True)
class Effort:
    """How long to train.

    Attributes
    ----------
    n_estimators : int
        Trees of a boosted ensemble.
    epochs : int
        Passes over the rows for what is trained by gradient descent.
    """

    n_estimators: int = BASE_ESTIMATORS
    epochs: int = BASE_EPOCHS

    def __post_init__(self) -> None:
        if self.n_estimators < 1 or self.epochs < 1:
            raise CallError(f"{self} trains nothing. Give at least one estimator and one epoch.")

    def as_dict(self) -> dict[str, int]:
        """Return `{"n_estimators": ..., "epochs": ...}`."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class MarketState:
    """What the scheduler looks at; an undefined figure is None and changes nothing.

    Attributes
    ----------
    entropy, entropy_p10, entropy_p90 : float or None
        Recent entropy_200 and two percentiles of its training distribution, each in 0..1.
    volatility_ratio : float or None
        Recent volatility_20 divided by its training median.
    loss_spread : float or None
        Standard deviation of recent validation losses divided by their mean.
    """

    entropy: float | None = None
    entropy_p10: float | None = None
    entropy_p90: float | None = None
    volatility_ratio: float | None = None
    loss_spread: float | None = None

    def as_dict(self) -> dict[str, float | None]:
        """Return the state as JSON takes it; `MarketState(**state.as_dict())` gives it back."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Recommendation:
    """An effort, and in words why."""

    effort: Effort
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SchedulerMemory:
    """What the scheduler remembers from one training to the next.

    Attributes
    ----------
    validation_losses : tuple of float
        Log-losses of past trainings, oldest first.
    reference_sharpe : float or None
        Rolling Sharpe ratio when the model now in use was trained.
    """

    validation_losses: tuple[float, ...] = field(default=())
    reference_sharpe: float | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return the memory as JSON takes it."""
        return {
            "validation_losses": list(self.validation_losses),
            "reference_sharpe": self.reference_sharpe,
        }

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any], /) -> Self:
        """Read what `as_dict` wrote.

        Raises
        ------
        DataError
            A key is absent or unknown, or a value is not a number.
        """
        try:
            losses, sharpe = stored["validation_losses"], stored["reference_sharpe"]
            memory = cls(tuple(float(loss) for loss in losses), None if sharpe is None else float(sharpe))
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(f"the scheduler's memory is not readable: {error!r}. Delete it and train.") from error
        if unknown := set(stored) - set(memory.as_dict()):
            raise DataError(f"the scheduler's memory holds unknown keys {sorted(unknown)}. Delete it and train.")
        return memory


def market_state(rows: TrainingRows, /, *, validation_losses: Sequence[float] = ()) -> MarketState:
    """Read the state of the market off the training rows.

    Parameters
    ----------
    rows : TrainingRows
        With the columns entropy_200 and volatility_20. "Recent" is the mean of the last 24 rows of
        each symbol, the training distribution is that of all rows; undefined values are left out of both.
    validation_losses : sequence of float
        Log-losses of past trainings; their spread needs at least two.
    """
    entropy, volatility = rows.matrix(("entropy_200", "volatility_20")).astype(np.float64).T
    is_recent = np.zeros(len(rows), bool)
    for code in range(len(rows.symbols)):
        is_recent[np.flatnonzero(rows.symbol == code)[-RECENT_ROWS:]] = True
    recent, median = _mean(volatility[is_recent]), _quantile(volatility, 0.5)
    return MarketState(
        entropy=_mean(entropy[is_recent]),
        entropy_p10=_quantile(entropy, 0.1),
        entropy_p90=_quantile(entropy, 0.9),
        volatility_ratio=recent / median if recent is not None and median else None,
        loss_spread=_spread(validation_losses),
    )


def recommend(state: MarketState, /) -> Recommendation:
    """Scale the base effort of 200 estimators and 25 epochs by the state of the market.

    Entropy above its training 90th percentile asks for half as much again, below the 10th for less
    (x0.7 estimators, x0.85 epochs). Volatility over 1.25 of its training median asks for x1.2
    estimators, under 0.75 for x0.9. Unstable validation losses add up to 20 % to both. Halves are
    rounded up.

    Examples
    --------
    >>> calm_but_disordered = MarketState(0.8, 0.5, 0.7, volatility_ratio=0.6)
    >>> recommend(calm_but_disordered).effort.as_dict()
    {'n_estimators': 270, 'epochs': 38}
    """
    changes = [*_entropy_change(state), *_volatility_change(state), *_instability_change(state)]
    estimators, epochs = float(BASE_ESTIMATORS), float(BASE_EPOCHS)
    for estimators_factor, epochs_factor, _ in changes:
        estimators *= estimators_factor
        epochs *= epochs_factor
    return Recommendation(
        effort=Effort(_half_up(estimators), _half_up(epochs)),
        reasons=tuple(reason for _, _, reason in changes) or ("the market is within its usual range",),
    )


def non_overlapping(open_time_ms: np.ndarray, /, *, horizon_ms: int) -> np.ndarray:
    """Return the indices of rows at least one horizon apart, greedily from the first.

    Parameters
    ----------
    open_time_ms : np.ndarray
        (n,) int64, strictly increasing.
    horizon_ms : int
        Length of the label's horizon: returns over it overlap for rows closer than that.
    """
    if horizon_ms <= 0:
        raise CallError(f"horizon_ms is {horizon_ms}; expected a positive number of milliseconds.")
    chosen, place = [], 0
    while place < len(open_time_ms):
        chosen.append(place)
        place = int(np.searchsorted(open_time_ms, open_time_ms[place] + horizon_ms))
    return np.array(chosen, dtype=np.int64)


def rolling_sharpe(returns: np.ndarray, /, *, window: int = 30) -> np.ndarray:
    """Mean over standard deviation (ddof 1) of each `window` consecutive returns, not annualised.

    Parameters
    ----------
    returns : np.ndarray
        (n,) returns of non-overlapping horizons of out-of-sample predictions, 0 where flat.
    window : int
        Returns in a ratio, at least 2.

    Returns
    -------
    np.ndarray
        (n,) float64; NaN for the first `window - 1` and where all returns of a window are equal.
    """
    if window < 2:
        raise CallError(f"window is {window}; a Sharpe ratio needs at least 2 returns.")
    sharpe = np.full(len(returns), np.nan)
    if len(returns) >= window:
        views = np.lib.stride_tricks.sliding_window_view(np.asarray(returns, np.float64), window)
        mean, deviation = views.mean(axis=1), views.std(axis=1, ddof=1)
        varied = np.ptp(views, axis=1) > 0  # equal numbers have a rounding error for a deviation
        sharpe[window - 1 :][varied] = mean[varied] / deviation[varied]
    return sharpe


def should_retrain(*, reference: float | None, current: float | None, drop: float = SHARPE_DROP) -> tuple[bool, str]:
    """Say whether the rolling Sharpe ratio has fallen by `drop` of its reference, and why.

    Parameters
    ----------
    reference, current : float or None
        Rolling Sharpe ratio at the last training and now; None or NaN where undefined.
    drop : float
        Share of the reference's size; a negative reference is measured by its size too.
    """
    if not (_is_number(reference) and _is_number(current)):
        return False, "the rolling Sharpe ratio is not defined yet"
    limit = reference - drop * abs(reference)
    fallen = current < limit or math.isclose(current, limit, rel_tol=1e-12)
    verb = "is down to" if fallen else "is at"
    return fallen, f"the rolling Sharpe ratio {verb} {current:.3f}; retrain at {limit:.3f} (it was {reference:.3f})"


# ------------------------------------------------------------------------------------

_Change = tuple[float, float, str]  # factor for estimators, factor for epochs, reason


def _entropy_change(state: MarketState) -> list[_Change]:
    if not (_is_number(state.entropy) and _is_number(state.entropy_p10) and _is_number(state.entropy_p90)):
        return []
    if state.entropy > state.entropy_p90:
        reason = f"entropy {state.entropy:.3f} is above its training 90th percentile {state.entropy_p90:.3f}"
        return [(1.5, 1.5, reason)]
    if state.entropy < state.entropy_p10:
        reason = f"entropy {state.entropy:.3f} is below its training 10th percentile {state.entropy_p10:.3f}"
        return [(0.7, 0.85, reason)]
    return []


def _volatility_change(state: MarketState) -> list[_Change]:
    if not _is_number(state.volatility_ratio) or 0.75 <= state.volatility_ratio <= 1.25:
        return []
    reason = f"volatility is {state.volatility_ratio:.2f} times its training median"
    return [(1.2 if state.volatility_ratio > 1.25 else 0.9, 1.0, reason)]


def _instability_change(state: MarketState) -> list[_Change]:
    if not _is_number(state.loss_spread) or state.loss_spread <= 0:
        return []
    factor = 1.0 + 0.2 * min(1.0, state.loss_spread / WILD_LOSS_SPREAD)
    return [(factor, factor, f"validation losses vary by {state.loss_spread:.1%} of their mean")]


def _half_up(value: float) -> int:
    return math.floor(value + 0.5)  # round() would take 26.5 down to the even number


def _is_number(value: float | None) -> TypeGuard[float]:
    return value is not None and math.isfinite(value)


def _mean(values: np.ndarray) -> float | None:
    defined = values[np.isfinite(values)]
    return float(defined.mean()) if len(defined) else None


def _quantile(values: np.ndarray, share: float) -> float | None:
    defined = values[np.isfinite(values)]
    return float(np.quantile(defined, share)) if len(defined) else None


def _spread(losses: Sequence[float]) -> float | None:
    defined = np.array([loss for loss in losses if math.isfinite(loss)])
    if len(defined) < 2 or defined.mean() <= 0:
        return None
    return float(defined.std(ddof=1) / defined.mean())
