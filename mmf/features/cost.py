"""What columns cost to compute, measured here and now."""

import time
from dataclasses import dataclass

import polars as pl

from mmf.features.build import compute_columns
from mmf.features.record import Computation, Feature
from mmf.features.registry import FeatureSet


@dataclass(frozen=True)
class Cost:
    """What one computation takes.

    Attributes
    ----------
    us_per_bar : float
        Microseconds of processor time a bar, all its columns together.
    n_columns : int
        Columns that share it.
    """

    us_per_bar: float
    n_columns: int

    @property
    def of_one(self) -> float:
        """A column's share."""
        return self.us_per_bar / self.n_columns


def measured_cost(features: FeatureSet, bars: pl.DataFrame, /, *, repeats: int = 3) -> dict[str, Cost]:
    """Time the computations of a set on one thread's clock.

    Parameters
    ----------
    features : FeatureSet
        Columns to time; those of one computation are timed together.
    bars : pl.DataFrame
        Bars of one series, some ten thousand, so that what a call costs by itself does not count.
    repeats : int
        The fastest of so many counts; the first call may compile a kernel and is none of them.

    Returns
    -------
    dict of str to Cost
        One a column, in the order of the set.
    """
    groups: dict[Computation, list[Feature]] = {}
    for feature in features.features:
        groups.setdefault(feature.computation, []).append(feature)
    costs: dict[str, Cost] = {}
    for group in groups.values():
        together = FeatureSet(features.name, tuple(group), features.user)
        compute_columns(together, bars, n_own=bars.height)
        seconds = min(_seconds(together, bars) for _ in range(repeats))
        costs |= {f.name: Cost(1e6 * seconds / bars.height, len(group)) for f in group}
    return {name: costs[name] for name in features.columns}


# ------------------------------------------------------------------------------------


def _seconds(features: FeatureSet, bars: pl.DataFrame) -> float:
    start = time.process_time()
    compute_columns(features, bars, n_own=bars.height)
    return time.process_time() - start
