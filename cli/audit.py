"""`mmf audit`: whether a finished run knew the future, as a page and in the terminal."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.console import print_json, print_table, progress_bar, results
from cli.feature_sets import user_features
from cli.options import ArtifactsOption, ConfigOption, JsonOption, WarehouseOption, artifacts_path, open_warehouse
from cli.settings import read_settings

if TYPE_CHECKING:
    from mmf.evaluation.leaks import LeakAudit


def audit(
    run: Annotated[str, typer.Argument(metavar="[RUN]", help="As `mmf runs list` names it.")] = "latest",
    *,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Where to write (default: audit.html in the run's folder).")
    ] = None,
    shifts: Annotated[
        int, typer.Option(min=0, help="Trainings on labels of other times, which must teach nothing; 0 for none.")
    ] = 2,
    warehouse: WarehouseOption = None,
    artifacts: ArtifactsOption = None,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Audit a finished run for leaks: features, labels, split, selection, target proxies, model; one verdict page.

    Ends with exit code 1 where a leak was found. What could not be checked is said, and makes the verdict incomplete.

    Example: mmf audit latest --output audit.html
    """
    from mmf.pipeline.leak_audit import audit_run, save_audit
    from mmf.pipeline.reports import run_folder

    settings = read_settings(config)
    folder = run_folder(artifacts_path(artifacts, settings), run)
    with open_warehouse(warehouse, settings) as opened, progress_bar() as progress:
        task = progress.add_task("audit", total=1.0)
        found = audit_run(
            opened,
            folder,
            user=user_features(settings),
            n_shifts=shifts,
            on_progress=lambda step, share: progress.update(task, description=step, completed=share),
        )
    path = save_audit(found, folder, output)
    if json:
        print_json(found.as_dict() | {"path": str(path)})
    else:
        _show(found)
        results.print(f"Audit: {path}", markup=False, soft_wrap=True)
    if found.answer == "leak found":
        raise typer.Exit(1)


# ------------------------------------------------------------------------------------

_STYLES = {"clean": "bold green", "leak found": "bold red", "incomplete": "bold yellow"}


def _show(found: "LeakAudit") -> None:
    rows = [(check.group, check.name, check.status, check.finding) for check in found.checks]
    print_table(rows, ("", "what must hold", "is", "what was measured"))
    results.print(f"\n{found.answer}", style=_STYLES[found.answer])
    for sentence in found.sentences:
        results.print(sentence, markup=False, soft_wrap=True)
