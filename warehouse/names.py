"""Names that reach paths and SQL, each validated by a strict pattern first."""

import re
from typing import NamedTuple

from warehouse.errors import InvalidNameError


class SeriesKey(NamedTuple):
    """The series that a file belongs to, in the order of the folders."""

    exchange: str
    category: str
    symbol: str
    interval: str


def checked_table(name: str, /) -> str:
    """Return a table name, or raise InvalidNameError."""
    if name in _RESERVED:
        raise InvalidNameError(f"table name {name!r} is reserved by the warehouse. Choose another.")
    return _checked("table", name, _TABLE, "lower-case letters, digits and _, such as 'bars'")


def checked_version(name: str, /) -> str:
    """Return a version such as `core@v3`, or the empty string of a table without versions."""
    return name and _checked("version", name, _VERSION, "a name, @v and a number, such as 'core@v3'")


def checked_set(name: str, /) -> str:
    """Return the name of a feature set, or raise InvalidNameError."""
    return _checked(
        "feature set", name, _SET, "lower-case letters, digits and _, such as 'core', not ..._lagged or ..._context_N"
    )


def checked_tag(name: str, /) -> str:
    """Return a tag, or raise InvalidNameError."""
    return _checked("tag", name, _TAG, "letters, digits and . _ : @ + -, such as 'paper:2024-06'")


def checked_key(key: tuple[str, ...] | None, /) -> SeriesKey | None:
    """Return a series key whose every part may become a folder; None stays None."""
    if key is None:
        return None
    if len(key) != len(SeriesKey._fields):
        raise InvalidNameError(f"series {key!r} has {len(key)} parts; expected exchange, category, symbol, interval.")
    series = SeriesKey(*key)
    for part, pattern in (("exchange", _FOLDER), ("category", _FOLDER), ("symbol", _SYMBOL)):
        _checked(part, getattr(series, part), pattern, "what exchanges use, such as 'bybit' or 'BTCUSDT'")
    _checked("interval", series.interval, _INTERVAL, "minutes, D or W, such as '60'")
    return series


def folder_of(table: str, version: str, key: SeriesKey | None, /) -> str:
    """Folder of a table's files, relative to the warehouse, in hive layout.

    Examples
    --------
    >>> folder_of("features", "core@v1", SeriesKey("bybit", "linear", "BTCUSDT", "60"))
    'features/version=core@v1/exchange=bybit/category=linear/symbol=BTCUSDT/interval=60'
    """
    parts = [checked_table(table)]
    if checked_version(version):
        parts.append(f"version={version}")
    if checked := checked_key(key):
        parts += [f"{field}={value}" for field, value in checked._asdict().items()]
    return "/".join(parts)


# ------------------------------------------------------------------------------------

_RESERVED = {"locks"}
_TABLE = re.compile(r"[a-z][a-z0-9_]{0,62}")
_SET = re.compile(r"(?!.*_(lagged|context_[0-9dw]+)$)[a-z][a-z0-9_]{0,62}")  # views of lags and context end so
_VERSION = re.compile(r"[a-z][a-z0-9_]{0,62}@v[1-9][0-9]{0,8}")
_TAG = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:@+\-]{0,199}")
_FOLDER = re.compile(r"[a-z][a-z0-9_]{0,31}")
_SYMBOL = re.compile(r"[A-Z0-9][A-Z0-9_\-]{0,39}")
_INTERVAL = re.compile(r"[1-9][0-9]{0,4}|D|W")


def _checked(what: str, value: str, pattern: re.Pattern[str], expected: str) -> str:
    if not isinstance(value, str) or not pattern.fullmatch(value):
        raise InvalidNameError(f"{what} {value!r} is not a valid name: expected {expected}.")
    return value
