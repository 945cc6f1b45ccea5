"""Charts of what a selection owes to chance: parts of time, and labels shifted in time."""

import plotly.graph_objects as go
import polars as pl

from mmf.alpha_council.noise import NoiseCheck
from mmf.alpha_council.stability import Stability
from mmf.report.drawing import BLUE, GREY, numbers
from mmf.report.parts import Chart

N_FEATURES = 40
SHARES = [[0.0, "#d9dce1"], [0.34, "#9ecae1"], [0.67, "#4292c6"], [1.0, "#08519c"]]


def stability_charts(stability: Stability, /) -> list[Chart]:
    """Return charts of how often features are selected, period by period, and of how often chance does the same."""
    return [_periods(stability), _counts(stability.counts)]


def noise_charts(check: NoiseCheck, /) -> list[Chart]:
    """Return a chart of the columns above the noise, beside those of shifted labels."""
    above = check.counts.filter(rule="above_noise")
    names = [f"{n} voter{'s' if n > 1 else ''} or more" for n in above["min_votes"]]
    chance = go.Bar(
        x=names,
        y=numbers(above["mean_shifted"]),
        name="labels shifted in time",
        marker={"color": GREY},
        error_y={"array": numbers(above["max_shifted"] - above["mean_shifted"]), "arrayminus": [0] * len(names)},
        customdata=above["max_shifted"].to_list(),
        hovertemplate="%{x}: %{y:.1f} in the mean, %{customdata} at most<extra></extra>",
    )
    label = go.Bar(x=names, y=above["count_label"].to_list(), name="the label", marker={"color": BLUE})
    return [
        Chart(
            "Columns above the noise",
            f"Columns whose score on the label is above that on each of {check.n_shifts} labels shifted in time, of "
            f"which they can tell nothing; whiskers reach to the luckiest of those. {check.sentence}",
            go.Figure([label, chance], {"height": 360, "yaxis": {"title": "columns"}}),
        )
    ]


# ------------------------------------------------------------------------------------


def _periods(stability: Stability) -> Chart:
    best = stability.features.head(N_FEATURES)["base"].to_list()
    share = pl.col("is_selected").mean().round(6)
    cells = stability.folds.group_by("base", "fold", maintain_order=True).agg(share)
    of_cell = {(base, fold): value for base, fold, value in cells.iter_rows()}
    periods = sorted(stability.folds["fold"].unique().to_list())
    heat = go.Heatmap(
        x=[f"period {fold + 1}" for fold in periods],
        y=best[::-1],
        z=[[of_cell.get((base, fold)) for fold in periods] for base in reversed(best)],
        zmin=0,
        zmax=1,
        colorscale=SHARES,
        colorbar={"title": "selected", "tickformat": ".0%"},
        hovertemplate="%{y}, %{x}: %{z:.0%} of its columns selected<extra></extra>",
    )
    return Chart(
        "Stability over time",
        f"Share of the lags of a feature that the council selects in each of {len(periods)} periods by itself, the "
        f"earliest first; of all features the {len(best)} most stable.",
        go.Figure(heat, {"height": 160 + 18 * len(best), "xaxis": {"type": "category"}}),
    )


def _counts(counts: pl.DataFrame) -> Chart:
    names = counts["count_folds"].cast(pl.String).to_list()
    bars = [go.Bar(x=names, y=counts["count_columns"].to_list(), name="the label", marker={"color": BLUE})]
    if counts["mean_shifted"].null_count() == 0:
        shifted = numbers(counts["mean_shifted"])
        bars.append(go.Bar(x=names, y=shifted, name="a label shifted in time", marker={"color": GREY}))
    axes = {"xaxis": {"title": "periods in which a column is selected", "type": "category"}}
    return Chart(
        "Stability and chance",
        "How many columns are selected in so many periods, beside the same on a label that they can tell nothing of. "
        "Slow columns are selected again and again on any label: where the bars are alike, stability is no evidence.",
        go.Figure(bars, {"height": 340, "yaxis": {"title": "columns"}} | axes),
    )
