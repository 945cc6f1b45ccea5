"""The page of two runs beside each other."""

from collections.abc import Mapping
from typing import Any

import plotly.graph_objects as go
import polars as pl

from mmf.cards import series_of
from mmf.report.drawing import BLUE, ORANGE, instants, numbers, thin
from mmf.report.figures import alarms, configuration, light, tiles
from mmf.report.page import page
from mmf.report.parts import Chart, Group, Note, Part, Table
from mmf.report.run import RunRecord
from mmf.report.tables import cell_text

NAMES = ("A", "B")
COLOURS = (BLUE, ORANGE)
SCORES = {"pr_auc": "PR-AUC", "roc_auc": "ROC-AUC", "brier": "Brier", "log_loss": "log-loss"}


def comparison_page(first: RunRecord, second: RunRecord, /) -> str:
    """Return the page of two runs as HTML: both verdicts, key figures, equity, scores, and what was set differently."""
    runs = (first, second)
    titles = [f"{name}: run {run.run_id}" for name, run in zip(NAMES, runs, strict=True)]
    names = [", ".join(series_of(run.card)) for run in (first, second)]
    summary = f"A is {first.run_id}, {names[0]}; B is {second.run_id}, {names[1]}."
    groups = [
        Group("Money", _same_rows(first, second), [_figures(runs), _equity(runs)]),
        Group("Scores", "Of the mixture, on the judged rows of each.", _scores(runs)),
        Group("Inside", "Whom the gates trust.", _shares(runs)),
        Group("Run cards", "What was the same, and what was not.", _differences(runs)),
    ]
    found = [f"{name}: {alarm}" for name, run in zip(NAMES, runs, strict=True) for alarm in alarms(run.card)]
    lights = [light(run.card, title=title) for run, title in zip(runs, titles, strict=True)]
    return page(f"Runs {first.run_id} and {second.run_id}", summary, groups, lights=lights, alarms=found)


# ------------------------------------------------------------------------------------


def _same_rows(first: RunRecord, second: RunRecord) -> str:
    hashes = [(run.card.get("hashes") or {}).get("judged_rows") for run in (first, second)]
    spans = [(run.card.get("rows") or {}).get("judged") for run in (first, second)]
    if hashes[0] is not None and hashes[0] == hashes[1]:
        return "Both were judged on the same rows."
    if spans[0] == spans[1] and first.card.get("series") == second.card.get("series"):
        return "Both were judged on the same stretch of one series, with other features or labels."
    return "They were judged on different rows: differences between them may be those of the market alone."


def _figures(runs: tuple[RunRecord, RunRecord]) -> Table:
    of_runs = [{tile.name: tile.value for tile in tiles(run.card)} for run in runs]
    names = list(dict.fromkeys([*of_runs[0], *of_runs[1]]))
    columns = {name: [found.get(one, "-") for one in names] for name, found in zip(NAMES, of_runs, strict=True)}
    caption = "Two runs differ by luck too: a lead that lies within the intervals below is none."
    return Table("Key figures", caption, pl.DataFrame({"figure": names} | columns))


def _equity(runs: tuple[RunRecord, RunRecord]) -> Part:
    traces = []
    for name, run, colour in zip(NAMES, runs, COLOURS, strict=True):
        if "equity" in run.tables:
            traces += _equity_lines(name, run.tables["equity"], colour)
    if not traces:
        return Note("Equity", "Neither run was backtested. A new training is:", "mmf train SERIES")
    caption = "What 1 would have become, net of costs; dotted: buying and holding over the judged rows of each."
    return Chart("Equity", caption, go.Figure(traces, {"height": 420, "hovermode": "x unified"}))


def _equity_lines(name: str, equity: pl.DataFrame, colour: str) -> list[go.Scatter]:
    dashes = {"equity": (name, "solid"), "buy_and_hold": (f"{name}, holding", "dot")}
    known = [column for column in dashes if column in equity.columns]
    shown = thin(equity, known)
    return [
        go.Scatter(
            x=instants(shown["open_time"]),
            y=numbers(shown[column]),
            name=dashes[column][0],
            mode="lines",
            line={"color": colour, "width": 1.5, "dash": dashes[column][1]},
        )
        for column in known
    ]


def _scores(runs: tuple[RunRecord, RunRecord]) -> list[Part]:
    figure = go.Figure()
    for row, score in enumerate(SCORES, 1):
        for name, run, colour in zip(NAMES, runs, COLOURS, strict=True):
            value, low, high = _interval(run, score)
            if value is not None:
                error = {"array": [high - value], "arrayminus": [value - low]}
                at = {"x": [value], "y": [name], "xaxis": f"x{row}", "yaxis": f"y{row}", "error_x": error}
                figure.add_scatter(**at, mode="markers", marker={"size": 11, "color": colour}, hoverinfo="x+y")
        figure.layout[f"xaxis{row}"] = {"title": {"text": SCORES[score], "standoff": 5}}
        figure.layout[f"yaxis{row}"] = {"type": "category", "categoryorder": "array", "categoryarray": NAMES[::-1]}
    grid = {"rows": len(SCORES), "columns": 1, "pattern": "independent", "ygap": 0.6}
    figure.update_layout(grid=grid, height=130 * len(SCORES), showlegend=False)
    caption = "Bars hold 95 % where the run has intervals. For PR-AUC and ROC-AUC right is better, for the losses left."
    return [Chart("Scores of the mixtures", caption, figure)]


def _interval(run: RunRecord, score: str) -> tuple[Any, Any, Any]:
    value = run.card["scores"].get("mixture", {}).get(score)
    intervals = run.tables.get("score_intervals")
    if intervals is not None:
        found = intervals.filter((pl.col("model") == "mixture") & (pl.col("score") == score)).drop_nulls()
        if found.height:
            return found.select("value", "low", "high").row(0)
    return value, value, value


def _shares(runs: tuple[RunRecord, RunRecord]) -> list[Part]:
    told = [run.card.get("telemetry") or {} for run in runs]
    names = [name for name in dict.fromkeys([*told[0], *told[1]]) if name.startswith("share_")]
    bars = [
        go.Bar(x=[one.removeprefix("share_") for one in names], y=[found.get(one) for one in names], name=name,
               marker={"color": colour}, hovertemplate="%{x}: %{y:.0%}")
        for name, found, colour in zip(NAMES, told, COLOURS, strict=True)
    ]  # fmt: skip
    layout = {"height": 320, "barmode": "group", "yaxis": {"tickformat": ".0%"}, "xaxis": {"type": "category"}}
    caption = "Mean share of each expert over the judged rows."
    return [Chart("Gate shares", caption, go.Figure(bars, layout))] if names else []


def _differences(runs: tuple[RunRecord, RunRecord]) -> list[Part]:
    settings = [_facts(run.card) for run in runs]
    names = list(dict.fromkeys([*settings[0], *settings[1]]))
    pairs = [tuple(cell_text(found.get(name)) for found in settings) for name in names]
    frame = pl.DataFrame(
        {
            "what": names,
            "A": [pair[0] for pair in pairs],
            "B": [pair[1] for pair in pairs],
            "is": ["same" if pair[0] == pair[1] else "differs" for pair in pairs],
        }
    )
    other, same = frame.filter(pl.col("is") == "differs"), frame.filter(pl.col("is") == "same")
    return [
        Table("What differs", "Configuration, data, hashes and versions that are not the same.", other, status="is"),
        Table("What is the same", "All the rest.", same, status="is", is_folded=True),
    ]


def _facts(card: Mapping[str, Any]) -> dict[str, Any]:
    data = {name: card.get(name) for name in ("series", "table_state", "definition_hash")}
    packages = (card.get("environment") or {}).get("packages") or {}
    return data | configuration(card) | dict(card.get("hashes") or {}) | dict(packages)
