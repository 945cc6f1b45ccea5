"""`mmf runs`: the trained runs."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from cli.console import print_json, print_table, results
from cli.options import ConfigOption, JsonOption, WarehouseOption, open_warehouse
from cli.settings import read_settings
from cli.stages import show_card

if TYPE_CHECKING:
    from warehouse import Run

app = typer.Typer(help="List, show and compare trained runs.", no_args_is_help=True)


@app.command("list")
def list_runs(*, warehouse: WarehouseOption = None, config: ConfigOption = None, json: JsonOption = False) -> None:
    """List the runs of this warehouse, newest first."""
    with open_warehouse(warehouse, read_settings(config)) as opened:
        runs = sorted(opened.runs(), key=lambda run: run.run_id, reverse=True)
    if json:
        print_json([run.card for run in runs])
        return
    if not runs:
        results.print("No run yet. Start with: mmf run --offline, or mmf demo")
        return
    columns = ("run", "series", "table state", "verdict", "net return", "PR-AUC", "volatility only", "base rate")
    print_table([_line(run) for run in runs], columns, right=columns[4:])


@app.command("show")
def show(
    run_id: Annotated[str, typer.Argument(metavar="RUN", help="As `mmf runs list` names it, `latest` or `previous`.")],
    *,
    warehouse: WarehouseOption = None,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Show the card of one run."""
    with open_warehouse(warehouse, read_settings(config)) as opened:
        card = _found(opened.runs(), run_id).card
    print_json(card) if json else show_card(card)


@app.command("compare")
def compare(
    run_ids: Annotated[list[str], typer.Argument(metavar="RUN RUN...", help="Two or more, `latest` among them.")],
    *,
    warehouse: WarehouseOption = None,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Put runs beside each other: data, settings that differ, verdicts, scores."""
    from mmf.pipeline.compare import compare_runs

    with open_warehouse(warehouse, read_settings(config)) as opened:
        runs = opened.runs()
    found = compare_runs([_found(runs, run_id).card for run_id in run_ids])
    if json:
        print_json(
            {
                "is_same_rows": found.is_same_rows,
                **{name: getattr(found, name).to_dicts() for name in ("facts", "config", "scores")},
            }
        )
        return
    print_table(found.facts.rows(), found.facts.columns)
    if not found.config.is_empty():
        results.print("\nsettings that differ", style="bold")
        print_table(found.config.rows(), found.config.columns)
    results.print("\nscores", style="bold")
    if not found.is_same_rows:
        results.print("  These runs were judged on different rows: their scores do not compare.", style="bold yellow")
    shown = found.scores.filter(found.scores["score"].is_in(["pr_auc", "roc_auc", "log_loss"]))
    rows = [(model, score, *("-" if x is None else f"{x:.3f}" for x in told)) for model, score, *told in shown.rows()]
    print_table(rows, shown.columns, right=shown.columns[2:])


# ------------------------------------------------------------------------------------


def _found(runs: "Sequence[Run]", run_id: str) -> "Run":
    from mmf.pipeline.run_names import named_run

    known = {run.run_id: run for run in runs}
    return known[named_run(run_id, known, where="this warehouse")]


def _line(run: "Run") -> tuple[object, ...]:
    from mmf.cards import series_of

    scores, verdict = run.card.get("scores", {}), run.card.get("verdict") or {}
    mixture, volatility = scores.get("mixture", {}), scores.get("volatility only", {})
    gained = (verdict.get("performance") or {}).get("net_return")
    return (
        run.run_id,
        "\n".join(series_of(run.card)),
        run.table_state,
        verdict.get("answer", "-"),
        "-" if gained is None else f"{gained:+.1%}",
        mixture.get("pr_auc"),
        volatility.get("pr_auc"),
        mixture.get("base_rate"),
    )
