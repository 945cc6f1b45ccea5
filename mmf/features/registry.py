"""Feature sets: which columns there are, in which order, and the hash of their definitions."""

import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mmf.bars import VALUE_COLUMNS
from mmf.errors import CallError
from mmf.features import chaos, hashing, momentum, price, statistics, trend, volatility, volume
from mmf.features.record import Computation, Feature
from mmf.features.selection import by_family, select
from mmf.features.stationary import stationary
from mmf.features.user import FAMILY
from mmf.features.user_file import load_features

__all__ = ["SETS", "Computation", "Feature", "FeatureSet", "UserFeatures", "feature_set", "known_features"]


@dataclass(frozen=True)
class UserFeatures:
    """What a configuration says of features beyond those of MMF.

    Attributes
    ----------
    file : Path, optional
        Python file with features; see `mmf.features.user_file.load_features`.
    sets : tuple of (str, tuple of str)
        Named selections; see `mmf.features.selection.select`.
    """

    file: Path | None = None
    sets: tuple[tuple[str, tuple[str, ...]], ...] = ()


@dataclass(frozen=True)
class FeatureSet:
    """Features in canonical order.

    Attributes
    ----------
    name : str
        Name of the set, such as `core`.
    features : tuple of Feature
        One record a column.
    user : UserFeatures
        Where features that are not MMF's come from. A set whose features can all be found there or in MMF pickles as
        names and is looked up again in the other process; another one pickles its records.

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
    user: UserFeatures = field(default=UserFeatures(), compare=False)

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
                "tolerance": feature.tolerance,
                "hash": hashing.feature_hash(feature),
            }
            for feature in self.features
        ]

    def __reduce__(self) -> tuple[Any, ...]:
        known = {feature.name: feature for feature in known_features(self.user)}
        if all(known.get(feature.name) == feature for feature in self.features):
            return _found_again, (self.name, self.columns, self.user, self.definition_hash)
        return FeatureSet, (self.name, self.features, self.user)


_CORE = (
    *price.FEATURES,
    *volatility.FEATURES,
    *momentum.FEATURES,
    *trend.FEATURES,
    *volume.FEATURES,
    *statistics.FEATURES,
    *chaos.FEATURES,
)
SETS: Mapping[str, tuple[Feature, ...]] = {"core": _CORE, "core_stationary": stationary(_CORE)}
_OF_MMF = tuple(dict.fromkeys(feature for features in SETS.values() for feature in features))


def known_features(user: UserFeatures = UserFeatures(), /) -> tuple[Feature, ...]:
    """Return MMF's features and, behind them, those of the user's file.

    Raises
    ------
    CallError
        The file does not load, or takes a name that MMF has given.
    """
    if user.file is None:
        return _OF_MMF
    own = load_features(user.file)
    taken = {feature.name for feature in _OF_MMF}
    for feature in own:
        if feature.name in taken:
            raise CallError(
                f"{user.file.name}: MMF has a feature {feature.name!r} already (mmf features show {feature.name}). "
                "Call yours something else."
            )
    return _OF_MMF + own


def known_sets(user: UserFeatures = UserFeatures(), /) -> dict[str, tuple[Feature, ...]]:
    """Return every named set; `user` holds the features of the user's file.

    A family in a selection stands for its columns in `core` and in the user's file.

    Raises
    ------
    CallError
        A set takes a name that MMF has given, or selects nothing.
    """
    known = known_features(user)
    own = () if user.file is None else load_features(user.file)
    families = by_family((*_CORE, *own))
    sets = dict(SETS) if user.file is None else {**SETS, FAMILY: own}
    for name, wanted in user.sets:
        if name in sets or not is_set_name(name):
            raise CallError(
                f"feature set {name!r}: choose a name in lower snake case other than {', '.join(sets)}, without the "
                "ending _lagged."
            )
        sets[name] = select(wanted, known, families | sets, what=f"feature set {name!r}")
    return sets


def feature_set(name: str, user: UserFeatures = UserFeatures(), /) -> FeatureSet:
    """Look a feature set up by name.

    Parameters
    ----------
    name : str
        `core`, `core_stationary`, or one of `user`.
    user : UserFeatures
        Features and sets beyond those of MMF.

    Raises
    ------
    CallError
        There is no set of this name; the message lists those that exist.
    """
    sets = known_sets(user)
    if name not in sets:
        raise CallError(f"feature set {name!r} does not exist. There are: {', '.join(sorted(sets))}.")
    return _feature_set(name, sets[name], user)


def is_set_name(name: str, /) -> bool:
    """Whether a set may be called so: the name becomes a table version and a view in SQL."""
    is_view = name.endswith("_lagged") or re.search(r"_context_[a-z0-9]+$", name)
    return re.fullmatch(r"[a-z][a-z0-9_]{0,39}", name) is not None and not is_view


# ------------------------------------------------------------------------------------


@functools.lru_cache(maxsize=64)
def _feature_set(name: str, features: tuple[Feature, ...], user: UserFeatures) -> FeatureSet:
    """One object for equal sets, which hashes its definitions once."""
    return FeatureSet(name, features, user)


def _found_again(name: str, columns: tuple[str, ...], user: UserFeatures, definition_hash: str) -> FeatureSet:
    """Rebuild a set in another process."""
    known = {feature.name: feature for feature in known_features(user)}
    missing = [column for column in columns if column not in known]
    found = None if missing else _feature_set(name, tuple(known[column] for column in columns), user)
    if found is None or found.definition_hash != definition_hash:
        raise CallError(f"the features of set {name!r} have changed since the work began: {user.file}. Start it again.")
    return found
