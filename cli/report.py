"""`mmf report`: a run, or two beside each other, as one page of HTML."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.console import print_json, results
from cli.options import ArtifactsOption, ConfigOption, JsonOption, artifacts_path
from cli.settings import read_settings
from mmf.errors import CallError

if TYPE_CHECKING:
    from mmf.report.run import RunRecord


def report(
    run: Annotated[
        str | None,
        typer.Argument(metavar="RUN", help="As `mmf runs list` names it (default: the newest)."),
    ] = None,
    *,
    compare: Annotated[
        tuple[str, str] | None, typer.Option("--compare", metavar="A B", help="Show two runs beside each other.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Where to write (default: report.html in the run's folder).")
    ] = None,
    artifacts: ArtifactsOption = None,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Write a page that shows a run: verdict, equity, scores, what goes on inside, and where it comes from.

    Example: mmf report latest --output report.html
    """
    from mmf.pipeline.reports import write_comparison, write_report
    from mmf.pipeline.run_names import LATEST, run_folder

    root = artifacts_path(artifacts, read_settings(config))
    if compare is None:
        path, one = write_report(run_folder(root, run or LATEST), output)
        shown = (one,)
    else:
        if run is not None:
            raise CallError(f"{run} and --compare {' '.join(compare)}: name one run, or two behind --compare.")
        first, second = (run_folder(root, name) for name in compare)
        path = output or root / f"compare_{first.name}_{second.name}.html"
        path, shown = write_comparison(first, second, path)
    if json:
        print_json({"path": str(path), "runs": [_facts(one) for one in shown]})
        return
    for one in shown:
        _show(one, is_named=len(shown) > 1)
    results.print(f"Report: {path}", markup=False, soft_wrap=True)


# ------------------------------------------------------------------------------------


def _facts(run: "RunRecord") -> dict[str, object]:
    from mmf.report.figures import alarms, headline, light

    return {
        "run_id": run.run_id,
        "answer": light(run.card).word,
        "headline": headline(run.card),
        "suspicious": alarms(run.card),
    }


def _show(run: "RunRecord", *, is_named: bool) -> None:
    from mmf.report.figures import alarms, headline

    for alarm in alarms(run.card):
        results.print(f"SUSPICIOUS: {alarm}", style="bold red", markup=False, soft_wrap=True)
    name = f"{run.run_id}: " if is_named else ""
    results.print(f"{name}{headline(run.card)}", markup=False, soft_wrap=True)
