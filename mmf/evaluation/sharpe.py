"""Sharpe ratios after many trials: how good the best of N worthless strategies looks, and what is left beyond."""

from itertools import combinations

import numpy as np
from scipy.stats import kurtosis, norm, rankdata, skew

from mmf.errors import DataError


def expected_best_sharpe(variance: float, n_trials: int, /) -> float:
    """Return the Sharpe ratio that the best of `n_trials` strategies without skill is expected to show.

    Parameters
    ----------
    variance : float
        Of the trials' Sharpe ratios, in the unit of the result squared.
    n_trials : int
        Independent trials. One trial expects nothing: 0.

    Notes
    -----
    Equation 1 of D. H. Bailey and M. Lopez de Prado, The deflated Sharpe ratio, Journal of Portfolio Management 40(5),
    2014.

    Examples
    --------
    >>> round(expected_best_sharpe(0.5 / 250, 100), 4)
    0.1132
    """
    if n_trials < 2:
        return 0.0
    highest = norm.ppf(1 - 1 / n_trials)
    beyond = norm.ppf(1 - 1 / (n_trials * np.e))
    return float(np.sqrt(variance) * ((1 - np.euler_gamma) * highest + np.euler_gamma * beyond))


def probabilistic_sharpe(sharpe: float, /, *, above: float, n: int, skew: float, kurtosis: float) -> float:
    """Return the probability that the true Sharpe ratio exceeds `above`.

    Parameters
    ----------
    sharpe, above : float
        Observed and compared ratio, of one period: not annualised.
    n : int
        Periods observed.
    skew, kurtosis : float
        Of the returns; 0 and 3 for normal ones.

    Examples
    --------
    The example of the paper: a ratio of 2.5 a year over five years of 250 days, the best of 100 trials.

    >>> best = expected_best_sharpe(0.5 / 250, 100)
    >>> round(probabilistic_sharpe(2.5 / 250**0.5, above=best, n=1250, skew=-3, kurtosis=10), 4)
    0.9004
    """
    spread = 1 - skew * sharpe + (kurtosis - 1) / 4 * sharpe**2
    if spread <= 0:  # no distribution has these moments
        return 0.0
    return float(norm.cdf((sharpe - above) * np.sqrt(n - 1) / np.sqrt(spread)))


def deflated_sharpe(returns: np.ndarray, /, *, n_trials: int, trial_variance: float | None = None) -> float | None:
    """Return the probability that a strategy's Sharpe ratio exceeds that of the best of `n_trials` without skill.

    Parameters
    ----------
    returns : np.ndarray
        (n,) returns of one period each, free of overlap: of trades, or of days; returns bar by bar within one
        position are fine, they do not overlap either.
    n_trials : int
        Trials of which this one was chosen, itself included.
    trial_variance : float, optional
        Variance of the trials' Sharpe ratios of one period; 1 / (n - 1), that of a strategy without skill, where it is
        not known.

    Returns
    -------
    float or None
        None where the returns do not vary.
    """
    n, spread = len(returns), float(np.std(returns, ddof=1)) if len(returns) > 1 else 0.0
    if n < 3 or spread == 0:
        return None
    best = expected_best_sharpe(1 / (n - 1) if trial_variance is None else trial_variance, n_trials)
    return probabilistic_sharpe(
        float(returns.mean() / spread),
        above=best,
        n=n,
        skew=float(skew(returns)),
        kurtosis=float(kurtosis(returns, fisher=False)),
    )


def overfitting_probability(returns: np.ndarray, /, *, n_blocks: int = 10) -> float:
    """Return how often the trial that is best in one half of the time is below the median in the other half.

    Parameters
    ----------
    returns : np.ndarray
        (n, trials) returns of the same periods.
    n_blocks : int
        Even count of blocks that time is cut into; every half of them is once in-sample.

    Raises
    ------
    DataError
        Fewer than two trials, or fewer periods than blocks.

    Notes
    -----
    Combinatorially symmetric cross-validation: D. H. Bailey, J. Borwein, M. Lopez de Prado and Q. J. Zhu, The
    probability of backtest overfitting, Journal of Computational Finance 20(4), 2017. Trials are ranked by their
    Sharpe ratio.
    """
    n, n_trials = returns.shape
    if n_trials < 2 or n < 2 * n_blocks:
        raise DataError(
            f"the probability of overfitting compares trials over {2 * n_blocks} periods and more, got {n_trials} "
            f"trials of {n}. Train more than once on the same series."
        )
    blocks = np.array_split(np.arange(n), n_blocks)
    halves = list(combinations(range(n_blocks), n_blocks // 2))
    n_below = 0
    for half in halves:
        is_inside = np.isin(np.arange(n_blocks), half)
        inside = np.concatenate([block for block, is_in in zip(blocks, is_inside, strict=True) if is_in])
        outside = np.concatenate([block for block, is_in in zip(blocks, is_inside, strict=True) if not is_in])
        best = int(np.argmax(_sharpes(returns[inside])))
        rank = rankdata(_sharpes(returns[outside]))[best] / (n_trials + 1)
        n_below += rank <= 0.5
    return n_below / len(halves)


# ------------------------------------------------------------------------------------


def _sharpes(returns: np.ndarray) -> np.ndarray:
    """(trials,) ratios; 0 for a trial that does not trade."""
    spread = returns.std(axis=0, ddof=1)
    return np.divide(returns.mean(axis=0), spread, out=np.zeros(returns.shape[1]), where=spread > 0)
