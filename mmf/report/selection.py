"""Charts of the selection: what the council voted for, and what the refinery made of it."""

from collections.abc import Mapping, Sequence
from typing import Any

import plotly.graph_objects as go
import polars as pl
from plotly.colors import sample_colorscale

from mmf.alpha_council.families import by_feature, by_lag
from mmf.report.drawing import BLUE, GREY, ORANGE
from mmf.report.parts import Chart

N_FEATURES = 40
VOTES = [[0.0, "#d9dce1"], [0.34, "#9ecae1"], [0.67, "#4292c6"], [1.0, "#08519c"]]
SIGNED = "RdBu"
PALE = {BLUE: "#6ca8e0", GREY: "#a2a9b5"}  # of the columns within a cluster


def council_charts(votes: pl.DataFrame, /) -> list[Chart]:
    """Return charts of `AlphaCouncil.votes_`: votes by feature and lag, and what each lag is worth."""
    best = by_feature(votes).head(N_FEATURES)["base"].to_list()
    cells = votes.filter(pl.col("base").is_in(best))
    lags = sorted(cells["lag"].unique().to_list())
    of_cell = {(row["base"], row["lag"]): row for row in cells.iter_rows(named=True)}
    rows = [[of_cell.get((base, lag), {}) for lag in lags] for base in reversed(best)]
    names = [str(lag) for lag in lags]
    voters = [name.removesuffix("_score") for name in votes.columns if name.endswith("_score")]
    heat = go.Heatmap(
        x=names,
        y=best[::-1],
        z=[[cell.get("mean_rank") for cell in row] for row in rows],
        customdata=[[_ballot(cell, voters) for cell in row] for row in rows],
        colorscale=VOTES,
        reversescale=True,
        colorbar={"title": "mean rank"},
        hovertemplate="%{y}, lag %{x}: mean rank %{z:.0f}<br>%{customdata}<extra></extra>",
    )
    of_lags = by_lag(votes)
    bars = go.Bar(
        x=names,
        y=of_lags["share_selected"].to_list(),
        marker_color="#4292c6",
        hovertemplate="lag %{x}: %{y:.0%} selected<extra></extra>",
    )
    return [
        Chart(
            "Ranks in the council",
            f"The {len(best)} features that rank best, each with its lags: the darker, the better the mean rank over "
            "the voters. A row of one shade is a slow feature, whose lags tell the same. Point at a cell: "
            "votes, and each voter's rank and score.",
            go.Figure(heat, {"height": 160 + 18 * len(best), "xaxis": {"title": "lag in bars", "type": "category"}}),
        ),
        Chart(
            "What each lag is worth",
            "Share of the columns of each lag that were selected; lag 0 is the feature itself. Equal bars mean that "
            "the past adds nothing but copies.",
            go.Figure(
                bars,
                {
                    "height": 300,
                    "xaxis": {"title": "lag in bars", "type": "category"},
                    "yaxis": {"title": "selected", "tickformat": ".0%"},
                },
            ),
        ),
    ]


def refinery_charts(
    clusters: pl.DataFrame, members: pl.DataFrame, latents: pl.DataFrame, loadings: pl.DataFrame, /
) -> list[Chart]:
    """Return charts of a fitted `TensorFlex`, from its tables of these names."""
    return [_cluster_map(clusters, members), _talk(clusters), _latents(latents), _loadings(latents, loadings)]


def strongest(loadings: pl.DataFrame, /) -> dict[str, str]:
    """Return the base feature that goes along most with each latent."""
    ranked = loadings.filter(pl.col("is_member")).sort(pl.col("correlation").abs(), descending=True)
    return dict(ranked.group_by("latent").agg(pl.col("base").first()).rows())


# ------------------------------------------------------------------------------------


def _ballot(cell: Mapping[str, Any], voters: Sequence[str]) -> str:
    """What the voters say of a column, a line each."""
    if not cell:
        return ""
    lines = [f"{voter}: rank {cell[f'{voter}_rank']:,}, score {cell[f'{voter}_score']:.4g}" for voter in voters]
    return "<br>".join([f"{cell['count_votes']} votes", *lines])


def _cluster_map(clusters: pl.DataFrame, members: pl.DataFrame) -> Chart:
    told = clusters.select("cluster", "representative", "n_stable").rows()
    names = {cluster: f"{cluster}: {column}" for cluster, column, _ in told}
    shades = {cluster: BLUE if n_stable else GREY for cluster, _, n_stable in told}
    within = [PALE[shades[cluster]] for cluster in members["cluster"]]
    tree = go.Treemap(
        labels=[*names.values(), *members["column"]],
        parents=[*[""] * len(names), *(names[cluster] for cluster in members["cluster"])],
        marker={"colors": [*shades.values(), *within], "line": {"width": 1}, "pad": {"t": 18, "b": 2, "l": 2, "r": 2}},
        textfont={"color": "#ffffff"},
        hovertemplate="%{label}<extra></extra>",
        tiling={"pad": 1},
        maxdepth=2,
    )
    return Chart(
        "Clusters of columns",
        "Columns that move together lie in one box, named after the one that stands for the others; the larger a box, "
        "the more of them say the same thing. Blue clusters have a latent that points the same way in most parts of "
        "time, which the classic experts read. Click on a cluster to look into it.",
        go.Figure(
            tree,
            {
                "height": 520,
                "margin": {"t": 10, "l": 0, "r": 0, "b": 10},
                "uniformtext": {"minsize": 10, "mode": "hide"},
            },
        ),
    )


def _talk(clusters: pl.DataFrame) -> Chart:
    ordered = clusters.sort("size", "cluster", descending=[True, False])
    told = [
        f"{row['size']} columns, alpha {row['alpha']:g}, {row['variance_left']:.0%} of the variance left, "
        f"{row['n_latents']} latents explain {row['explained_variance']:.0%} of that, {row['n_stable']} of them stable"
        for row in ordered.select(
            "size", "alpha", "variance_left", "n_latents", "explained_variance", "n_stable"
        ).iter_rows(named=True)
    ]
    traces = [
        go.Scatter(
            x=ordered["representative"].to_list(),
            y=ordered[f"{of}_{when}"].to_list(),
            name=f"{what}, {when}",
            mode="markers",
            marker={"color": colour, "symbol": symbol, "size": 8},
            customdata=told,
            hovertemplate=f"%{{x}}<br>{what} {when}: %{{y:.2f}}<br>%{{customdata}}<extra></extra>",
        )
        for of, what, colour in (("cross", "with other clusters", BLUE), ("intra", "within", ORANGE))
        for when, symbol in (("before", "circle-open"), ("after", "circle"))
    ]
    return Chart(
        "What Tensor Talk took away",
        "Mean absolute correlation of each cluster's columns with those of other clusters and among themselves, before "
        "(rings) and after (dots) what it shares with its nearest clusters was subtracted; the largest cluster first. "
        "Blue should fall, orange stay. Point at one: how much was subtracted, and what its latents explain.",
        go.Figure(
            traces,
            {"height": 560, "xaxis": {"tickangle": -90}, "yaxis": {"title": "correlation", "rangemode": "tozero"}},
        ),
    )


def _latents(latents: pl.DataFrame) -> Chart:
    ordered = latents.sort(pl.col("alignment").abs(), "latent", descending=[True, False])
    shown = ordered.head(N_FEATURES)
    bars = go.Bar(
        x=shown["latent"].to_list(),
        y=shown["alignment"].to_list(),
        marker_color=sample_colorscale(VOTES, shown["stability"].to_list()),
        customdata=shown.select("stability", "explained_variance").rows(),
        hovertemplate="%{x}: %{y:+.3f}, stability %{customdata[0]:.2f}, explains %{customdata[1]:.0%} of its cluster"
        "<extra></extra>",
    )
    return Chart(
        "Latents and the label",
        "Correlation of each latent with the label over the training rows. Dark bars point the same way in most parts "
        "of time; pale ones do not, however tall they are, and the classic experts do not read them.",
        go.Figure(bars, {"height": 420, "yaxis": {"title": "correlation with the label"}}),
    )


def _loadings(latents: pl.DataFrame, loadings: pl.DataFrame) -> Chart:
    chosen = (
        latents.filter(pl.col("is_stable"))
        .sort(pl.col("alignment").abs(), descending=True)
        .head(20)["latent"]
        .to_list()
    )
    of_bases = (
        loadings.filter(pl.col("latent").is_in(chosen) & pl.col("is_member"))
        .group_by("latent", "base", maintain_order=True)
        .agg(pl.col("correlation").sort_by(pl.col("correlation").abs(), descending=True).first())
    )
    strength = of_bases.group_by("base", maintain_order=True).agg(pl.col("correlation").abs().max())
    bases = strength.sort("correlation", "base", descending=[True, False]).head(N_FEATURES)["base"].to_list()
    value = {(row["latent"], row["base"]): row["correlation"] for row in of_bases.iter_rows(named=True)}
    heat = go.Heatmap(
        x=chosen,
        y=bases[::-1],
        z=[[value.get((latent, base)) for latent in chosen] for base in reversed(bases)],
        zmid=0,
        zmin=-1,
        zmax=1,
        colorscale=SIGNED,
        colorbar={"title": "correlation"},
        hovertemplate="%{y} in %{x}: %{z:+.2f}<extra></extra>",
    )
    return Chart(
        "What the stable latents are made of",
        "Correlation of base features with the stable latents (the strongest of each feature's lags); blue goes along, "
        "red against. An empty cell means that the feature is not in the latent's cluster.",
        go.Figure(heat, {"height": 160 + 18 * len(bases)}),
    )
