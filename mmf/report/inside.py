"""Charts of what goes on inside: whom the gate trusts, how networks learnt, whether the market has moved."""

from collections.abc import Mapping, Sequence
from typing import Any

import plotly.graph_objects as go
import polars as pl

from mmf.report.drawing import (
    BLUE,
    EXPERTS,
    GREEN,
    GREY,
    ORANGE,
    PURPLE,
    RED,
    block_means,
    by_symbol,
    instants,
    line,
    numbers,
    of,
    stacked,
    thin,
)
from mmf.report.parts import Chart

TRIO = {"hurst_200": (BLUE, "Hurst"), "entropy_200": (ORANGE, "entropy"), "fdi_200": (GREEN, "fractal d.")}
N_SHARES = 400  # areas of more means than this flicker
N_DRIFTED = 30


def gate_charts(predictions: pl.DataFrame, market: pl.DataFrame | None, /) -> list[Chart]:
    """Return the gate's shares over time above the physics trio and the price; one chart a symbol.

    Parameters
    ----------
    predictions : pl.DataFrame
        open_time, close, <expert>_weight.
    market : pl.DataFrame or None
        open_time, hurst_200, entropy_200, fdi_200 of the same rows; without it the trio's row is left out.
    """
    weights = [name for name in predictions.columns if name.endswith("_weight")]
    return [_gate(symbol, rows, market, weights) for symbol, rows in by_symbol(predictions)] if weights else []


def uplift_charts(switched_off: Sequence[Mapping[str, Any]], /) -> list[Chart]:
    """Return what each expert is worth; none where there is only one."""
    if not switched_off:
        return []
    told = pl.DataFrame(switched_off)[::-1]
    points = go.Scatter(
        x=numbers(told["uplift"]),
        y=told["expert"].to_list(),
        error_x={
            "array": numbers(told["high"] - told["uplift"]),
            "arrayminus": numbers(told["uplift"] - told["low"]),
            "color": GREY,
        },
        mode="markers",
        marker={"size": 10, "color": [GREEN if x > 0 else RED for x in told["uplift"]]},
        hovertemplate="without %{y} log-loss rises by %{x:+.4f}<extra></extra>",
    )
    layout = {
        "height": 140 + 40 * told.height,
        "xaxis": {"title": {"text": "log-loss without it, less that of the whole"}, "zeroline": True},
        "yaxis": {"type": "category"},
    }
    return [
        Chart(
            "What each expert is worth",
            "How much worse the mixture gets without it: right of 0 it helps, left of 0 it harms. The bars hold 95 %; "
            "one that crosses 0 is no evidence either way.",
            go.Figure(points, layout),
        )
    ]


def epoch_charts(epochs: pl.DataFrame, /) -> list[Chart]:
    """Return the learning curve of each network: expert, fit, epoch, loss, validation_loss."""
    return [_learning(str(expert), runs) for (expert,), runs in epochs.group_by("expert", maintain_order=True)]


def drift_charts(drift: pl.DataFrame, of_latents: Mapping[str, str], /) -> list[Chart]:
    """Return the columns that moved most between training and judged rows.

    Parameters
    ----------
    drift : pl.DataFrame
        column, psi, ks, mean_training, mean_judged, std_training.
    of_latents : mapping of str to str
        The feature that goes along most with each latent, named beside it.
    """
    worst = drift.filter(pl.col("psi").is_not_null()).sort("psi", "column", descending=[True, False])
    worst = worst.head(N_DRIFTED)[::-1]
    if worst.is_empty():
        return []
    moved = (worst["mean_judged"] - worst["mean_training"]) / worst["std_training"]
    bars = go.Bar(
        x=numbers(worst["psi"]),
        y=[f"{name} ({of_latents[name]})" if name in of_latents else name for name in worst["column"]],
        orientation="h",
        marker={"color": [_drift_colour(psi) for psi in worst["psi"]]},
        customdata=list(zip(numbers(worst["ks"]), numbers(moved), strict=True)),
        hovertemplate="%{y}: PSI %{x:.2f}, KS %{customdata[0]:.2f}, mean moved by %{customdata[1]:+.2f} standard "
        "deviations<extra></extra>",
    )
    layout = {
        "height": 120 + 20 * worst.height,
        "xaxis": {"title": {"text": "population stability index"}},
        "yaxis": {"type": "category"},
    }
    return [
        Chart(
            "Feature drift",
            "How far what the experts read has moved between training and judged rows. Below 0.10 (grey) a column is "
            "where it was, above 0.25 (red) the model reads a market that it was not trained on. Slow columns drift "
            "on any stretch of a few months.",
            go.Figure(bars, layout),
        )
    ]


# ------------------------------------------------------------------------------------


def _gate(symbol: str, rows: pl.DataFrame, market: pl.DataFrame | None, weights: Sequence[str]) -> Chart:
    shares = block_means(rows, weights, n_points=N_SHARES)
    traces = [_area(shares, name) for name in weights]
    titles, heights = ["share"], [2.0]
    if market is not None:
        own = market.filter(pl.col("symbol") == symbol) if symbol else market
        shown = thin(own, list(TRIO), n_points=1_500)
        for name, (colour, title) in TRIO.items():
            heights, titles = [*heights, 0.7], [*titles, title]
            traces.append(line(shown, name, name=name, colour=colour, row=len(titles), showlegend=False))
    titles, heights = [*titles, "close"], [*heights, 1.0]
    price = thin(rows, ["close"], n_points=1_500)
    traces.append(line(price, "close", name="close", colour=GREY, row=len(titles), showlegend=False))
    axes = {f"yaxis{row}": {"nticks": 4} for row in range(2, len(titles) + 1)}
    layout = stacked(heights, titles, height=760, yaxis={"range": [0, 1], "tickformat": ".0%"}, **axes)
    blocks = "" if rows.height <= N_SHARES else f" Shares are means over {-(-rows.height // N_SHARES)} bars."
    return Chart(
        of("Whom the gate trusts", symbol),
        "Shares of the experts over time, above the three measures that the gate reads (Hurst exponent, entropy, "
        "fractal dimension) and the price. Shares that turn when the trio turns are a gate at work; shares that never "
        f"move are a fixed average.{blocks}",
        go.Figure(traces, layout),
    )


def _area(shares: pl.DataFrame, column: str) -> go.Scatter:
    expert = column.removesuffix("_weight")
    return go.Scatter(
        x=instants(shares["open_time"]),
        y=numbers(shares[column]),
        name=expert,
        mode="lines",
        line={"width": 0.5, "color": EXPERTS.get(expert, RED)},
        stackgroup="shares",
        hovertemplate="%{y:.0%}",
    )


def _learning(expert: str, runs: pl.DataFrame) -> Chart:
    lines = {
        ("out of fold", "loss"): ("training", BLUE),
        ("out of fold", "validation_loss"): ("validation", ORANGE),
        ("all rows", "loss"): ("final fit on all rows", PURPLE),
    }
    traces = []
    for (fit, column), (name, colour) in lines.items():
        known = runs.filter((pl.col("fit") == fit) & pl.col(column).is_not_null() & pl.col(column).is_not_nan())
        if known.height:
            drawn = {"x": known["epoch"].to_list(), "y": numbers(known[column]), "line": {"color": colour}}
            traces.append(go.Scatter(**drawn, name=name, mode="lines+markers"))
    axes = {"xaxis": {"title": {"text": "epoch"}, "dtick": 1 if runs["epoch"].n_unique() < 13 else None}}
    return Chart(
        f"Learning curve: {expert}",
        "Log-loss by epoch. Training that falls while validation rises is learning by heart; the fit stops where "
        "validation was lowest, and the final fit on all training rows takes as many epochs. A validation that never "
        "falls below 0.69 has found nothing.",
        go.Figure(traces, {"height": 340, "yaxis": {"title": {"text": "log-loss"}}, "hovermode": "x unified"} | axes),
    )


def _drift_colour(psi: float) -> str:
    if psi > 0.25:
        return RED
    return ORANGE if psi > 0.10 else GREY
