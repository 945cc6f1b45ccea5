"""The size of the edge in a simulated market: its Bayes AUC, and the coupling that gives one."""

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache

import numpy as np

from mmf.errors import CallError
from mmf.markets.simulated_paths import Dynamics
from mmf.markets.simulated_truth import Label, label_probability, stationary_states

_MAX_COUPLING = 0.30
_TOLERANCE = 1e-3


@lru_cache(maxsize=64)
def bayes_auc(dynamics: Dynamics, label: Label, /) -> float:
    """Return the AUC of the label's true probability, over the stationary law of the market's state.

    Notes
    -----
    A reader who knew regime, volatility and momentum exactly would score this in the long run. Bars show them
    through noise, so no model of bars scores more, except by luck on few rows.
    """
    return expected_auc(label_probability(dynamics, label, stationary_states(dynamics)))


def expected_auc(probability: np.ndarray, /) -> float:
    """Return the AUC that probabilities have against labels drawn from them; 0.5 where all are equal.

    Examples
    --------
    >>> expected_auc(np.array([0.0, 1.0])), expected_auc(np.array([0.3, 0.3]))
    (1.0, 0.5)
    """
    _, place = np.unique(probability, return_inverse=True)
    ones = np.bincount(place, probability)
    zeros = np.bincount(place, 1.0 - probability)
    below = np.cumsum(zeros) - 0.5 * zeros
    return float(ones @ below / (ones.sum() * zeros.sum()))


@lru_cache(maxsize=64)
def coupling_for(dynamics: Dynamics, label: Label, strength: float, /) -> float:
    """Return the coupling at which a market's Bayes AUC is `strength`, to 0.001.

    Raises
    ------
    CallError
        Volatility alone tells more than `strength`, or no coupling up to 0.3 reaches it.
    """

    def excess(coupling: float) -> float:
        return bayes_auc(replace(dynamics, coupling=coupling), label) - strength

    at_none, at_most = excess(0.0), excess(_MAX_COUPLING)
    if at_none > _TOLERANCE or at_most < -_TOLERANCE:
        raise CallError(
            f"strength {strength} is out of reach for bars of {dynamics.interval_ms // 60_000} minutes, horizon "
            f"{label.horizon} and hurdle {label.hurdle}: volatility alone gives a Bayes AUC of "
            f"{at_none + strength:.3f}, the strongest drift one of {at_most + strength:.3f}. "
            "Choose a strength between them, a hurdle nearer to 0, or an edge that is not planted."
        )
    return _root(excess, (0.0, at_none), (_MAX_COUPLING, at_most))


# ------------------------------------------------------------------------------------


def _root(function: Callable[[float], float], low: tuple[float, float], high: tuple[float, float]) -> float:
    """Zero of an increasing function between two of its points (regula falsi, Illinois variant)."""
    (a, f_a), (b, f_b) = low, high
    while True:
        c = (a * f_b - b * f_a) / (f_b - f_a)
        f_c = function(c)
        if abs(f_c) <= _TOLERANCE:
            return c
        if f_c < 0:
            a, f_a, f_b = c, f_c, f_b / 2
        else:
            b, f_b, f_a = c, f_c, f_a / 2
