"""The catalogue page: every feature of MMF with its definition, and a chart a family. `just catalogue` writes it.

python -m mmf.features.catalogue docs
"""

import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from inspect import getsource
from pathlib import Path
from typing import NamedTuple

from mmf.features import user_example
from mmf.features.catalogue_charts import chart, chart_bars
from mmf.features.catalogue_text import AFTER, BEYOND, EXAMPLE_SETTINGS, FAMILIES, INTRODUCTION, OWN
from mmf.features.lags import LAGS, lag_columns
from mmf.features.record import WINDOWS, Feature
from mmf.features.registry import SETS, feature_set, known_features
from mmf.features.selection import by_family

PAGE = "features.md"
IMAGES = "images"
FADING = " (fading)"


class Entry(NamedTuple):
    """One line of the catalogue: a feature, or the windows of one.

    Attributes
    ----------
    columns, definition, earlier_bars, unit, undefined, oracle, tolerance : str
        As printed.
    """

    columns: str
    definition: str
    earlier_bars: str
    unit: str
    undefined: str
    oracle: str
    tolerance: str


def pages() -> dict[str, str]:
    """Return every file of the catalogue: path below `docs` -> content.

    The same code and packages give the same text; the charts may differ in a last digit from one kind of processor to
    another.
    """
    bars = chart_bars()
    charts = {_image(family): chart(family, bars) for family in _families()}
    return {PAGE: page(), **charts}


def page() -> str:
    """Return the page in Markdown."""
    core = feature_set("core")
    counts = {
        "n_core": len(core.columns),
        "n_logical": f"{len(lag_columns(core.columns)):,}",
        "lags": " ".join(map(str, LAGS)),
        "memory": f"{core.memory:,}",
        "windows": " ".join(map(str, WINDOWS)),
    }
    parts = [INTRODUCTION.format(**counts), "## Sets\n", _sets()]
    for family, features in _families().items():
        parts += [
            f"## {family.capitalize()} ({len(features)})\n",
            f"{FAMILIES[family]}\n",
            f"![{family} columns over bars of the simulated market]({_image(family)})\n",
            _table(Entry._fields, entries(features)),
        ]
    own = OWN.format(example=getsource(user_example).rstrip(), settings=EXAMPLE_SETTINGS.rstrip())
    beyond = _beyond()
    parts += [f"## Beyond core ({len(beyond)})\n", f"{BEYOND}\n", _table(Entry._fields, entries(beyond))]
    return "\n".join([*parts, AFTER, own])


def entries(features: Sequence[Feature], /) -> list[Entry]:
    """Join features that differ in their window alone into one line each."""
    stems: dict[str, list[tuple[int | None, Feature]]] = {}
    for feature in features:
        stem, window = _split(feature.name)
        stems.setdefault(stem, []).append((window, feature))
    return [entry for stem, members in stems.items() for entry in _joined(stem, members)]


def write(folder: Path, /) -> None:
    """Write the catalogue below a folder."""
    for name, text in pages().items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


# ------------------------------------------------------------------------------------


def _families() -> dict[str, list[Feature]]:
    return by_family(SETS["core"])


def _beyond() -> list[Feature]:
    return [feature for feature in known_features() if feature not in SETS["core"]]


def _image(family: str) -> str:
    return f"{IMAGES}/features_{family}.svg"


def _sets() -> str:
    rows = []
    for name in SETS:
        features = feature_set(name)
        rows.append((f"`{name}`", str(len(features.columns)), f"{features.memory:,}", " ".join(features.inputs)))
    return _table(("set", "columns", "longest memory", "reads"), rows)


def _split(name: str) -> tuple[str, int | None]:
    match = re.fullmatch(r"(.+)_(\d+)", name)
    return (match[1], int(match[2])) if match else (name, None)


def _joined(stem: str, members: list[tuple[int | None, Feature]]) -> Iterator[Entry]:
    """One line where a window explains every number that differs, else one a feature."""
    windows = [window for window, _ in members if window is not None]
    features = [feature for _, feature in members]
    told = [(f.description, _earlier_bars(f), f.unit, f.undefined, f.oracle, f"{f.tolerance:g}") for f in features]
    joined = [_templated(texts, windows) for texts in zip(*told, strict=True)] if len(members) > 1 else [None]
    if len(members) > 1 and joined[1] is None and len(windows) == len(members):
        fading = "" if features[0].memory is None else FADING
        joined[1] = " ".join(str(f.reach) for f in features) + fading
    if None in joined:
        yield from (Entry(f"`{f.name}`", *texts) for f, texts in zip(features, told, strict=True))
        return
    own = "" if tuple(windows) == WINDOWS else f", W = {' '.join(map(str, windows))}"
    columns = f"`{stem}_W`{own}"
    yield Entry(columns, *(text or "" for text in joined))


def _earlier_bars(feature: Feature) -> str:
    return f"{feature.reach}" if feature.memory is None else f"{feature.reach}{FADING}"


def _templated(texts: Sequence[str], windows: Sequence[int]) -> str | None:
    """Text in which each number that follows the window is written in W; None where one follows it in no way."""
    pieces = [re.split(r"(\d+(?:\.\d+)?)", text) for text in texts]
    if len(windows) != len(texts) or len({tuple(piece[::2]) for piece in pieces}) != 1:
        return None
    numbers = [_in_windows(values, windows) for values in zip(*(p[1::2] for p in pieces), strict=True)]
    if None in numbers:
        return None
    words = pieces[0][::2]
    return "".join(word + number for word, number in zip(words, [*map(str, numbers), ""], strict=True))


def _in_windows(values: Sequence[str], windows: Sequence[int]) -> str | None:
    """One number of the members' texts: the same in all, or a multiple of the window and a constant."""
    if len(set(values)) == 1:
        return values[0]
    if not all(value.isdigit() for value in values):
        return None
    points = [(window, int(value)) for window, value in zip(windows, values, strict=True)]
    (w0, v0), (w1, v1) = points[0], points[-1]
    factor = (v1 - v0) // (w1 - w0)
    shift = v0 - factor * w0
    if factor < 1 or any(value != factor * window + shift for window, value in points):
        return None
    text = "W" if factor == 1 else f"{factor} W"
    return f"{text} {'+' if shift > 0 else '-'} {abs(shift)}" if shift else text


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(_cell(cell) for cell in line) + " |" for line in lines) + "\n"


def _cell(text: str) -> str:
    return text.replace("_", " ") if text == "earlier_bars" else text.replace("|", "\\|")


if __name__ == "__main__":
    write(Path(sys.argv[1]))
