"""Which series the bars of a file belong to."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from cli.settings import Settings
from mmf.errors import CallError

if TYPE_CHECKING:
    from mmf.bars import Series


def series_of(path: Path, given: Mapping[str, str | None], settings: Settings, /) -> "Series":
    """Return the series of one file: what its name tells, else options, else the environment, else mmf.toml.

    The environment and mmf.toml hold for a whole shell or folder. Above the name they would put the bars of one symbol
    into the series of another.

    Parameters
    ----------
    path : Path
        The file.
    given : mapping
        Options: exchange, category, symbol and interval, each None where it is left out.
    settings : Settings
        What mmf.toml says.

    Raises
    ------
    CallError
        An option contradicts the name, nothing tells a part, or a part is no name.
    """
    from mmf.bars import Series
    from mmf.markets.files import guess_series

    told = guess_series(path)
    for name, value in given.items():
        if value is not None and name in told and not _is_same(name, value, told[name]):
            raise CallError(
                f"the name of {path.name} tells the {name} {told[name]}, and --{name} {value} contradicts it. "
                f"Rename the file, or leave out --{name}."
            )
    parts = {name: value or told.get(name) or _fallback(name, settings) for name, value in given.items()}
    if lacking := [name for name, value in parts.items() if not value]:
        raise CallError(f"{path.name} does not tell its {' and '.join(lacking)}. Give --{' --'.join(lacking)}.")
    return Series.of(*(str(parts[name]) for name in ("exchange", "category", "symbol", "interval")))


# ------------------------------------------------------------------------------------


def _is_same(name: str, value: str, told: str) -> bool:
    """Compare as meant: 1h is 60, and BTC-USDT is what a name spells BTCUSDT."""
    from mmf.bars import Interval

    match name:
        case "interval":
            return Interval.parse(value).name == told
        case "symbol":
            return value.replace("_", "").replace("-", "") == told
        case _:
            return value == told


def _fallback(name: str, settings: Settings) -> object:
    """What the environment says, else mmf.toml."""
    if from_environment := os.environ.get(f"MMF_{name.upper()}"):
        return from_environment
    if name == "symbol":
        return settings.symbol(choose="Give --symbol, or tell it in the file's name.")
    return settings.values.get(f"market.{name}")
