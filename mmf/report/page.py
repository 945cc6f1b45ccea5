"""One HTML page: everything inline, nothing fetched, light or dark as the reader's screen is."""

import json
from collections.abc import Iterator, Sequence
from html import escape
from importlib.resources import files
from itertools import count
from typing import Any

from plotly.offline import get_plotlyjs

from mmf.report.parts import Chart, Group, Light, Note, Part, Table, Tile
from mmf.report.prose import prose
from mmf.report.tables import table_html

_LONG = 10  # characters of a figure that no longer fit a tile in large type
_ASSETS = files("mmf.report") / "assets"
# what figures take from the data; templates and titles are written here and may hold plotly's own <br> and <extra>
_DATA_TEXT = ("x", "y", "text", "hovertext", "labels", "parents", "ids", "name", "customdata")


def page(
    title: str,
    summary: str,
    parts: Sequence[Part | Group],
    /,
    *,
    lights: Sequence[Light] = (),
    tiles: Sequence[Tile] = (),
    alarms: Sequence[str] = (),
) -> str:
    """Return an HTML page: alarms, the answer, key figures, then charts, tables and notes below each other.

    The page holds the drawing library itself, some 5 MB, so that it opens without a network, from a file or a mail. The
    library comes last, and a chart is drawn when it comes near the screen or the browser has nothing else to do: the
    answer can be read at once.

    Parameters
    ----------
    title, summary : str
        Heading and the line below it.
    parts : sequence of Part or Group
        The table of contents lists the groups.
    lights, tiles, alarms
        What stands on top; alarms before all else.

    Notes
    -----
    Every text is escaped, names within figures too: a feature called `<b>` is shown as it is written.
    """
    groups = [part for part in parts if isinstance(part, Group)]
    body = "\n".join([*_header(title, summary, lights, tiles, alarms), _contents(groups), *_sections(parts)])
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>{escape(title)}</title>\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<style>{_asset('page.css')}</style>\n</head>\n<body>\n<main>\n{body}\n</main>\n"
        f"<script>{get_plotlyjs()}</script>\n<script>{_asset('page.js')}</script>\n</body>\n</html>\n"
    )


# ------------------------------------------------------------------------------------


def _asset(name: str) -> str:
    return (_ASSETS / name).read_text(encoding="utf-8")


def _header(
    title: str, summary: str, lights: Sequence[Light], tiles: Sequence[Tile], alarms: Sequence[str]
) -> Iterator[str]:
    yield f'<header>\n<h1>{escape(title)}</h1>\n<p class="summary">{prose(summary)}</p>\n</header>'
    if alarms:
        lines = "".join(f"<li>{prose(alarm)}</li>" for alarm in alarms)
        yield f'<div class="alarm" role="alert"><strong>⚠ Suspicious</strong><ul>{lines}</ul></div>'
    if lights:
        yield '<div class="lights">' + "\n".join(map(_light, lights)) + "</div>"
    if tiles:
        yield '<dl class="tiles">' + "\n".join(map(_tile, tiles)) + "</dl>"


def _light(light: Light) -> str:
    lamps = "".join(
        f'<span class="lamp {colour}{" lit" if colour == light.colour else ""}">{sign}</span>'
        for colour, sign in (("red", "✕"), ("amber", "?"), ("green", "✓"))
    )
    first, *others = light.sentences
    above = f'<p class="of">{escape(light.title)}</p>' if light.title else ""
    return (
        f'<section class="answer {light.colour}"><div class="traffic" role="img" '
        f'aria-label="{escape(light.word)}">{lamps}</div><div>{above}<p class="word">{escape(light.word)}</p>'
        f"<p><strong>{prose(first)}</strong></p>{''.join(f'<p>{prose(text)}</p>' for text in others)}</div></section>"
    )


def _tile(tile: Tile) -> str:
    note = f'<dd class="note">{escape(tile.note)}</dd>' if tile.note else ""
    kind = ' class="long"' if len(tile.value) > _LONG else ""
    return f"<div><dt>{escape(tile.name)}</dt><dd{kind}>{escape(tile.value)}</dd>{note}</div>"


def _contents(groups: Sequence[Group]) -> str:
    if not groups:
        return ""
    links = "".join(f'<a href="#group-{i}">{escape(group.title)}</a>' for i, group in enumerate(groups))
    return f'<nav aria-label="Contents">{links}</nav>'


def _sections(parts: Sequence[Part | Group]) -> Iterator[str]:
    """Groups and charts are numbered through the page: the first chart is chart-0, whatever stands before it."""
    groups, charts = count(), count()
    for part in parts:
        if not isinstance(part, Group):
            yield _section(part, charts)
            continue
        yield f'<h2 class="group" id="group-{next(groups)}">{escape(part.title)}</h2>\n<p>{prose(part.lead)}</p>'
        yield from (_section(inner, charts) for inner in part.parts)


def _section(part: Part, charts: Iterator[int]) -> str:
    match part:
        case Chart():
            return _chart(next(charts), part)
        case Table():
            return table_html(part)
        case Note():
            command = f'<code class="command">{escape(part.command)}</code>' if part.command else ""
            return f'<p class="absent"><strong>{escape(part.title)}.</strong> {prose(part.text)}{command}</p>'


def _chart(number: int, chart: Chart) -> str:
    figure = json.loads(chart.figure.to_json())
    figure["layout"].pop("template", None)  # the page has its own colours
    for trace in figure["data"]:
        trace.update({name: _plain(trace[name]) for name in _DATA_TEXT if name in trace})
    data = json.dumps(figure, separators=(",", ":")).replace("</", "<\\/")
    height = figure["layout"].get("height", 420)
    return (
        f'<section class="holder">\n<h3>{escape(chart.title)}</h3>\n'
        f'<p class="caption">{prose(chart.caption)}</p>\n'
        f'<div class="chart" id="chart-{number}" style="height:{int(height)}px"></div>\n'
        f'<script type="application/json">{data}</script>\n</section>'
    )


def _plain(value: Any) -> Any:
    """The same with the signs of markup as entities, which plotly shows as they were written."""
    match value:
        case str():
            return value.replace("&", "&amp;").replace("<", "&lt;") if "<" in value or "&" in value else value
        case list():
            return [_plain(item) for item in value]
        case _:
            return value
