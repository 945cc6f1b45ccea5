"""Settings, resolved once: a flag wins over the environment, the environment over mmf.toml, that over the default.

Typer resolves flag and environment; this module reads the file and fills in what both left open.
"""

import math
from dataclasses import dataclass, field
from pathlib import Path
from types import UnionType
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from mmf.errors import CallError

CONFIG_FILE = Path("mmf.toml")
T = TypeVar("T")

_KNOWN: dict[str, dict[str, Any]] = {
    "": {"warehouse": str, "artifacts": str, "seed": int},
    "market": {"exchange": str, "category": str, "symbols": list[str], "interval": str | int, "days": int},
    "urls": {"bybit": str, "binance": str, "binance_archive": str},
    "features": {"set": str, "lags": list[int], "context": list[str], "file": str, "sets": dict[str, list[str]]},
    "split": {"test_share": float},
    "trading": {"exit": Literal["label", "horizon", "barriers"], "at_once": int},
    "costs": {"fee": float, "slippage": float},
    "threshold": {"min_trades": int, "min_recall": float},
    "council": {"top_ratio": float, "max_features": int, "one_per_family": bool},
    "tensor_flex": {"use": bool},
    "experts": {"use": list[str]},
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

    def symbol(self, *, choose: str) -> str | None:
        """Return the one symbol of `market.symbols`, None where the file names none.

        Parameters
        ----------
        choose : str
            How to choose one, for the message.

        Raises
        ------
        CallError
            The file names several.
        """
        match self.values.get("market.symbols"):
            case None:
                return None
            case [symbol]:
                return symbol
            case several:
                raise CallError(
                    f"{self.path} names {len(several)} symbols ({', '.join(several)}), and one is wanted here. {choose}"
                )


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


def known_names() -> dict[str, dict[str, Any]]:
    """Return section -> name -> type of all that mmf.toml may hold; the top level is the section ""."""
    from mmf.labels import LabelConfig  # here: it loads polars, which `mmf --help` must not wait for

    return _KNOWN | {"label": get_type_hints(LabelConfig)}


# ------------------------------------------------------------------------------------


def _flat(content: dict[str, Any], path: Path) -> list[tuple[str, Any]]:
    known = known_names()
    top = {name: value for name, value in content.items() if not isinstance(value, dict)}
    sections = {"": top} | {name: value for name, value in content.items() if isinstance(value, dict)}
    found = []
    for section, values in sections.items():
        if section not in known:
            raise CallError(f"{path}: unknown section [{section}]. Known: {', '.join(filter(None, known))}.")
        for name, value in values.items():
            dotted = f"{section}.{name}" if section else name
            if name not in known[section]:
                raise CallError(f"{path}: unknown name {dotted}. Known there: {', '.join(known[section])}.")
            found.append((dotted, _checked(value, known[section][name], f"{path}: {dotted}")))
    return found


def _checked(value: Any, kind: Any, where: str) -> Any:
    if not _fits(value, kind):
        raise CallError(f"{where} = {value!r}, expected {_described(kind)}.")
    return float(value) if kind is float else value  # TOML may write a float of 1.0 as 1


def _fits(value: Any, kind: Any) -> bool:
    choices = get_args(kind)
    if kind is bool or isinstance(value, bool):
        return kind is bool and isinstance(value, bool)  # which Python takes for an int
    if get_origin(kind) is Literal:
        return value in choices
    if get_origin(kind) is list:
        return isinstance(value, list) and bool(value) and all(_fits(item, choices[0]) for item in value)
    if get_origin(kind) is dict:  # TOML has text for keys
        return isinstance(value, dict) and all(_fits(item, choices[1]) for item in value.values())
    if kind is float:
        return isinstance(value, (int, float)) and math.isfinite(value)
    return isinstance(value, kind)


def _described(kind: Any) -> str:
    choices = get_args(kind)
    if get_origin(kind) is Literal:
        return " or ".join(map(repr, choices))
    if get_origin(kind) is list:
        return f"a list of at least one {_described(choices[0])}"
    if get_origin(kind) is dict:
        return f"names, each with {_described(choices[1])}"
    if get_origin(kind) is UnionType:
        return " or ".join(map(_described, choices))
    return "true or false" if kind is bool else str(kind.__name__)
