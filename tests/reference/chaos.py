"""Slow twins of the chaos kernels, and noise of known Hurst exponent."""

import importlib.util
from pathlib import Path
from types import ModuleType

import numpy as np
import scipy.stats


def nolds_measures() -> ModuleType:
    """The module of nolds that holds `hurst_rs`.

    It is loaded by itself: importing the package reads data sets in a way that fails on some Pythons.
    """
    package = importlib.util.find_spec("nolds")
    path = Path(package.origin).with_name("measures.py")
    spec = importlib.util.spec_from_file_location("nolds_measures", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def hurst(returns: np.ndarray) -> float:
    """Hurst exponent of one window of log-returns by nolds."""
    sizes = [n for n in range(10, len(returns) + 1) if len(returns) % n == 0]
    return nolds_measures().hurst_rs(returns, nvals=sizes, fit="poly", corrected=True, unbiased=True)


def entropy(returns: np.ndarray) -> float:
    """Entropy of one window of log-returns by numpy and scipy; NaN for a constant one."""
    if returns.max() - returns.min() < 1e-12:
        return np.nan
    return scipy.stats.entropy(np.histogram(returns, bins=50)[0]) / np.log(50)


def fdi(log_price: np.ndarray) -> float:
    """Fractal dimension of one window of log-prices by the madogram; NaN where a mean difference is zero."""
    means = [np.mean(np.abs(log_price[k:] - log_price[:-k])) for k in range(1, 9)]
    if min(means) < 1e-14:
        return np.nan
    return 2 - np.polyfit(np.log(np.arange(1, 9)), np.log(means), 1)[0]


def fractional_noise(hurst_exponent: float, n: int, *, seed: int) -> np.ndarray:
    """Fractional Gaussian noise, exact in distribution (Davies and Harte 1987)."""
    k = np.arange(n + 1)
    power = 2 * hurst_exponent
    covariance = 0.5 * (np.abs(k - 1.0) ** power - 2 * k**power + (k + 1.0) ** power)
    eigenvalues = np.fft.fft(np.concatenate([covariance, covariance[-2:0:-1]])).real
    rng = np.random.default_rng(seed)
    m = 2 * n
    half = rng.normal(size=n + 1) + 1j * rng.normal(size=n + 1)
    half[[0, n]] = half[[0, n]].real * np.sqrt(2)
    spectrum = np.concatenate([half, np.conj(half[-2:0:-1])]) * np.sqrt(np.maximum(eigenvalues, 0) / (2 * m))
    return np.fft.fft(spectrum).real[:n]


def entropy_sigma(returns: np.ndarray) -> float:
    """Entropy of one window in bins over its mean -+ 4 deviations by numpy and scipy; NaN for a constant one."""
    mean, deviation = returns.mean(), returns.std(ddof=1)
    if deviation < 1e-12:
        return np.nan
    ends = mean - 4 * deviation, mean + 4 * deviation
    return scipy.stats.entropy(np.histogram(np.clip(returns, *ends), 50, range=ends)[0]) / np.log(50)
