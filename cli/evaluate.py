"""`mmf evaluate`: evidence beyond one split, for a finished run."""

import os
from contextlib import ExitStack
from typing import TYPE_CHECKING, Annotated

import typer

from cli.console import print_facts, print_json, print_table, progress_bar, results
from cli.feature_sets import user_features
from cli.options import ArtifactsOption, ConfigOption, JsonOption, WarehouseOption, artifacts_path, open_warehouse
from cli.settings import read_settings

if TYPE_CHECKING:
    import polars as pl

    from mmf.evaluation.verdict import Verdict
    from mmf.pipeline.evaluate import Evaluation
    from mmf.pipeline.evaluation import WalkForward
    from mmf.pipeline.executors import Executor

_NOT_TRADING = (
    "These combinations train on time behind the one they judge, so they simulate no trading: they tell how much of a "
    "score hangs on which time is judged."
)


def evaluate(
    run: Annotated[str, typer.Argument(metavar="[RUN]", help="As `mmf runs list` names it.")] = "latest",
    *,
    walk_forward: Annotated[
        int, typer.Option("--walk-forward", min=0, metavar="N", help="Folds through the second half of the time.")
    ] = 0,
    with_combinations: Annotated[
        bool,
        typer.Option("--combinations", help="Combinatorial purged cross-validation; no simulation of trading."),
    ] = False,
    blocks: Annotated[int, typer.Option(min=3, help="Blocks of time that --combinations cuts.")] = 6,
    tested: Annotated[int, typer.Option(min=2, help="Blocks that each of the combinations is judged on.")] = 2,
    noise_floor: Annotated[
        int, typer.Option("--noise-floor", min=0, metavar="N", help="Surrogate markets of each kind (20 is usual).")
    ] = 0,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Processes that compute, one thread each (default: one a core).")
    ] = None,
    warehouse: WarehouseOption = None,
    artifacts: ArtifactsOption = None,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Train a run's whole pipeline anew on other cuts of time, or on markets without any edge, and judge that.

    Rows, configuration and seed are the run's own. Council, refinery, scaling, experts, gate, calibration and threshold
    are fitted inside each part. What is finished is kept: after Ctrl-C the same command goes on.

    Example: mmf evaluate latest --walk-forward 8 --noise-floor 20
    """
    from mmf.pipeline.evaluate import evaluate as evaluate_run
    from mmf.pipeline.evaluation_tasks import Plan
    from mmf.pipeline.reports import write_report
    from mmf.pipeline.run_names import run_folder

    settings = read_settings(config)
    plan = Plan(
        walk_forward=walk_forward, blocks=blocks if with_combinations else 0, tested=tested, noise_floor=noise_floor
    )
    folder = run_folder(artifacts_path(artifacts, settings), run)
    with open_warehouse(warehouse, settings) as opened, ExitStack() as held:
        progress = held.enter_context(progress_bar())
        task = progress.add_task("rows", total=1.0)
        found = evaluate_run(
            opened,
            folder,
            plan,
            user=user_features(settings),
            executor=_executor(held, workers or os.cpu_count() or 1),
            on_progress=lambda step, share: progress.update(task, description=step, completed=share),
        )
    page, _ = write_report(folder)
    if json:
        print_json(found.as_dict())
        return
    _show(found)
    print_facts({"tables": folder / "tables", "report": page}, title=f"\nRun {found.run_id}")


# ------------------------------------------------------------------------------------


def _executor(held: ExitStack, workers: int) -> "Executor | None":
    from mmf.pipeline.executors import Processes
    from mmf.pipeline.part_task import on_one_thread

    if workers == 1:
        return None
    return held.enter_context(Processes(workers, prepare=on_one_thread))


def _show(found: "Evaluation") -> None:
    if found.walk_forward is not None:
        _show_walk_forward(found.walk_forward)
    if found.combinations is not None:
        _show_combinations(found.combinations)
    if found.noise_floor is not None and found.noise_standing is not None:
        _show_noise_floor(found.noise_floor, found.noise_standing)


def _show_walk_forward(told: "WalkForward") -> None:
    columns = ("fold", "from", "rows", "training", "base rate", "PR-AUC", "volatility", "ROC-AUC", "precision")
    columns = (*columns, "recall", "Brier", "log-loss", "slope", "ECE", "threshold", "trades", "net", "hold")
    names = ("base_rate", "pr_auc", "volatility_pr_auc", "roc_auc", "precision", "recall", "brier", "log_loss")
    rows = [
        (
            fold["fold"],
            f"{fold['judged_first']:%Y-%m-%d}",
            fold["n_judged"],
            fold["n_training"],
            *(_figure(fold[name]) for name in names),
            _figure(fold["calibration_slope"], digits=2),
            _figure(fold["ece"]),
            _figure(fold["threshold"]),
            fold["n_trades"],
            _share(fold["net_return"]),
            _share(fold["buy_and_hold"]),
        )
        for fold in told.folds.iter_rows(named=True)
    ]
    title = "Walk-forward: the whole pipeline trained anew before each stretch of time"
    print_table(rows, columns, title=title, right=columns[2:])
    n_rows = told.predictions.height - told.predictions["label"].null_count()
    results.print(
        f"\nAll folds joined: {n_rows:,} labelled rows, about {told.n_effective:.0f} of them independent", style="bold"
    )
    scores = [
        (line["model"], line["score"], _figure(line["value"]), f"{_figure(line['low'])} to {_figure(line['high'])}")
        for line in told.scores.iter_rows(named=True)
    ]
    print_table(scores, ("model", "score", "value", "95 % interval"), right=("value", "95 % interval"))
    _show_verdict(told.verdict, float(told.equity["buy_and_hold"][-1] - 1))


def _show_verdict(verdict: "Verdict", buy_and_hold: float) -> None:
    results.print("\nVerdict on all folds", style="bold")
    for sentence in verdict.sentences:
        results.print(f"  {sentence}", markup=False, soft_wrap=True)
    traded = verdict.performance
    deflated = "-" if verdict.deflated_sharpe is None else f"{verdict.deflated_sharpe:.3f}"
    print_facts(
        {
            "net return": f"{traded.net_return:+.1%} after costs, {traded.gross_return:+.1%} before",
            "buy and hold": f"{buy_and_hold:+.1%}",
            "Sharpe": f"{_figure(traded.sharpe, digits=2)} a year, deepest fall {traded.max_drawdown:+.1%}",
            "trials": f"{verdict.n_trials} on this series; deflated Sharpe {deflated}",
        }
    )


def _show_combinations(told: "pl.DataFrame") -> None:
    columns = ("judged blocks", "rows", "training", "base rate", "PR-AUC", "volatility", "ROC-AUC", "log-loss", "slope")
    names = ("base_rate", "pr_auc", "volatility_pr_auc", "roc_auc", "log_loss")
    rows = [
        (
            line["blocks"],
            line["n_judged"],
            line["n_training"],
            *(_figure(line[name]) for name in names),
            _figure(line["calibration_slope"], digits=2),
        )
        for line in told.iter_rows(named=True)
    ]
    print_table(rows, columns, title="\nCombinatorial purged cross-validation", right=columns[1:])
    results.print(f"  {_NOT_TRADING}", soft_wrap=True)
    lift = (told["pr_auc"] - told["base_rate"]).drop_nulls()
    print_facts(
        {
            "above a coin": f"{int((lift > 0).sum())} of {len(lift)} combinations",
            "PR-AUC less base rate": f"mean {_signed(lift.mean())}, {_signed(lift.min())} to {_signed(lift.max())}",
        }
    )


def _show_noise_floor(noise: "pl.DataFrame", standing: "pl.DataFrame") -> None:
    named = {"roc_auc": "ROC-AUC", "pr_auc_lift": "PR-AUC / base rate", "net_return": "net return"}
    columns = ("market", "score", "this run", "median", "95 % below", "markets below", "p")
    rows = []
    for line in standing.iter_rows(named=True):
        show = _share if line["score"] == "net_return" else _figure
        below = "-" if line["share_below"] is None else f"{line['share_below']:.0%} of {line['n']}"
        figures = (show(line[name]) for name in ("own", "median", "p95"))
        rows.append((line["kind"], named[line["score"]], *figures, below, _figure(line["p"])))
    title = f"\nNoise floor: the same pipeline on {noise.height} surrogates of the run's own bars, without any edge"
    print_table(rows, columns, title=title, right=columns[2:])
    results.print(
        "  Beside the verdict, not part of it: a score inside of this is what the pipeline makes of nothing.",
        soft_wrap=True,
    )


def _figure(value: float | None, *, digits: int = 3) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:+.1%}"


def _signed(value: object) -> str:
    return f"{value:+.3f}" if isinstance(value, float) else "-"
