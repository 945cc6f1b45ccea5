"""Settings, resolved once: a flag wins over the environment, the environment over mmf.toml, that over the default.

Typer resolves flag and environment; this module reads the file and fills in what both left open.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from mmf.errors import CallError

CONFIG_FILE = Path("mmf.toml")
T = TypeVar("T")

_KNOWN: dict[str, dict[str, tuple[type, ...]]] = {
    "": {"warehouse": (str,), "artifacts": (str,), "seed": (int,)},
    "market": {"exchange": (str,), "category": (str,), "symbols": (list,), "interval": (str, int), "days": (int,)},
    "features": {"set": (str,), "lags": (list,)},
    "label": {
        "kind": (str,),
        "horizon": (int,),
        "hurdle": (float, int),
        "take_profit": (float, int),
        "stop_loss": (float, int),
    },
    "split": {"test_share": (float,)},
    "council": {"top_ratio": (float,), "max_features": (int,)},
}


@dataclass(frozen=True)
class Settings:
    """What mmf.toml says, by dotted name such as `market.symbols`.

    Attributes
    ----------
    path : Path
        The file that was read, or would be.
    values : dict
        Its values; empty where there is no file.
    """

    path: Path = CONFIG_FILE
    values: dict[str, Any] = field(default_factory=dict)

    def pick(self, name: str, given: T | None, default: T, /) -> T:
        """Return what was given by flag or environment, else what the file says, else the default."""
        return given if given is not None else self.values.get(name, default)

    def section(self, name: str, /) -> dict[str, Any]:
        """Return what the file says in one section."""
        return {key.partition(".")[2]: value for key, value in self.values.items() if key.startswith(f"{name}.")}


def read_settings(path: Path | None = None, /) -> Settings:
    """Read mmf.toml.

    Parameters
    ----------
    path : Path, optional
        By default `mmf.toml` in the working directory, which may be absent.

    Raises
    ------
    CallError
        A file that was asked for is absent, is not TOML, or holds an unknown name or a wrong type.
    """
    import tomllib

    if path is None and not CONFIG_FILE.exists():
        return Settings()
    path = path or CONFIG_FILE
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise CallError(f"there is no configuration file {path}. Leave out --config, or write one.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise CallError(f"{path} is not TOML: {error}. Mend the line or leave it out.") from None
    return Settings(path, dict(_flat(content, path)))


# ------------------------------------------------------------------------------------


def _flat(content: dict[str, Any], path: Path) -> list[tuple[str, Any]]:
    top = {name: value for name, value in content.items() if not isinstance(value, dict)}
    sections = {"": top} | {name: value for name, value in content.items() if isinstance(value, dict)}
    found = []
    for section, values in sections.items():
        if section not in _KNOWN:
            raise CallError(f"{path}: unknown section [{section}]. Known: {', '.join(filter(None, _KNOWN))}.")
        for name, value in values.items():
            found.append((_checked(section, name, value, path), value))
    return found


def _checked(section: str, name: str, value: object, path: Path) -> str:
    dotted = f"{section}.{name}" if section else name
    if name not in _KNOWN[section]:
        raise CallError(f"{path}: unknown name {dotted}. Known there: {', '.join(_KNOWN[section])}.")
    expected = _KNOWN[section][name]
    if not isinstance(value, expected) or isinstance(value, bool):
        kinds = " or ".join(kind.__name__ for kind in expected)
        raise CallError(f"{path}: {dotted} = {value!r} is a {type(value).__name__}, expected {kinds}.")
    return dotted
