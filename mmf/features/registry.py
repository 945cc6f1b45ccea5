"""Feature sets: which columns there are, in which order, and the hash of their definitions."""

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mmf.bars import VALUE_COLUMNS
from mmf.errors import CallError
from mmf.features import chaos, hashing, momentum, price, trend, volatility
from mmf.features.record import Computation, Feature

__all__ = ["SETS", "Computation", "Feature", "FeatureSet", "feature_set"]


@dataclass(frozen=True)
class FeatureSet:
    """Features in canonical order.

    Attributes
    ----------
    name : str
        Name of the set, such as `core`.
    features : tuple of Feature
        One record a column.

    Raises
    ------
    CallError
        Two features share a name, or a feature reads a column that bars do not have.

    Examples
    --------
    >>> feature_set("core").columns[:2]
    ('log_return', 'log_range')
    """

    name: str
    features: tuple[Feature, ...]

    def __post_init__(self) -> None:
        if not self.features:
            raise CallError(f"feature set {self.name!r} is empty. Give it at least one feature.")
        if repeated := sorted({name for name in self.columns if self.columns.count(name) > 1}):
            raise CallError(f"feature set {self.name!r} has two features named {repeated[0]!r}.")
        for feature in self.features:
            if unknown := sorted(set(feature.inputs) - set(VALUE_COLUMNS)):
                raise CallError(f"feature {feature.name} reads {unknown[0]!r}; bars have {' '.join(VALUE_COLUMNS)}.")

    @functools.cached_property
    def columns(self) -> tuple[str, ...]:
        """Column names, in order."""
        return tuple(feature.name for feature in self.features)

    @property
    def memory(self) -> int:
        """Count of earlier bars after which every column is warm."""
        return max(feature.reach for feature in self.features)

    @property
    def inputs(self) -> tuple[str, ...]:
        """Bar columns that the set reads, in the order of the bar schema."""
        read = {name for feature in self.features for name in feature.inputs}
        return tuple(name for name in VALUE_COLUMNS if name in read)

    @functools.cached_property
    def definition_hash(self) -> str:
        """Hash of the features' definitions in order; the set's name stays out."""
        return hashing.combined_hash([hashing.feature_hash(feature) for feature in self.features])

    def definitions(self) -> list[dict[str, Any]]:
        """Return one JSON-able record a feature, its hash included."""
        return [
            {
                "name": feature.name,
                "version": feature.version,
                "family": feature.family,
                "inputs": list(feature.inputs),
                "lookback": feature.lookback,
                "memory": feature.memory,
                "unit": feature.unit,
                "description": feature.description,
                "oracle": feature.oracle,
                "undefined": feature.undefined,
                "hash": hashing.feature_hash(feature),
            }
            for feature in self.features
        ]


SETS: Mapping[str, tuple[Feature, ...]] = {
    "core": (
        *price.FEATURES,
        *volatility.FEATURES,
        *momentum.FEATURES,
        *trend.FEATURES,
        *chaos.FEATURES,
    ),
}


@functools.cache
def feature_set(name: str, /) -> FeatureSet:
    """Look a feature set up by name.

    Raises
    ------
    CallError
        There is no set of this name; the message lists those that exist.
    """
    if name not in SETS:
        raise CallError(f"feature set {name!r} does not exist. There are: {', '.join(sorted(SETS))}.")
    return FeatureSet(name, SETS[name])
