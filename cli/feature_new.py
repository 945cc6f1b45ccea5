"""`mmf features new`: a file to start one's own features from."""

from pathlib import Path
from typing import Annotated

import typer

from cli.console import say
from cli.settings import CONFIG_FILE
from mmf.errors import CallError


def new(
    file: Annotated[Path, typer.Argument(help="Such as my_features.py.")] = Path("my_features.py"),
) -> None:
    """Write a file with features of your own to start from, and an mmf.toml that names it where there is none.

    Example: mmf features new my_features.py
    """
    from inspect import getsource

    from mmf.features import user_example
    from mmf.features.catalogue_text import EXAMPLE_SETTINGS

    if file.suffix != ".py":
        raise CallError(
            f"{file} would hold Python: give it a name that ends in .py, such as {file.with_suffix('.py')}."
        )
    if file.exists():
        raise CallError(f"{file} exists already. Choose another name.")
    if not file.parent.is_dir():
        raise CallError(f"there is no folder {file.parent}. Make it first, or choose another place.")
    file.write_text(getsource(user_example), encoding="utf-8")
    say(f"wrote {file}")
    settings = EXAMPLE_SETTINGS.replace("my_features.py", file.as_posix())
    if CONFIG_FILE.exists():
        say(f"Add to {CONFIG_FILE}:\n\n{settings}")
    else:
        CONFIG_FILE.write_text(settings, encoding="utf-8")
        say(f"wrote {CONFIG_FILE}")
    say("Next: mmf features audit --set mine --feature user")
