"""One HTML page of charts: everything inline, nothing fetched, light or dark as the reader's screen is."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import plotly.graph_objects as go
from plotly.offline import get_plotlyjs


@dataclass(frozen=True)
class Chart:
    """A figure and what a reader must know to read it.

    Attributes
    ----------
    title : str
        What it shows.
    caption : str
        How to read it, in a sentence or two.
    figure : go.Figure
        Drawn over the whole width.
    """

    title: str
    caption: str
    figure: go.Figure


def page(title: str, summary: str, charts: Sequence[Chart], /) -> str:
    """Return an HTML page with a heading, a summary and charts below each other.

    The page holds the drawing library itself, some 4 MB, so that it opens without a network, from a file or a mail.
    """
    parts = "\n".join(_section(number, chart) for number, chart in enumerate(charts))
    # the library is text of its own; everything else passes through escape or JSON
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>{escape(title)}</title>\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n<style>{_STYLE}</style>\n'
        f"<script>{get_plotlyjs()}</script>\n</head>\n<body>\n<main>\n<h1>{escape(title)}</h1>\n"
        f"<p>{escape(summary)}</p>\n{parts}\n</main>\n<script>{_SCRIPT}</script>\n</body>\n</html>\n"
    )


# ------------------------------------------------------------------------------------

_STYLE = """
:root { color-scheme: light dark; --text: #1c1e21; --soft: #5c6370; --back: #ffffff; }
@media (prefers-color-scheme: dark) { :root { --text: #e4e6eb; --soft: #a0a7b4; --back: #17191c; } }
body { margin: 0; background: var(--back); color: var(--text); font: 16px/1.5 system-ui, sans-serif; }
main { max-width: 1080px; margin: 0 auto; padding: 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin: 2rem 0 0; }
p.caption { color: var(--soft); margin: 0.2rem 0 0.6rem; }
.chart { width: 100%; }
"""

_SCRIPT = """
const dark = window.matchMedia("(prefers-color-scheme: dark)");
function colours() {
  return dark.matches ? { text: "#e4e6eb", grid: "#33373d" } : { text: "#1c1e21", grid: "#e3e5e8" };
}
function draw(holder) {
  const figure = JSON.parse(holder.querySelector("script").textContent);
  const { text, grid } = colours();
  const clear = "rgba(0,0,0,0)";
  const layout = { ...figure.layout, paper_bgcolor: clear, plot_bgcolor: clear, font: { color: text } };
  layout.modebar = { bgcolor: clear, color: text };
  layout.margin = { t: 30, ...figure.layout.margin };
  for (const name of Object.keys(layout).filter((key) => /^[xy]axis/.test(key)).concat(["xaxis", "yaxis"])) {
    layout[name] = { gridcolor: grid, zerolinecolor: grid, automargin: true, ...layout[name] };
  }
  Plotly.react(holder.querySelector(".chart"), figure.data, layout, { responsive: true, displaylogo: false });
}
const holders = [...document.querySelectorAll("section")];
holders.forEach(draw);
dark.addEventListener("change", () => holders.forEach(draw));
"""


def _section(number: int, chart: Chart) -> str:
    figure = json.loads(chart.figure.to_json())
    figure["layout"].pop("template", None)  # the page has its own colours
    data = json.dumps(figure).replace("</", "<\\/")
    height = figure["layout"].get("height", 420)
    return (
        f'<section>\n<h2>{escape(chart.title)}</h2>\n<p class="caption">{escape(chart.caption)}</p>\n'
        f'<div class="chart" id="chart-{number}" style="height:{int(height)}px"></div>\n'
        f'<script type="application/json">{data}</script>\n</section>'
    )
