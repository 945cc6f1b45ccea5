"""`mmf replay`: a finished run done again from its card, and compared hash by hash."""

from typing import TYPE_CHECKING, Annotated

import typer

from cli.console import print_json, print_table, progress_bar, results
from cli.feature_sets import user_features
from cli.options import ArtifactsOption, ConfigOption, JsonOption, WarehouseOption, artifacts_path, open_warehouse
from cli.settings import read_settings

if TYPE_CHECKING:
    from mmf.evaluation.replays import Replay


def replay(
    run: Annotated[str, typer.Argument(metavar="[RUN]", help="As `mmf runs list` names it.")] = "latest",
    *,
    warehouse: WarehouseOption = None,
    artifacts: ArtifactsOption = None,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Do a finished run again from its card, and compare every hash; differences are named.

    Features are computed anew from the bars of the run's snapshot, and all that is fitted is fitted anew. Nothing is
    written. Ends with exit code 1 where something differs, or could not be compared.

    Example: mmf replay latest
    """
    from mmf.pipeline.replay import replay as replay_run
    from mmf.pipeline.reports import run_folder

    settings = read_settings(config)
    folder = run_folder(artifacts_path(artifacts, settings), run)
    with open_warehouse(warehouse, settings) as opened, progress_bar() as progress:
        task = progress.add_task("replay", total=1.0)
        found = replay_run(
            opened,
            folder,
            user=user_features(settings),
            on_progress=lambda step, share: progress.update(task, description=step, completed=share),
        )
    print_json(found.as_dict()) if json else _show(found)
    if found.answer != "same":
        raise typer.Exit(1)


# ------------------------------------------------------------------------------------

_STYLES = {"same": "bold green", "differs": "bold red", "incomplete": "bold yellow"}


def _show(found: "Replay") -> None:
    rows = [(line.what, line.status, line.recorded or "-", line.found or "-", line.detail) for line in found.lines]
    print_table(rows, ("what", "is", "recorded", "found", ""))
    if found.causes:
        is_same = found.answer == "same"
        results.print("\nnot as it was, to no effect" if is_same else "\nlikely causes", style="bold")
        for cause in found.causes:
            results.print(f"  {cause}", markup=False, soft_wrap=True)
    results.print(f"\n{found.headline}", style=_STYLES[found.answer], markup=False, soft_wrap=True)
