"""`mmf runs`: the trained runs."""

from typing import Annotated

import typer

from cli.console import print_json, print_table, results
from cli.options import ConfigOption, JsonOption, WarehouseOption, open_warehouse
from cli.settings import read_settings
from cli.stages import show_card
from mmf.errors import CallError

app = typer.Typer(help="List and show trained runs.", no_args_is_help=True)


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
    rows = []
    for run in runs:
        mixture, baseline = run.card["scores"]["mixture"], run.card["scores"]["volatility only"]
        rows.append(
            (
                run.run_id,
                run.card["series"],
                run.table_state,
                mixture["pr_auc"],
                baseline["pr_auc"],
                mixture["base_rate"],
            )
        )
    columns = ("run", "series", "table state", "PR-AUC", "volatility only", "base rate")
    print_table(rows, columns, right=columns[3:])


@app.command("show")
def show(
    run_id: Annotated[str, typer.Argument(metavar="RUN", help="As `mmf runs list` names it; `latest` for the newest.")],
    *,
    warehouse: WarehouseOption = None,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Show the card of one run."""
    with open_warehouse(warehouse, read_settings(config)) as opened:
        runs = {run.run_id: run for run in opened.runs()}
    if run_id == "latest" and runs:
        run_id = max(runs)
    if run_id not in runs:
        raise CallError(f"there is no run {run_id!r}. See them: mmf runs list")
    print_json(runs[run_id].card) if json else show_card(runs[run_id].card)
