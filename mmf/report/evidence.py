"""Charts of evidence from beyond one split: other folds, noise, and the trials that came before."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import plotly.graph_objects as go
import polars as pl

from mmf.report.drawing import BLUE, CYCLE, GREEN, GREY, ORANGE, RED, histogram, numbers
from mmf.report.parts import Chart, Note, Table

PERCENT = {"tickformat": "+.1~%"}


def fold_charts(folds: pl.DataFrame, /) -> list[Chart]:
    """Return scores and net return of each walk-forward fold; none without folds.

    Parameters
    ----------
    folds : pl.DataFrame
        One row a fold, in time; drawn are pr_auc, base_rate, volatility_pr_auc and net_return, those that there are.
    """
    scores = {
        "pr_auc": ("mixture", BLUE),
        "volatility_pr_auc": ("volatility only", ORANGE),
        "base_rate": ("a coin", GREY),
    }
    known = {name: shown for name, shown in scores.items() if name in folds.columns}
    if folds.is_empty() or not known:
        return []
    x = [f"fold {number}" for number in range(1, folds.height + 1)]
    traces: list[Any] = [
        go.Scatter(x=x, y=numbers(folds[name]), name=told, mode="lines+markers", line={"color": colour})
        for name, (told, colour) in known.items()
    ]
    layout: dict[str, Any] = {"height": 460, "hovermode": "x unified", "xaxis": {"anchor": "y2"}}
    layout["yaxis"] = {"domain": [0.45, 1], "title": {"text": "PR-AUC"}}
    told = ""
    if "net_return" in folds.columns:
        returns = folds["net_return"].cast(pl.Float64).fill_nan(None)
        colours = [GREEN if (value or 0) > 0 else RED for value in returns]
        traces.append(
            go.Bar(x=x, y=numbers(returns), name="net return", marker={"color": colours}, yaxis="y2", showlegend=False)
        )
        layout["yaxis2"] = PERCENT | {"domain": [0, 0.38], "title": {"text": "net return"}}
        told = f" {int((returns > 0).sum())} of {folds.height} folds gained after costs."
    return [
        Chart(
            "Walk-forward folds",
            "The whole pipeline trained anew before each stretch of time and judged on it. An edge shows in most "
            f"folds; one good fold among many is luck.{told}",
            go.Figure(traces, layout),
        )
    ]


def combination_charts(combinations: pl.DataFrame, /) -> list[Chart]:
    """Return how scores spread over the combinations of a purged cross-validation; none without them."""
    values = combinations["pr_auc"].drop_nulls().to_numpy() if "pr_auc" in combinations.columns else np.zeros(0)
    if not len(values):
        return []
    base = float(combinations["base_rate"].to_numpy().mean()) if "base_rate" in combinations.columns else None
    traces = histogram(values, base, name="combinations", colour=BLUE, marked="a coin")
    return [
        Chart(
            "Combinations of training and judged time",
            f"PR-AUC of {len(values)} combinations of blocks of time, each trained on the others. Where a good part of "
            "the bars lies left of the coin, which time one happens to be judged on decides.",
            go.Figure(traces, {"height": 340, "xaxis": {"title": {"text": "PR-AUC"}}, "bargap": 0}),
        )
    ]


def noise_floor_charts(noise: pl.DataFrame, own: Mapping[str, float | None], /) -> list[Chart]:
    """Return the scores of the same pipeline on markets without any edge, with the run's own; none without them.

    Parameters
    ----------
    noise : pl.DataFrame
        kind, pr_auc, roc_auc, net_return.
    own : mapping
        The run's roc_auc, pr_auc and net_return.
    """
    if noise.is_empty():
        return []
    # PR-AUC hangs on each market's base rate; ROC-AUC can be compared
    score = "roc_auc" if "roc_auc" in noise.columns else "pr_auc"
    known = noise.filter(pl.col(score).is_not_null())
    kinds = known["kind"].unique(maintain_order=True).to_list()
    values = known[score].to_numpy()
    mine = own.get(score)
    reach = values if mine is None else np.append(values, mine)
    margin = 0.05 * (reach.max() - reach.min()) + 1e-6  # so that a mark does not lie on the frame
    edges = np.linspace(reach.min() - margin, reach.max() + margin, 25)
    traces: list[Any] = []
    for kind, colour in zip(kinds, CYCLE, strict=False):
        counts, _ = np.histogram(known.filter(pl.col("kind") == kind)[score].to_numpy(), bins=edges)
        bars = {"x": ((edges[1:] + edges[:-1]) / 2).round(5).tolist(), "y": counts.tolist()}
        traces.append(go.Bar(**bars, name=f"{kind} market", marker={"color": colour, "opacity": 0.75}))
    told = ""
    if mine is not None:
        style = {"color": RED, "width": 2.5}
        top = np.sum([bars.y for bars in traces], axis=0).max()
        traces.append(go.Scatter(x=[mine] * 2, y=[0, float(top)], name="this run", mode="lines", line=style))
        told = f" This run lies above {(values < mine).mean():.0%} of them."
    axis = {"title": {"text": "ROC-AUC" if score == "roc_auc" else "PR-AUC"}}
    return [
        Chart(
            "Noise floor",
            f"What the same pipeline scores on {len(values)} simulated markets with the same volatility and no edge "
            f"at all.{told} A score inside of this heap is what the pipeline makes of nothing.",
            go.Figure(traces, {"height": 360, "barmode": "stack", "bargap": 0.05, "xaxis": axis}),
        )
    ]


def audit_tables(audit: pl.DataFrame, /) -> list[Table]:
    """Return the checks of the leak audit, those that failed first; none without any.

    Parameters
    ----------
    audit : pl.DataFrame
        check_name, status, finding.
    """
    if audit.is_empty():
        return []
    n_failed, n_skipped = (int((audit["status"] == status).sum()) for status in ("fail", "skipped"))
    told = f"{n_failed} failed: nothing above counts before they are mended." if n_failed else "None failed."
    if n_skipped:
        told += f" {n_skipped} could not be made: that is no clean bill."
    return [
        Table(
            "Leak audit",
            f"Whether anything knew more than it could have known at its time: {audit.height} checks. {told}",
            audit.sort(
                pl.col("status").replace_strict({"fail": 0, "skipped": 1}, default=2), maintain_order=True
            ).select("check_name", "status", "finding"),
            status="status",
        )
    ]


def trial_charts(trials: pl.DataFrame, run_id: str, /) -> list[Chart | Note]:
    """Return net return or score of every training of the series so far, with this one marked; none without them."""
    if trials.is_empty():
        return []
    if trials.height == 1:
        text = (
            "This is the first training on this series. The best of many tries looks good without skill: each later one"
        )
        return [Note("Trials so far", f"{text} is shown here, and counts in the verdict.")]
    own = [one == run_id for one in trials["run_id"]]
    is_known = "net_return" in trials.columns and trials["net_return"].is_not_null().any()
    column, title = ("net_return", "net return") if is_known else ("pr_auc", "PR-AUC")
    points = go.Scatter(
        x=list(range(1, trials.height + 1)),
        y=numbers(trials[column]),
        mode="markers",
        marker={
            "size": [13 if one else 8 for one in own],
            "color": [RED if one else GREY for one in own],
            "symbol": ["diamond" if one else "circle" for one in own],
            "opacity": 1,
        },
        customdata=trials["run_id"].to_list(),
        hovertemplate="%{customdata}: %{y:.3f}<extra></extra>",
    )
    axes: dict[str, Any] = {"xaxis": {"title": {"text": "training"}, "dtick": 1 if trials.height < 20 else None}}
    axes["yaxis"] = {"title": {"text": title}} | (PERCENT if is_known else {})
    return [
        Chart(
            "Trials so far",
            f"All {trials.height} trainings on this series; the diamond is this run. The best of many tries looks good "
            "without skill, so the verdict counts all of them.",
            go.Figure(points, {"height": 320} | axes),
        )
    ]
