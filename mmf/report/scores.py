"""Charts of the scores: does the model know more than its baselines, and do its probabilities mean what they say."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import plotly.graph_objects as go
import polars as pl

from mmf.report.drawing import BLUE, GREY, ORANGE, RED, by_symbol, instants, line, numbers, of, stacked, thin
from mmf.report.parts import Chart

SHOWN = {"pr_auc": "PR-AUC, more is better", "roc_auc": "ROC-AUC, more is better", "brier": "Brier, less is better"}
Z = 1.96


def score_charts(intervals: pl.DataFrame | None, scores: Mapping[str, Mapping[str, Any]], /) -> list[Chart]:
    """Return the scores of the mixture, the experts and the baselines below each other.

    Parameters
    ----------
    intervals : pl.DataFrame or None
        model, score, value, low, high; without it the points have no intervals.
    scores : mapping
        The card's, by model.
    """
    models = list(scores)[::-1]
    traces = []
    for row, score in enumerate(SHOWN, 1):
        of_models = {model: _estimate(intervals, scores, model, score) for model in models}
        known = {model: found for model, found in of_models.items() if found[0] is not None}
        traces.append(
            go.Scatter(
                x=[found[0] for found in known.values()],
                y=list(known),
                error_x={
                    "array": [found[2] - found[0] for found in known.values()],
                    "arrayminus": [found[0] - found[1] for found in known.values()],
                    "thickness": 1.5,
                    "color": GREY,
                },
                mode="markers",
                marker={"size": 9, "color": [RED if model == "mixture" else BLUE for model in known]},
                xaxis=f"x{row}",
                yaxis=f"y{row}",
                name=SHOWN[score].partition(",")[0],
                hovertemplate="%{y}: %{x:.3f}<extra></extra>",
            )
        )
        traces.append(_chance(score, scores, known, row))
    layout: dict[str, Any] = {"grid": {"rows": len(SHOWN), "columns": 1, "pattern": "independent", "ygap": 0.3}}
    for row, title in enumerate(SHOWN.values(), 1):
        layout[f"xaxis{row}"] = {"title": {"text": title, "standoff": 5}}
        layout[f"yaxis{row}"] = {"type": "category", "categoryorder": "array", "categoryarray": models}
    told = "" if intervals is None else " The bars hold 95 %, by a block bootstrap: overlapping labels count once."
    return [
        Chart(
            "Scores beside what has to be beaten",
            "The mixture (red) above its experts and the baselines, all on the same judged rows. The dotted line is a "
            f"coin.{told} Where the mixture's bar covers `volatility only`, it knows no more than how wild the market "
            "is.",
            go.Figure(traces, {"height": 170 + 66 * len(models), "showlegend": False} | layout),
        )
    ]


def reliability_charts(reliability: pl.DataFrame, /, *, horizon: int) -> list[Chart]:
    """Return how often it happened by how likely it was said to be, with the rows behind each point.

    Parameters
    ----------
    reliability : pl.DataFrame
        mean_predicted, observed_rate, count.
    horizon : int
        Bars that a label looks ahead: so many rows count as one independent outcome.
    """
    if reliability.is_empty():
        return []
    low, high = _wilson(reliability, horizon)
    rate = reliability["observed_rate"].to_numpy()
    points = go.Scatter(
        x=numbers(reliability["mean_predicted"]),
        y=numbers(reliability["observed_rate"]),
        error_y={"array": (high - rate).tolist(), "arrayminus": (rate - low).tolist(), "thickness": 1.2},
        mode="lines+markers",
        name="observed",
        line={"color": BLUE},
        customdata=reliability["count"].to_list(),
        hovertemplate="said %{x:.0%}, happened %{y:.0%} of %{customdata} rows<extra></extra>",
    )
    ideal = go.Scatter(x=[0, 1], y=[0, 1], mode="lines", name="honest", line={"color": GREY, "dash": "dot"})
    counts = go.Bar(
        x=numbers(reliability["mean_predicted"]),
        y=reliability["count"].to_list(),
        width=0.015,
        name="rows",
        marker={"color": GREY},
        yaxis="y2",
    )
    layout = stacked([3, 1], ["happened", "rows"], height=480, hovermode="closest", yaxis={"tickformat": ".0%"})
    layout["yaxis"] |= {"range": [-0.02, 1.02]}
    layout["xaxis"] |= {"title": {"text": "probability said"}, "tickformat": ".0%", "range": [-0.02, 1.02]}
    return [
        Chart(
            "Reliability",
            "On the dotted line a probability means what it says; a flat curve means that it says nothing. The upright "
            f"bars hold 95 % if one row in {horizon} is independent, since labels overlap. Below: rows of each point.",
            go.Figure([points, ideal, counts], layout),
        )
    ]


def probability_charts(predictions: pl.DataFrame, threshold: float | None, trades: pl.DataFrame | None) -> list[Chart]:
    """Return the probability over time with the threshold, above the price with the entries; one chart a symbol."""
    return [_over_time(symbol, rows, threshold, trades) for symbol, rows in by_symbol(predictions)]


# ------------------------------------------------------------------------------------


def _over_time(symbol: str, rows: pl.DataFrame, threshold: float | None, trades: pl.DataFrame | None) -> Chart:
    shown = thin(rows, ["probability", "close"])
    traces = [
        line(shown, "probability", name="probability", colour=BLUE, line={"width": 1}),
        line(shown, "close", name="close", colour=GREY, row=2),
    ]
    if threshold is not None:
        ends = instants(rows["open_time"][[0, -1]])
        style = {"color": RED, "dash": "dot"}
        traces.append(go.Scatter(x=ends, y=[threshold] * 2, name="threshold", mode="lines", line=style))
    if trades is not None and not trades.is_empty():
        own = trades.filter(pl.col("symbol") == symbol) if symbol else trades
        marker = {"symbol": "triangle-up", "size": 9, "color": ORANGE}
        at = {"x": instants(own["entry_time"]), "y": numbers(own["entry"]), "yaxis": "y2"}
        traces.append(go.Scatter(**at, name="entry", mode="markers", marker=marker))
    layout = stacked([1, 1], ["probability", "close"], height=480, yaxis={"range": [0, 1]})
    return Chart(
        of("Probability over time", symbol),
        "A position opens at the bar after the probability clears the threshold, if none is open; triangles are "
        "entries. A probability that only follows the price's last move has learnt little of its own.",
        go.Figure(traces, layout),
    )


def _estimate(
    intervals: pl.DataFrame | None, scores: Mapping[str, Mapping[str, Any]], model: str, score: str
) -> tuple[Any, Any, Any]:
    value = scores[model].get(score)
    if intervals is not None:
        found = intervals.filter((pl.col("model") == model) & (pl.col("score") == score))
        if found.height:
            value, low, high = found.select("value", "low", "high").row(0)
            return (value, value if low is None else low, value if high is None else high)
    return value, value, value


def _chance(score: str, scores: Mapping[str, Mapping[str, Any]], known: Mapping[str, Any], row: int) -> go.Scatter:
    """A dotted line at what a coin that knows the base rate would score."""
    base = scores.get("mixture", {}).get("base_rate") or 0.0
    x = {"pr_auc": base, "roc_auc": 0.5, "brier": base * (1 - base)}[score]
    return go.Scatter(
        x=[x] * len(known),
        y=list(known),
        mode="lines",
        line={"color": GREY, "dash": "dot"},
        xaxis=f"x{row}",
        yaxis=f"y{row}",
        name="a coin",
        hovertemplate=f"a coin: {x:.3f}<extra></extra>",
    )


def _wilson(reliability: pl.DataFrame, horizon: int) -> tuple[np.ndarray, np.ndarray]:
    """Wilson's 95 % interval of each rate over its independent outcomes."""
    rate = reliability["observed_rate"].to_numpy()
    n = np.maximum(reliability["count"].to_numpy() / horizon, 1.0)
    middle = (rate + Z**2 / (2 * n)) / (1 + Z**2 / n)
    half = Z * np.sqrt(rate * (1 - rate) / n + Z**2 / (4 * n**2)) / (1 + Z**2 / n)
    return np.minimum(middle - half, rate), np.maximum(middle + half, rate)
