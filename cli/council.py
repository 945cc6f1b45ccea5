"""`mmf council`: what the Alpha Council and the refinery find in a feature table, without training anything."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli import stages
from cli.console import print_facts, print_json, print_table, progress_bar, results
from cli.feature_sets import code_hash, user_features
from cli.options import ConfigOption, JsonOption, WarehouseOption, open_warehouse
from cli.settings import read_settings
from cli.training import ContextOption, DaysOption, SeedOption, train_config
from mmf.errors import CallError

if TYPE_CHECKING:
    import polars as pl

    from mmf.alpha_council.noise import NoiseCheck
    from mmf.alpha_council.stability import Stability
    from mmf.pipeline.selection import Selection

_N_FEATURES = 12


def council(
    series: Annotated[str, typer.Argument(metavar="SERIES", help="Such as bybit:linear:BTCUSDT:60.")],
    *,
    features: Annotated[
        str | None, typer.Option("--features", "--set", help="Table state: core, core@v3 or core@v3@S17.")
    ] = None,
    days: DaysOption = None,
    seed: SeedOption = None,
    context: ContextOption = None,
    stability: Annotated[bool, typer.Option("--stability", help="Let it vote on five parts of time as well.")] = False,
    noise_check: Annotated[
        int, typer.Option(min=0, metavar="N", help="Let it vote on N labels shifted in time as well, such as 19.")
    ] = 0,
    one_per_family: Annotated[
        bool | None,
        typer.Option(
            "--one-per-family/--all-lags",
            help="Let one column of each feature and its lags pass, or all that win the votes (default).",
        ),
    ] = None,
    max_features: Annotated[
        int | None, typer.Option(min=1, help="Length of an elite list (default: all that pass).")
    ] = None,
    chart: Annotated[Path | None, typer.Option(help="Write a page of charts, such as council.html.")] = None,
    warehouse: WarehouseOption = None,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Let the Alpha Council vote, and show how votes spread and what they are worth.

    Example: mmf council bybit:linear:BTCUSDT:60 --noise-check 19 --chart council.html
    """
    from mmf.bars import Series
    from mmf.pipeline.selection import look_at_selection
    from mmf.pipeline.state import resolve_state

    if chart is not None and not chart.absolute().parent.is_dir():
        raise CallError(f"--chart {chart}: there is no folder {chart.absolute().parent}. Make it first.")
    if noise_check == 1:
        raise CallError("--noise-check 1 cannot tell luck from skill. Use 2 or more, such as 19.")
    settings = read_settings(config)
    with open_warehouse(warehouse, settings) as opened, progress_bar() as progress:
        named = settings.pick("features.set", features, "core")
        state = resolve_state(opened, Series.parse(series), named, prefer=code_hash(settings, named))
        set_name = state.version.partition("@")[0]
        options = train_config(
            settings,
            set_name=set_name,
            days=days,
            seed=seed,
            context=context,
            one_per_family=one_per_family,
            max_features=max_features,
        )
        task = progress.add_task("training rows", total=1.0)
        found = look_at_selection(
            opened,
            state,
            options,
            user=user_features(settings),
            with_stability=stability,
            n_shifts=noise_check,
            on_progress=lambda step, share: progress.update(task, description=step, completed=share),
        )
    if chart is not None:
        chart.write_text(_page(series, found), encoding="utf-8")
    if json:
        print_json(_content(found))
        return
    _show(found)
    if chart is not None:
        results.print(f"\nCharts: {chart}", soft_wrap=True)


# ------------------------------------------------------------------------------------


def _show(found: "Selection") -> None:
    stages.show_prepared(found.prepared)
    stages.show_selected(found.selected)
    _show_frame("\nVotes by feature, all lags together", found.by_feature.drop("selected_lags").head(_N_FEATURES))
    _show_frame("\nVotes by lag", found.by_lag)
    if found.selected.council.agreement_ is not None:
        _show_frame("\nTwo seeds of the forest", found.selected.council.agreement_)
    if found.stability is not None:
        _show_frame(
            "\nFeatures by the share of parts of time in which they are selected, all lags together",
            found.stability.features.head(_N_FEATURES),
        )
        _show_frame("\nColumns by the parts of time in which they are selected", found.stability.counts)
    if found.noise is not None:
        _show_noise(found.noise)
    stages.show_refined(found.refined)


def _show_noise(check: "NoiseCheck") -> None:
    _show_frame("\nColumns that pass on the label, and on labels shifted in time", check.counts)
    above = check.above()
    facts = {
        "shifts": f"{check.n_shifts}; where there is nothing to find, {check.chance:.1%} of the columns are above the "
        "noise of a voter",
        "above noise": ", ".join(above[:_N_FEATURES]) + (", ..." if len(above) > _N_FEATURES else "") or "none",
        "so": check.sentence,
    }
    print_facts(facts)


def _show_frame(title: str, frame: "pl.DataFrame") -> None:
    columns = [name.removeprefix("count_").replace("_", " ") for name in frame.columns]
    numbers = [name for name, kind in zip(columns, frame.dtypes, strict=True) if kind.is_numeric()]
    print_table(frame.rows(), columns, title=title, right=numbers)


def _content(found: "Selection") -> dict[str, Any]:
    agreement = found.selected.council.agreement_
    return {
        "votes": found.selected.council.votes_.to_dicts(),
        "by_feature": found.by_feature.to_dicts(),
        "by_lag": found.by_lag.to_dicts(),
        "agreement": None if agreement is None else agreement.to_dicts(),
        "stability": None if found.stability is None else _stability(found.stability),
        "noise": None if found.noise is None else found.noise.as_dict(),
        "suspicious": [finding.as_dict() for finding in found.selected.suspicious],
        "tensor_flex": None if found.refined.flex is None else found.refined.flex.report(),
    }


def _stability(stability: "Stability") -> dict[str, Any]:
    return {name: getattr(stability, name).to_dicts() for name in ("counts", "features", "columns")}


def _page(series: str, found: "Selection") -> str:
    from mmf.report.chance import noise_charts, stability_charts
    from mmf.report.page import page
    from mmf.report.selection import council_charts, refinery_charts

    charts = council_charts(found.selected.council.votes_)
    if found.stability is not None:
        charts += stability_charts(found.stability)
    if found.noise is not None:
        charts += noise_charts(found.noise)
    flex = found.refined.flex
    if flex is not None:
        charts += refinery_charts(flex.clusters_, flex.members_, flex.latents_, flex.loadings_)
    n_columns, n_selected = found.selected.council.votes_.height, len(found.selected.columns)
    summary = (
        f"{found.prepared.state} of {series}: {n_selected:,} of {n_columns:,} columns selected on "
        f"{len(found.prepared.training):,} training rows. "
        "Selection alone is no evidence: a top share passes on noise too."
    )
    alarms = [finding.reason for finding in found.selected.suspicious]
    return page(f"Alpha Council: {series}", summary, charts, alarms=alarms)
