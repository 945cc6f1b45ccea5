"""Where feature versions come from: what registers one, and which code can compute it."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed_version

from mmf.features.registry import FeatureSet, UserFeatures, feature_set, known_sets
from warehouse import Version, Warehouse

PACKAGES = ("money-machine-framework", "numpy", "polars", "numba", "llvmlite")
MMF_ONLY = UserFeatures()


def register(warehouse: Warehouse, features: FeatureSet, /) -> str:
    """Return the version of a feature set, such as `core@v3`: the one that has its definitions, or a new one.

    A new version keeps the definitions, the time, and the versions of the packages at work; its predecessor is the
    version that was the newest until then. Nothing of it changes afterwards.
    """
    packages = {name: found for name in PACKAGES if (found := _installed(name))}
    number = warehouse.register_version(
        features.name, features.definition_hash, features.definitions(), packages=packages
    )
    return f"{features.name}@v{number}"


@contextmanager
def registered(warehouse: Warehouse, sets: Sequence[FeatureSet], /) -> Iterator[list[str]]:
    """Register feature sets for a build, and take back those that are new where it fails before its first chunk.

    A version stays where another build of its set is at work, which may be about to write the first file of it.
    """
    with ExitStack() as held:
        set_names = sorted({features.name for features in sets})
        is_alone = {name: held.enter_context(warehouse.using_versions(name)) for name in set_names}
        known = {version.name for version in warehouse.versions()}
        names: list[str] = []
        try:
            names += [register(warehouse, features) for features in sets]
            yield names
        except BaseException:
            for name in reversed([name for name in dict.fromkeys(names) if name not in known]):
                set_name, _, number = name.partition("@v")
                if is_alone[set_name]():
                    warehouse.forget_version(set_name, int(number))
            raise


def code_matches(version: Version, user: UserFeatures = MMF_ONLY, /) -> bool:
    """Whether the code at hand computes exactly this version; where it does not, the version is read-only."""
    features = features_of_code(version.set_name, user)
    return features is not None and features.definition_hash == version.definition_hash


def needed_code(version: Version, user: UserFeatures = MMF_ONLY, /) -> str:
    """Say which code a version needs, and how the code at hand differs: for who cannot compute it any more."""
    registered = f"{version.created_at:%Y-%m-%d %H:%M} UTC"
    packages = ", ".join(f"{name} {number}" for name, number in version.packages.items()) or "unknown packages"
    features = features_of_code(version.set_name, user)
    if features is None:
        how = f"there is no feature set {version.set_name} now"
    else:
        changed = changed_definitions(version.definitions, features.definitions())
        how = "; ".join(f"{what} since: {_listed(names)}" for what, names in changed.items() if names)
    return (
        f"{version.name} was registered on {registered} by {packages}, with the definitions "
        f"{version.definition_hash[:12]}. {how or 'its columns stand in another order'}."
    )


def features_of_code(set_name: str, user: UserFeatures = MMF_ONLY, /) -> FeatureSet | None:
    """Return a set as the code at hand defines it, None where it knows no set of this name."""
    return feature_set(set_name, user) if set_name in known_sets(user) else None


def changed_definitions(old: list[dict], new: list[dict], /) -> dict[str, list[str]]:
    """Return the names of the features that were `added`, `removed` and `changed` between two lists of definitions."""
    before, after = ({one["name"]: one["hash"] for one in definitions} for definitions in (old, new))
    return {
        "added": [name for name in after if name not in before],
        "removed": [name for name in before if name not in after],
        "changed": [name for name in after if name in before and after[name] != before[name]],
    }


# ------------------------------------------------------------------------------------

_N_LISTED = 5


def _installed(package: str) -> str | None:
    try:
        return installed_version(package)
    except PackageNotFoundError:  # run from a source tree that was never installed
        return None


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - _N_LISTED} more" if len(names) > _N_LISTED else ""
    return ", ".join(names[:_N_LISTED]) + more
