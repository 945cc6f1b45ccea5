"""Charts of the backtest: what trading would have brought, and how much of it is luck."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import plotly.graph_objects as go
import polars as pl

from mmf.report.drawing import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    PURPLE,
    RED,
    by_symbol,
    histogram,
    instants,
    line,
    numbers,
    stacked,
    thin,
    upright,
)
from mmf.report.parts import Chart

BPS = 10_000
N_BEST = 3
PERCENT = {"tickformat": "+.1~%"}


def equity_charts(equity: pl.DataFrame, /) -> list[Chart]:
    """Return the equity beside holding, with its drawdown.

    Parameters
    ----------
    equity : pl.DataFrame
        One row a time: open_time, equity, drawdown; gross and buy_and_hold where there are.
    """
    lines = {
        "equity": ("net of costs", BLUE),
        "gross": ("before costs", GREY),
        "buy_and_hold": ("buy and hold", ORANGE),
    }
    known = [name for name in lines if name in equity.columns]
    shown = thin(equity, [*known, "drawdown"])
    traces = [line(shown, name, name=lines[name][0], colour=lines[name][1]) for name in known]
    fall = line(shown, "drawdown", name="drawdown", colour=RED, row=2, fill="tozeroy", line={"width": 1})
    layout = stacked([3, 1], ["equity", "drawdown"], height=520, yaxis2={"tickformat": ".0%"})
    return [
        Chart(
            "Equity and drawdown",
            "What 1 would have become. The distance between the line net of costs and the one before costs is what the "
            "exchange got; buy and hold is what doing nothing brought. Below: how far the equity stood under its last "
            "peak. Flat stretches are time without a position.",
            go.Figure([*traces, fall], layout),
        )
    ]


def trade_charts(trades: pl.DataFrame, /) -> list[Chart]:
    """Return what each trade brought; none where there was no trade."""
    if trades.is_empty():
        return []
    bars = [
        go.Bar(
            x=instants(rows["entry_time"]),
            y=numbers(rows["net_return"]),
            name=symbol or "trade",
            customdata=rows["reason"].to_list(),
            marker={"color": [GREEN if x > 0 else RED for x in rows["net_return"]]} if not symbol else None,
            hovertemplate="%{x}: %{y:+.2%}, closed by %{customdata}<extra></extra>",
        )
        for symbol, rows in by_symbol(trades)
    ]
    best = np.sort(trades["net_return"].to_numpy())[::-1]
    growth, without = (np.prod(1 + part) - 1 for part in (best, best[N_BEST:]))
    return [
        Chart(
            "Each trade",
            f"Net return of each position at its entry. Compounded they bring {growth:+.1%}, without the best {N_BEST} "
            f"{without:+.1%}: where that changes the sign, the result hangs on a few lucky hours.",
            go.Figure(bars, {"height": 320, "yaxis": PERCENT, "showlegend": len(bars) > 1}),
        )
    ]


def schedule_charts(schedules: pl.DataFrame, verdict: Mapping[str, Any], /) -> list[Chart]:
    """Return the returns of random entry times with the run's own; none without schedules."""
    values = schedules["net_return"].to_numpy()
    if not len(values):
        return []
    own = verdict.get("performance", {}).get("net_return")
    traces = histogram(values, own, name="random schedules", colour=GREY, marked="this run")
    best = schedules["net_return"].quantile(0.99) or 0.0
    top = max(traces[0].y)
    traces.append(upright(best, top, name="best 1 %", colour=BLUE, dash="dot"))
    p = verdict.get("p_random")
    told = "" if p is None else f" Here {p:.1%} of them did as well or better."
    return [
        Chart(
            "Luck: the same trades at random times",
            f"Net return of {len(values):,} schedules with as many trades of the same lengths, placed at random. What "
            f"they bring is what being in the market brings; only what lies far to the right of them is timing.{told}",
            go.Figure(traces, {"height": 380, "xaxis": PERCENT | {"title": {"text": "net return"}}, "bargap": 0}),
        )
    ]


def sweep_charts(sweep: pl.DataFrame, /) -> list[Chart]:
    """Return what each threshold would have brought on training rows, with the one that was taken."""
    told = {"net_return": "net return", "precision": "precision", "recall": "recall"}
    shades = (BLUE, GREEN, PURPLE)
    x = numbers(sweep["threshold"])
    allowed = sweep["is_allowed"].to_list()
    traces = [
        go.Scatter(
            x=x,
            y=numbers(sweep[column]),
            name=name,
            mode="lines+markers",
            line={"color": shade, "width": 1.5},
            marker={"symbol": ["circle" if one else "circle-open" for one in allowed], "size": 7},
            yaxis="y" if column == "net_return" else "y2",
            customdata=sweep["n_trades"].to_list(),
            hovertemplate="%{y:.1%}, %{customdata} trades",
        )
        for (column, name), shade in zip(told.items(), shades, strict=True)
    ]
    for row in sweep.filter(pl.col("is_chosen")).iter_rows(named=True):
        at = {"x": [row["threshold"]], "y": [row["net_return"]], "mode": "markers", "name": "chosen"}
        traces.append(go.Scatter(**at, marker={"symbol": "diamond", "size": 14, "color": RED}, hoverinfo="skip"))
    layout = stacked([2, 1], ["net return", "precision, recall"], height=480, yaxis=PERCENT)
    layout["yaxis2"] |= {"tickformat": ".0%"}
    layout["xaxis"] |= {"title": {"text": "threshold"}}
    return [
        Chart(
            "Threshold sweep",
            "What each threshold would have brought on out-of-fold predictions of training rows. Hollow points break "
            "a constraint (too few trades, or too little recall) and are never chosen. A chosen point on a broad hill "
            "holds better than one on a lonely peak.",
            go.Figure(traces, layout),
        )
    ]


def cost_charts(sensitivity: pl.DataFrame, verdict: Mapping[str, Any], side_cost: float, /) -> list[Chart]:
    """Return the net return of the same trades at other costs, with the cost at which nothing is left.

    None where a fill costs nothing: all factors of nothing are the same.
    """
    paid = BPS * side_cost
    if paid <= 0:
        return []
    x = [float(f"{factor * paid:.4g}") for factor in sensitivity["factor"]]
    returns = numbers(sensitivity["net_return"])
    points = go.Scatter(
        x=x,
        y=returns,
        mode="lines+markers",
        name="net return",
        line={"color": BLUE},
        cliponaxis=False,
        customdata=sensitivity["factor"].to_list(),
        hovertemplate="%{x:.1f} bps a side (%{customdata} times): %{y:+.1%}<extra></extra>",
    )
    known = [value for value in returns if value is not None]
    span = (min([*known, 0.0]), max([*known, 0.0]))
    traces: list[Any] = [points, _across(paid, span, "paid here", GREY)]
    even = verdict.get("performance", {}).get("break_even_cost")
    told = "The trades lose even without costs: no cost is low enough."
    if even is not None and even > 0:
        told = f"Nothing is left at {even * BPS:.1f} bps; {paid:.1f} are reckoned with."
        if even * BPS <= 2 * max(x):
            traces.append(_across(even * BPS, span, "break-even", RED))
    elif even is None:
        told = "Without trades no cost matters."
    axes = {"xaxis": {"title": {"text": "cost of a side, basis points"}, "rangemode": "tozero"}, "yaxis": PERCENT}
    return [
        Chart(
            "Costs",
            f"The same trades at other fees and slippages. {told} The steeper the line, the more the result rests on "
            "being a cheap trader.",
            go.Figure(traces, {"height": 360} | axes),
        )
    ]


# ------------------------------------------------------------------------------------


def _across(x: float, span: tuple[float, float], name: str, colour: str) -> go.Scatter:
    style = {"color": colour, "width": 2, "dash": "dot"}
    return go.Scatter(x=[x, x], y=list(span), mode="lines", name=name, line=style, hoverinfo="name")
