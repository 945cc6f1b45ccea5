"""What run cards say, whatever their age."""

from collections.abc import Mapping
from typing import Any


def series_of(card: Mapping[str, Any], /) -> tuple[str, ...]:
    """Return the names of the series that a run was trained on, ascending by symbol."""
    named = card.get("series") or ()
    return (named,) if isinstance(named, str) else tuple(named)
