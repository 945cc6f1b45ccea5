"""Chaos features: persistence, entropy and fractal dimension of the recent past."""

import numpy as np

from mmf.features.kernels.histogram_entropy import sliding_entropy
from mmf.features.kernels.logarithm import log, log_returns
from mmf.features.kernels.madogram import fractal_dimension
from mmf.features.kernels.rescaled_range import hurst_exponent
from mmf.features.kernels.sigma_entropy import deviation_entropy
from mmf.features.record import Computation, Feature

CHAOS_WINDOWS = (100, 200)


def hurst(close: np.ndarray, /, *, windows: tuple[int, ...]) -> dict[str, np.ndarray]:
    """Return the Hurst exponent of the last W log-returns."""
    return _named("hurst", windows, hurst_exponent(log(close), windows=windows))


def entropy(close: np.ndarray, /, *, windows: tuple[int, ...]) -> dict[str, np.ndarray]:
    """Return the Shannon entropy of the last W log-returns."""
    return _named("entropy", windows, sliding_entropy(log_returns(close), windows=windows))


def fdi(close: np.ndarray, /, *, windows: tuple[int, ...]) -> dict[str, np.ndarray]:
    """Return the fractal dimension of the last W log-prices."""
    return _named("fdi", windows, fractal_dimension(log(close), windows=windows))


def entropy_sigma(close: np.ndarray, /, *, windows: tuple[int, ...]) -> dict[str, np.ndarray]:
    """Return the Shannon entropy of the last W log-returns in bins as wide as their deviation says."""
    return _named("entropy_sigma", windows, deviation_entropy(log_returns(close), windows=windows))


# ------------------------------------------------------------------------------------


def _named(stem: str, windows: tuple[int, ...], rows: np.ndarray) -> dict[str, np.ndarray]:
    return {f"{stem}_{w}": row for w, row in zip(windows, rows, strict=True)}


_HURST = Computation.kernel(hurst, "close", windows=CHAOS_WINDOWS)
_ENTROPY = Computation.kernel(entropy, "close", windows=CHAOS_WINDOWS)
_FDI = Computation.kernel(fdi, "close", windows=CHAOS_WINDOWS)
_ENTROPY_SIGMA = Computation.kernel(entropy_sigma, "close", windows=CHAOS_WINDOWS)

FEATURES = (
    *(
        Feature(
            name=f"hurst_{w}",
            family="chaos",
            unit="exponent",
            description=f"Hurst exponent of the last {w} log-returns: rescaled range over the divisors of {w} from "
            "10 up, corrected after Anis, Lloyd and Peters. White noise 0.5.",
            oracle="nolds hurst_rs",
            undefined=f"first {w} rows; all chunks of one size without movement (range below 1e-12)",
            computation=_HURST,
            lookback=w,
        )
        for w in CHAOS_WINDOWS
    ),
    *(
        Feature(
            name=f"entropy_{w}",
            family="chaos",
            unit="0..1",
            description=f"Shannon entropy of the last {w} log-returns in 50 equal bins between their min and max, "
            "over ln 50. On real bars it follows minus kurtosis.",
            oracle="scipy.stats.entropy of numpy.histogram",
            undefined=f"first {w} rows; all {w} log-returns equal (range below 1e-12)",
            computation=_ENTROPY,
            lookback=w,
        )
        for w in CHAOS_WINDOWS
    ),
    *(
        Feature(
            name=f"fdi_{w}",
            family="chaos",
            unit="dimension",
            description=f"Fractal dimension of the last {w} log-prices by the madogram at distances 1 to 8. "
            "Line 1, random walk 1.5, white noise 2.",
            oracle="slow twin in plain Python",
            undefined=f"first {w - 1} rows; no movement at one of the distances",
            computation=_FDI,
            lookback=w - 1,
        )
        for w in CHAOS_WINDOWS
    ),
)

EXTRA_FEATURES = tuple(
    Feature(
        name=f"entropy_sigma_{w}",
        family="chaos",
        unit="0..1",
        description=f"Shannon entropy of the last {w} log-returns in 50 equal bins over their mean -+ 4 deviations "
        "(ddof 1), over ln 50; returns further out fall into the end bins.",
        oracle="scipy.stats.entropy of numpy.histogram",
        undefined=f"first {w} rows; all {w} log-returns equal (deviation below 1e-12)",
        computation=_ENTROPY_SIGMA,
        lookback=w,
    )
    for w in CHAOS_WINDOWS
)
