"""How a run is shown on the console, stage by stage."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from cli.console import print_facts, print_table, results

if TYPE_CHECKING:
    from mmf.pipeline.train import Judged, Prepared, Selected, Trained
    from mmf.scheduler import Recommendation

_N_TOP = 8
_BAR_WIDTH = 40


def show_prepared(prepared: "Prepared") -> None:
    """Print [1] DATA."""
    dataset, training, judged = prepared.dataset, prepared.training, prepared.judged
    facts = {
        "series": dataset.series,
        "table state": prepared.state,
        "rows": f"{len(dataset.rows):,}  {_span(dataset.rows.open_time_ms)}",
        "training rows": f"{len(training):,}  {_span(training.open_time_ms)}",
        "judged rows": f"{prepared.n_judged:,}  {_span(judged.open_time_ms)}",
        "purged between": f"{len(dataset.rows) - len(training) - len(judged):,} rows whose labels reach across the cut",
        "missing bars": dataset.n_missing_bars,
    }
    if dataset.n_cold:
        facts["not warm"] = f"{dataset.n_cold:,} rows lack the full memory of some column: too few bars before them"
    print_facts(facts, title="[1] DATA")


def show_selected(selected: "Selected", n_base: int) -> None:
    """Print [2] FEATURES AND COUNCIL."""
    votes = selected.council.votes_
    print_facts(
        {
            "columns": f"{votes.height:,}: {n_base} features, each with its lags",
            "selected": f"{len(selected.columns):,} by at least two of three voters",
            "linear voter": _linear(selected),
        },
        title="\n[2] FEATURES AND COUNCIL",
    )
    top = votes.filter("is_selected").with_columns(mean_rank=_mean_rank()).sort("mean_rank", "column").head(_N_TOP)
    ranks = ("linear_rank", "forest_rank", "mutual_rank")
    rows = top.select("column", *ranks).rows()
    print_table(
        rows,
        ("  best by mean rank", "linear", "forest", "mutual information"),
        right=("linear", "forest", "mutual information"),
    )


def show_recommendation(recommendation: "Recommendation") -> None:
    """Print the head of [3] MIXED MODE TRAINING."""
    results.print("\n[3] MIXED MODE TRAINING (Mixture-of-Experts)", style="bold", markup=False)
    results.print(f"  Meta-Controller recommends: {recommendation.effort.as_dict()}", markup=False)
    for reason in recommendation.reasons:
        results.print(f"  because {reason}", markup=False)


def show_trained(trained: "Trained") -> None:
    """Print [4] SYSTEM VITAL SIGNS."""
    signs = trained.trader.vital_signs()
    total = signs.pop("total")
    facts = {_SIGN_NAMES.get(name, name): value for name, value in signs.items()}
    print_facts({**facts, "TOTAL AI PARAMETERS": total}, title="\n[4] SYSTEM VITAL SIGNS")


def show_judged(judged: "Judged") -> None:
    """Print gating shares and scores."""
    results.print("\n[MoE] Gating Shares", style="bold", markup=False)
    for name, share in judged.telemetry.items():
        if name.startswith("share_"):
            bar = "█" * round(share * _BAR_WIDTH)
            results.print(f"  {name.removeprefix('share_'):<8} {share:6.1%}  {bar}", markup=False)
    show_scores({name: scores.as_dict() for name, scores in judged.scores.items()})


def show_scores(scores: Mapping[str, Mapping[str, Any]]) -> None:
    """Print the table of scores on judged rows, beside the base rate and the volatility-only baseline."""
    mixture = scores["mixture"]
    results.print("\n[5] OUT-OF-SAMPLE SCORES", style="bold", markup=False)
    print_facts(
        {
            "judged rows": f"{mixture['n']:,}, worth about {mixture['n_effective']:.0f} independent ones (labels overlap)",
            "base rate": f"{mixture['base_rate']:.3f}: the PR-AUC of a coin, and the precision of always saying yes",
            "threshold": f"{mixture['threshold']:.3f}, chosen on out-of-fold training predictions",
        }
    )
    columns = ("precision", "recall", "pr_auc", "brier", "roc_auc")
    rows = [(f"  {name}", *(values[column] for column in columns)) for name, values in scores.items()]
    heads = ("  model", "precision", "recall", "PR-AUC", "Brier", "ROC-AUC")
    print_table(rows, heads, right=heads[1:])


def show_card(card: Mapping[str, Any]) -> None:
    """Print a run card."""
    facts = {name: card[name] for name in ("series", "table_state", "created_at", "definition_hash")}
    print_facts({**facts, **card["rows"]}, title=f"run {card['run_id']}")
    print_facts(card["hashes"], title="hashes")
    print_facts(card["environment"]["packages"], title="packages")
    show_scores(card["scores"])
