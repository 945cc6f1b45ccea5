"""How a run is shown on the console, stage by stage."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cli.console import print_facts, print_table, results

if TYPE_CHECKING:
    import numpy as np

    from mmf.evaluation.scores import Scores
    from mmf.evaluation.suspicion import Finding
    from mmf.pipeline.artifacts import RunArtifacts
    from mmf.pipeline.prepare import Prepared
    from mmf.pipeline.refine import Refined
    from mmf.pipeline.run import Primed
    from mmf.pipeline.stages import Judged, Selected, Traded, Trained
    from mmf.scheduler import Recommendation

_N_TOP = 8
_SIGN_NAMES = {
    "gating_network_params": "Gating Network Params",
    "trend_expert_nodes": "Trend Expert Nodes",
    "range_memory_units": "Range Memory Units",
    "stress_coefficients": "Stress Coefficients",
    "trend_head_params": "Trend Head Params",
    "graph_params": "GraphVisionary Params",
    "cnn_params": "Temporal CNN Params",
    "total": "TOTAL AI PARAMETERS",
    "neural_params": "of these neural",
}
_BAR_WIDTH = 40
_COLOURS = {"edge": "bold green", "inconclusive": "bold yellow", "no edge": "bold red", "suspicious": "bold red"}


def show_stage(stage: object) -> None:
    """Print what a run has just reached."""
    from mmf.pipeline.prepare import Prepared
    from mmf.pipeline.refine import Refined
    from mmf.pipeline.stages import Judged, Selected, Traded, Trained
    from mmf.scheduler import Recommendation

    match stage:
        case Prepared():
            show_prepared(stage)
        case Selected():
            show_selected(stage)
        case Refined():
            show_refined(stage)
        case Recommendation():
            show_recommendation(stage)
        case Trained():
            show_trained(stage)
        case Judged():
            show_judged(stage)
        case Traded():
            show_verdict(stage.verdict.as_dict() | _comparison(stage), has_funding=stage.has_funding)


def show_prepared(prepared: "Prepared") -> None:
    """Print [1] DATA."""
    dataset, training, judged = prepared.dataset, prepared.training, prepared.judged
    facts = {
        "series": ", ".join(map(str, prepared.state.all_series)),
        "table state": prepared.state,
        "rows": f"{len(dataset.rows):,}  {_span(dataset.rows.open_time_ms)}",
        "training rows": f"{len(training):,}  {_span(training.open_time_ms)}",
        "judged rows": f"{len(judged):,}  {_span(judged.open_time_ms)}, {prepared.n_unlabelled} not labelled yet",
        "purged between": f"{prepared.n_purged:,} rows whose labels reach across the cut",
        "missing bars": dataset.n_missing_bars,
    }
    if dataset.n_cold:
        facts["not warm"] = f"{dataset.n_cold:,} rows lack the full memory of some column: too few bars before them"
    print_facts(facts, title="[1] DATA")


def show_selected(selected: "Selected") -> None:
    """Print [2] FEATURES AND COUNCIL."""
    votes = selected.council.votes_
    print_facts(
        {
            "columns": f"{votes.height:,}: {votes['base'].n_unique()} features, each with its lags",
            "selected": f"{len(selected.columns):,} by at least two of three voters; {_agreed(selected)}",
            "linear voter": _linear(selected),
        },
        title="\n[2] FEATURES AND COUNCIL",
    )
    ranks = {"linear": "linear_rank", "forest": "forest_rank", "mutual information": "mutual_rank"}
    top = votes.filter("is_selected").head(_N_TOP).select("column", *ranks.values())
    print_table(top.rows(), ("best by mean rank", *ranks), right=tuple(ranks))
    _show_suspicious(selected.suspicious)


def show_refined(refined: "Refined") -> None:
    """Print [3] TENSOR-FLEX."""
    if refined.flex is None:
        results.print("\n[3] TENSOR-FLEX is off: the classic experts read the council's columns.", style="bold")
        return
    facts = refined.flex.report()
    shifted, correlation = facts["shifted_labels"], facts["mean_absolute_correlation"]
    shown = {
        "clusters": f"{facts['count_clusters']} of {facts['count_columns']:,} columns",
        "latents": f"{facts['count_latents']}, of which {facts['count_stable']} tell the same in most parts of time",
        "by chance": f"{shifted['mean_stable']:.1f} would on labels shifted in time, at most {shifted['max_stable']}",
        "columns": f"{len(refined.columns)} for the experts, the physics trio among them",
        "correlation": f"across clusters {correlation['cross_before']:.2f} -> {correlation['cross_after']:.2f}, "
        f"within {correlation['intra_before']:.2f} -> {correlation['intra_after']:.2f}",
    }
    if refined.is_reused:
        shown["reused"] = "fitted by an earlier run on the very same rows"
    if refined.why_not_reused:
        shown["fitted anew"] = "; ".join(refined.why_not_reused)
    print_facts(shown, title="\n[3] TENSOR-FLEX")
    stable = [latent for latent in facts["latents"] if latent["is_stable"]]
    top = sorted(stable, key=lambda latent: -abs(latent["alignment"]))[:_N_TOP]
    columns = ("latent", "label correlation", "stability", "loads on")
    rows = [
        (
            latent["latent"],
            f"{latent['alignment']:+.3f}",
            f"{latent['stability']:.2f}",
            ", ".join(loading["column"] for loading in latent["loadings"][:3]),
        )
        for latent in top
    ]
    print_table(rows, columns, right=columns[1:3])


def show_recommendation(recommendation: "Recommendation") -> None:
    """Print the head of [4] MIXED MODE TRAINING."""
    results.print("\n[4] MIXED MODE TRAINING (Mixture-of-Experts)", style="bold", markup=False)
    results.print(f"  Meta-Controller recommends: {recommendation.effort.as_dict()}", markup=False)
    for reason in recommendation.reasons:
        results.print(f"  because {reason}", markup=False)


def show_trained(trained: "Trained") -> None:
    """Print [5] SYSTEM VITAL SIGNS."""
    signs = trained.trader.vital_signs()
    print_facts({_SIGN_NAMES[name]: value for name, value in signs.items()}, title="\n[5] SYSTEM VITAL SIGNS")
    for name, reason in trained.trader.absent_.items():
        results.print(f"  {name} is left out: {reason}", markup=False)
    _show_epochs(trained)
    if trained.trader.collapsed_on_ is not None:
        results.print(
            f"  The gate has collapsed: nearly all weight goes to {trained.trader.collapsed_on_}.", markup=False
        )
    if trained.trader.calibration_.is_flat:
        results.print(
            "  Out of fold the mixture did not rank the labels: its calibrated probabilities are nearly flat.",
            markup=False,
        )


def show_judged(judged: "Judged") -> None:
    """Print gating shares and scores."""
    results.print("\n[MoE] Gating Shares", style="bold", markup=False)
    for name, share in judged.telemetry.items():
        if name.startswith("share_"):
            bar = "█" * round(share * _BAR_WIDTH)
            results.print(f"  {name.removeprefix('share_'):<8} {share:6.1%}  {bar}", markup=False)
    others = {name: value for name, value in judged.telemetry.items() if not name.startswith("share_")}
    print_facts({name.replace("_", " "): f"{value:.3f}" for name, value in others.items()})
    _show_uplift(judged)
    show_scores({name: scores.as_dict() for name, scores in judged.scores.items()})
    _show_suspicious(judged.suspicious)


def show_scores(scores: Mapping[str, Mapping[str, Any]]) -> None:
    """Print the table of scores on judged rows, beside the base rate and the volatility-only baseline."""
    mixture = scores["mixture"]
    results.print("\n[6] OUT-OF-SAMPLE SCORES", style="bold", markup=False)
    print_facts(
        {
            "judged rows": f"{mixture['n']:,}, about {mixture['n_effective']:.0f} of them independent: labels overlap",
            "base rate": f"{mixture['base_rate']:.3f}: the PR-AUC of a coin, and the precision of always saying yes",
            "threshold": f"{mixture['threshold']:.3f}, chosen on out-of-fold training predictions",
        }
    )
    columns = ("precision", "recall", "pr_auc", "roc_auc", "brier", "log_loss")
    rows = [(name, *(_score(values[column]) for column in columns)) for name, values in scores.items()]
    heads = ("model", "precision", "recall", "PR-AUC", "ROC-AUC", "Brier", "log-loss")
    print_table(rows, heads, right=heads[1:])


def show_verdict(verdict: Mapping[str, Any], *, has_funding: bool) -> None:
    """Print [7] VERDICT: three sentences, and what they rest on."""
    results.print("\n[7] VERDICT", style="bold", markup=False)
    first, *others = verdict["sentences"]
    results.print(f"  {first}", style=_COLOURS[verdict["answer"]], markup=False, soft_wrap=True)
    for sentence in others:
        results.print(f"  {sentence}", markup=False, soft_wrap=True)
    found = verdict["performance"]
    funding = "funding as the warehouse has it" if has_funding else "no funding rates stored: mmf ingest funding"
    print_facts(
        {
            "net return": f"{found['net_return']:+.1%} after costs, {found['gross_return']:+.1%} before; {funding}",
            "buy and hold": f"{verdict['buy_and_hold']:+.1%}",
            "Sharpe": f"{_told(found['sharpe'], '.2f')} a year, Sortino {_told(found['sortino'], '.2f')}, "
            f"deepest fall {found['max_drawdown']:.1%}",
            "trades": f"{found['n_trades']}, {_told(found['hit_rate'], '.0%')} with a gain, in the market "
            f"{found['exposure']:.0%} of the time, turnover {found['turnover']:.0f} a year",
            "break-even": f"{_told(found['break_even_cost'], '.3%')} a side would have taken all of it",
            "trials": f"{verdict['n_trials']} on this series; deflated Sharpe "
            f"{_told(verdict['deflated_sharpe'], '.3f')}, probability of overfitting "
            f"{_told(verdict['overfitting_probability'], '.2f')}",
        }
    )


def show_artifacts(artifacts: "RunArtifacts", page: Path) -> None:
    """Print where the run's files are, at last its report."""
    print_facts(
        {
            "predictions": artifacts.predictions,
            "run card": artifacts.card,
            "all of it": f"{artifacts.folder}   (mmf runs show {artifacts.run_id})",
            "report": page,
        },
        title="\nRun " + artifacts.run_id,
    )


def show_primed(primed: "Primed") -> None:
    """Print where the refinery is."""
    results.print(f"\nThe refinery is kept in {primed.folder}: a run on the same rows takes it.", soft_wrap=True)


def show_ceiling(ceiling: "Scores") -> None:
    """Print what a perfect model of the simulated market would have scored."""
    results.print(
        "\nThe simulated market knows the true probability of every label. "
        "On these judged rows the truth itself scores "
        f"PR-AUC {ceiling.pr_auc:.3f}, Brier {ceiling.brier:.3f}, ROC-AUC {ceiling.roc_auc:.3f}. "
        f"On about {ceiling.n_effective:.0f} independent rows luck moves such figures by more than models do:\n"
        "another market (mmf ingest simulated --seed N), another result. See docs/simulated_market.md.",
        soft_wrap=True,
    )


def show_card(card: Mapping[str, Any]) -> None:
    """Print a run card."""
    from mmf.cards import series_of

    facts = {name: card[name] for name in ("series", "table_state", "created_at", "definition_hash")}
    facts["series"] = ", ".join(series_of(card))
    print_facts(facts, title=f"run {card['run_id']}")
    print_facts(card["hashes"], title="hashes")
    print_facts(card["environment"]["packages"], title="packages")
    show_scores(card["scores"])
    if card.get("verdict"):
        show_verdict(card["verdict"], has_funding=card["has_funding"])


# ------------------------------------------------------------------------------------


def _show_suspicious(findings: "Sequence[Finding]") -> None:
    """Print what is too good to be true."""
    for finding in findings:
        results.print(f"  SUSPICIOUS: {finding.reason}", style="bold red", markup=False, soft_wrap=True)


def _show_epochs(trained: "Trained") -> None:
    """Print how long the networks were trained, and where."""
    from mmf.experts.neural import choose_device

    epochs = trained.trader.epochs_
    if epochs.is_empty():
        return
    results.print(f"  Networks were trained on the {choose_device().type}:", markup=False)
    columns = ("network", "fit", "epochs", "updates", "loss", "validation loss")
    rows = [
        (expert, fit, runs.height, runs["n_updates"].sum(), runs["loss"][-1], runs["validation_loss"].min())
        for (expert, fit), runs in epochs.group_by("expert", "fit", maintain_order=True)
    ]
    print_table(rows, columns, right=columns[2:])


def _show_uplift(judged: "Judged") -> None:
    """Print what each expert is worth."""
    if not judged.uplift:
        return
    columns = ("without", "log-loss rises by", "95 % interval")
    rows = [(one.expert, f"{one.uplift:+.4f}", f"{one.low:+.4f} to {one.high:+.4f}") for one in judged.uplift]
    print_table(rows, columns, right=columns[1:])


def _span(open_time_ms: "np.ndarray") -> str:
    first, last = (datetime.fromtimestamp(open_time_ms[i] / 1000, UTC) for i in (0, -1))
    return f"{first:%Y-%m-%d %H:%M} to {last:%Y-%m-%d %H:%M} UTC"


def _comparison(traded: "Traded") -> dict[str, float | None]:
    return {
        "buy_and_hold": float(traded.equity["buy_and_hold"][-1] - 1),
        "overfitting_probability": traded.overfitting_probability,
    }


def _told(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)


def _score(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _agreed(selected: "Selected") -> str:
    """How alike two seeds would vote."""
    agreement = selected.council.agreement_
    if agreement is None:
        return "seeds were not compared"
    jaccard = agreement.filter(agreement["voter"] == "council")["jaccard"].item()
    return f"a forest of another seed would leave {jaccard:.0%} of them the same (Jaccard)"


def _linear(selected: "Selected") -> str:
    council = selected.council
    if council.is_lasso_empty_:
        return "the Lasso kept no column; it ranks by ANOVA F alone"
    n_kept = int((council.votes_["linear_score"] != 0).sum())
    return f"the Lasso kept {n_kept:,} columns at alpha {council.lasso_alpha_:.3g}; the rest rank by ANOVA F"
