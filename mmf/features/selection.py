"""Select features by name, glob, family or set."""

import difflib
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase

from mmf.errors import CallError
from mmf.features.record import Feature


def select(
    wanted: Sequence[str], known: Sequence[Feature], groups: Mapping[str, Sequence[Feature]], /, *, what: str
) -> tuple[Feature, ...]:
    """Pick features.

    Parameters
    ----------
    wanted : sequence of str
        Each a column (`rsi_14`), a glob (`hurst_*`), a family (`chaos`) or a set (`core`); with `!` before it, it
        takes away from what the ones before it picked.
    known : sequence of Feature
        All there are, in canonical order.
    groups : mapping of str to sequence of Feature
        Families and named sets.
    what : str
        Where the selection stands, for the message.

    Returns
    -------
    tuple of Feature
        In canonical order, each once.

    Raises
    ------
    CallError
        Something picks nothing; the message proposes what is spelt alike.

    Examples
    --------
    >>> from mmf.features.registry import SETS
    >>> core = SETS["core"]
    >>> [f.name for f in select(["chaos", "!*_100", "log_*"], core, by_family(core), what="mine")]
    ['log_return', 'log_range', 'hurst_200', 'entropy_200', 'fdi_200']
    """
    picked: set[str] = set()
    for text in wanted:
        pattern = text.removeprefix("!")
        names = {feature.name for feature in groups.get(pattern, ())}
        names |= {feature.name for feature in known if fnmatchcase(feature.name, pattern)}
        if not names:
            raise CallError(
                f"{what}: {pattern!r} is no column, glob, family or set.{_proposed(pattern, known, groups)}"
            )
        picked = picked - names if text.startswith("!") else picked | names
    return tuple(feature for feature in known if feature.name in picked)


def by_family(features: Sequence[Feature], /) -> dict[str, list[Feature]]:
    """Group features by family, both in their order."""
    families: dict[str, list[Feature]] = {}
    for feature in features:
        families.setdefault(feature.family, []).append(feature)
    return families


# ------------------------------------------------------------------------------------


def _proposed(text: str, known: Sequence[Feature], groups: Mapping[str, Sequence[Feature]]) -> str:
    names = [*groups, *(feature.name for feature in known)]
    close = difflib.get_close_matches(text, names, n=3)
    return f" Did you mean {' or '.join(close)}?" if close else " See them all: mmf features list"
