"""Statistics of the close over a window: mean, deviation, skewness, kurtosis and standard score."""

import numpy as np

from mmf.features.kernels.window_statistics import window_statistics
from mmf.features.record import Computation, Feature

STATISTICS_WINDOWS = (20, 24, 50, 100)


def rolling_statistics(close: np.ndarray, /, *, windows: tuple[int, ...]) -> dict[str, np.ndarray]:
    """Return mean, standard deviation, skewness, kurtosis and standard score of the last W closes.

    Notes
    -----
    The deviation is that of a sample (ddof 1); skewness and excess kurtosis are the estimators free of bias in a
    normal sample (Joanes and Gill 1998, G1 and G2), as pandas has them. Where all closes are equal the deviation is 0
    and neither shape nor score is defined.
    """
    offset, deviation, skewness, kurtosis = window_statistics(close, np.array(windows))
    columns = {}
    for j, w in enumerate(windows):
        columns[f"rolling_mean_{w}"] = close + offset[j]
        columns[f"rolling_std_{w}"] = deviation[j]
        columns[f"skew_{w}"] = skewness[j]
        columns[f"kurtosis_{w}"] = kurtosis[j]
        with np.errstate(invalid="ignore"):
            columns[f"zscore_{w}"] = -offset[j] / deviation[j]
    return columns


_STATISTICS = Computation.kernel(rolling_statistics, "close", windows=STATISTICS_WINDOWS)

FEATURES = (
    *(
        Feature(
            name=f"rolling_mean_{w}",
            family="statistics",
            unit="price",
            description=f"Mean of the last {w} closes.",
            oracle="pandas rolling mean",
            undefined=f"first {w - 1} rows",
            computation=_STATISTICS,
            lookback=w - 1,
        )
        for w in STATISTICS_WINDOWS
    ),
    *(
        Feature(
            name=f"rolling_std_{w}",
            family="statistics",
            unit="price",
            description=f"Standard deviation (ddof 1) of the last {w} closes.",
            oracle="pandas rolling std",
            undefined=f"first {w - 1} rows",
            computation=_STATISTICS,
            lookback=w - 1,
        )
        for w in STATISTICS_WINDOWS
    ),
    *(
        Feature(
            name=f"skew_{w}",
            family="statistics",
            unit="ratio",
            description=f"Skewness of the last {w} closes, adjusted for the size of the sample (G1).",
            oracle="pandas rolling skew",
            undefined=f"first {w - 1} rows; all {w} closes equal",
            computation=_STATISTICS,
            lookback=w - 1,
        )
        for w in STATISTICS_WINDOWS
    ),
    *(
        Feature(
            name=f"kurtosis_{w}",
            family="statistics",
            unit="ratio",
            description=f"Excess kurtosis of the last {w} closes, adjusted for the size of the sample (G2); normal 0.",
            oracle="pandas rolling kurt",
            undefined=f"first {w - 1} rows; all {w} closes equal",
            computation=_STATISTICS,
            lookback=w - 1,
        )
        for w in STATISTICS_WINDOWS
    ),
    *(
        Feature(
            name=f"zscore_{w}",
            family="statistics",
            unit="deviations",
            description=f"(close - mean) / deviation, with mean and deviation (ddof 1) of the last {w} closes.",
            oracle="pandas rolling mean and std",
            undefined=f"first {w - 1} rows; all {w} closes equal",
            computation=_STATISTICS,
            lookback=w - 1,
        )
        for w in STATISTICS_WINDOWS
    ),
)
