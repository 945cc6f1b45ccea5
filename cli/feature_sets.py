"""Which feature set a command works on: MMF's, or one of the user's from mmf.toml."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.settings import Settings

if TYPE_CHECKING:
    from mmf.features.registry import FeatureSet, UserFeatures

SetOption = Annotated[str | None, typer.Option("--set", help="Feature set (default: core).")]


def chosen_set(settings: Settings, name: str | None = None, /) -> "FeatureSet":
    """Return the set that the flag names, else the one of mmf.toml, else core."""
    from mmf.features.registry import feature_set

    return feature_set(settings.pick("features.set", name, "core"), user_features(settings))


def code_hash(settings: Settings, text: str, /) -> str | None:
    """Definition hash of the set that a table state such as core@v3 names, as the code at hand has it."""
    from mmf.features.registry import feature_set, known_sets

    user, name = user_features(settings), text.partition("@")[0]
    return feature_set(name, user).definition_hash if name in known_sets(user) else None


def user_features(settings: Settings, /) -> "UserFeatures":
    """What mmf.toml says of features and sets of one's own; a relative path starts at the folder of mmf.toml."""
    from mmf.features.registry import UserFeatures

    file = settings.values.get("features.file")
    sets = settings.values.get("features.sets", {})
    return UserFeatures(
        None if file is None else (settings.path.parent / Path(file).expanduser()).resolve(),
        tuple((name, tuple(wanted)) for name, wanted in sets.items()),
    )
