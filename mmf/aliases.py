"""Symbols that live on under another name: rename and redenomination chains."""

import math
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

from mmf.bars import Series
from mmf.errors import CallError, DataError

ALIASES_VERSION = 1
Kind = Literal["rename", "redenomination"]
Market = tuple[str, str]  # exchange and category


@dataclass(frozen=True, slots=True)
class Alias:
    """One step: one unit of `symbol` became `ratio` units of `successor`.

    Attributes
    ----------
    exchange, category, symbol, successor : str
        Names as in `mmf.bars.Series`.
    kind : {"rename", "redenomination"}
        Whether the unit stayed the same (ratio 1).
    ratio : float
        A price of `symbol` divided by it is a price of `successor`; a volume times it a volume.
    ended_ms, began_ms : int or None
        UTC ms at which the old symbol stopped and the new one started trading; None where unknown.
    """

    exchange: str
    category: str
    symbol: str
    successor: str
    kind: Kind
    ratio: float
    ended_ms: int | None = None
    began_ms: int | None = None


class Link(NamedTuple):
    """A symbol of a chain, and how many units of the newest one it is worth."""

    symbol: str
    ratio: float


def read_aliases(own: Path | None = None, /) -> tuple[Alias, ...]:
    """Read the aliases that come with MMF and, where given, the user's own.

    Parameters
    ----------
    own : Path, optional
        A file of the form of `mmf/data/aliases.toml`. A step for a symbol that has one already replaces it.

    Raises
    ------
    CallError
        There is no such file.
    DataError
        The file is not of that form, or a chain runs in a circle.
    """
    shipped = files("mmf").joinpath("data/aliases.toml").read_text(encoding="utf-8")
    steps = _parse(shipped, "mmf/data/aliases.toml")
    if own is not None:
        steps += _parse(_text(own), str(own))
    aliases = tuple({(step.exchange, step.category, step.symbol): step for step in steps}.values())
    for alias in aliases:
        chain(alias.symbol, aliases, market=(alias.exchange, alias.category))
    return aliases


def chain(symbol: str, aliases: Iterable[Alias], /, *, market: Market) -> tuple[Link, ...]:
    """Follow a symbol to the name that its asset has now.

    Parameters
    ----------
    symbol : str
        Any name of the asset.
    aliases : iterable of Alias
        The known steps.
    market : (exchange, category)
        Where the symbol is traded.

    Returns
    -------
    tuple of Link
        From `symbol` to the newest name, each with its worth in units of the newest, whose ratio is 1.

    Raises
    ------
    DataError
        The chain runs in a circle.

    Examples
    --------
    >>> steps = [
    ...     Alias("x", "spot", "OLD", "MID", "rename", 1.0),
    ...     Alias("x", "spot", "MID", "NEW", "redenomination", 0.01),
    ... ]
    >>> chain("OLD", steps, market=("x", "spot"))
    (Link(symbol='OLD', ratio=0.01), Link(symbol='MID', ratio=0.01), Link(symbol='NEW', ratio=1.0))
    """
    step_of = {alias.symbol: alias for alias in aliases if (alias.exchange, alias.category) == market}
    names, ratios = [symbol], []
    while step := step_of.get(names[-1]):
        if step.successor in names:
            raise DataError(f"the aliases of {':'.join(market)} run in a circle: {' -> '.join(names)}. Remove a step.")
        names.append(step.successor)
        ratios.append(step.ratio)
    return tuple(Link(name, math.prod(ratios[place:], start=1.0)) for place, name in enumerate(names))


def family(symbol: str, aliases: Iterable[Alias], /, *, market: Market) -> tuple[Link, ...]:
    """Return every name that an asset has had, sorted, whichever of them is asked; several may have become one."""
    known = tuple(aliases)
    newest = chain(symbol, known, market=market)[-1].symbol
    names = {newest, *(alias.symbol for alias in known if (alias.exchange, alias.category) == market)}
    chains = [chain(name, known, market=market) for name in sorted(names)]
    return tuple(found[0] for found in chains if found[-1].symbol == newest)


# ------------------------------------------------------------------------------------


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise CallError(f"the aliases {path} cannot be read: {error.strerror}. Name an existing TOML file.") from error


def _parse(text: str, where: str) -> list[Alias]:
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise DataError(f"{where} is not TOML: {error}. See mmf/data/aliases.toml for the form.") from error
    if content.get("version") != ALIASES_VERSION:
        raise DataError(f"{where} has version {content.get('version')!r}, and this code reads {ALIASES_VERSION}.")
    entries = content.get("alias", [])
    return [_alias(entry, f"{where}, alias {place}") for place, entry in enumerate(entries, start=1)]


def _alias(entry: dict[str, Any], where: str) -> Alias:
    names = ("exchange", "category", "symbol", "successor", "kind")
    known = {*names, "ratio", "ended", "began"}
    if wrong := [name for name in names if not isinstance(entry.get(name), str)] or sorted(entry.keys() - known):
        raise DataError(f"{where}: {wrong[0]} is missing, no text, or unknown. It takes {', '.join(sorted(known))}.")
    for symbol in (entry["symbol"], entry["successor"]):
        Series(entry["exchange"], entry["category"], symbol, "D")  # raises where a name is none
    ratio = entry.get("ratio")
    if isinstance(ratio, bool) or not isinstance(ratio, int | float) or not 0 < ratio < math.inf:
        raise DataError(f"{where}: ratio {ratio!r} is not a positive number of new units for an old one.")
    if entry["kind"] not in get_args(Kind) or (entry["kind"] == "rename") != (ratio == 1):
        raise DataError(f"{where}: kind {entry['kind']!r} does not fit ratio {ratio}: rename (1) or redenomination.")
    return Alias(
        **{name: entry[name] for name in names},
        ratio=float(ratio),
        ended_ms=_instant(entry.get("ended"), f"{where}: ended"),
        began_ms=_instant(entry.get("began"), f"{where}: began"),
    )


def _instant(value: object, where: str) -> int | None:
    if value is None:
        return None
    if not isinstance(value, datetime) or value.tzinfo is None:
        raise DataError(f"{where} {value} is not an instant with its zone, such as 2024-09-13T10:00:00Z.")
    return int(value.astimezone(UTC).timestamp() * 1000)
