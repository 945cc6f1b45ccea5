"""What the commands that train have in common: options, configuration, and a run shown while it goes on."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli import stages
from cli.console import progress_bar
from cli.feature_build import build_shown
from cli.feature_sets import chosen_set, user_features
from cli.settings import Settings

if TYPE_CHECKING:
    from mmf.bars import Series
    from mmf.pipeline.config import TrainConfig
    from mmf.pipeline.stages import RunResult
    from mmf.pipeline.state import TableState
    from warehouse import Warehouse

DaysOption = Annotated[int | None, typer.Option(help="Days of bars to learn from and judge on (default: 730).")]
SeedOption = Annotated[int | None, typer.Option(help="The same seed gives the same result (default: 0).")]
ContextOption = Annotated[
    list[str] | None,
    typer.Option("--context", help="A longer interval whose features are read beside, such as 240; repeatable."),
]
ExpertsOption = Annotated[str | None, typer.Option("--experts", help="Some of trend,range,stress,cnn (default: all).")]
RefineryOption = Annotated[
    bool | None,
    typer.Option(
        "--use-tensor-flex/--no-tensor-flex",
        help="Let the experts read what the refinery distils (default), or the council's columns themselves.",
    ),
]
RefineryOnlyOption = Annotated[
    bool, typer.Option("--tensor-flex-train-only", help="Fit council and refinery, keep the refinery, and stop.")
]
ForceRefineryOption = Annotated[
    bool, typer.Option("--tensor-flex-force-retrain", help="Fit the refinery anew even where the stored one fits.")
]


def train_config(
    settings: Settings,
    *,
    set_name: str | None = None,
    days: int | None,
    seed: int | None,
    context: list[str] | None = None,
    use_tensor_flex: bool | None = None,
    experts: str | None = None,
    one_per_family: bool | None = None,
    max_features: int | None = None,
) -> "TrainConfig":
    """Return what flags, environment and mmf.toml ask of a run."""
    from mmf.evaluation.backtest import Costs
    from mmf.evaluation.threshold import Constraints
    from mmf.experts.names import EXPERTS
    from mmf.features.lags import LAGS
    from mmf.labels import LabelConfig
    from mmf.pipeline.config import Trading, TrainConfig

    return TrainConfig(
        feature_set=settings.pick("features.set", set_name, "core"),
        lags=tuple(settings.pick("features.lags", None, LAGS)),
        context=tuple(settings.pick("features.context", context or None, ())),
        days=settings.pick("market.days", days, 730),
        label=LabelConfig(**settings.section("label")),
        test_share=settings.pick("split.test_share", None, 0.2),
        top_ratio=settings.pick("council.top_ratio", None, 0.5),
        max_features=settings.pick("council.max_features", max_features, None),
        one_per_family=settings.pick("council.one_per_family", one_per_family, False),
        use_tensor_flex=settings.pick("tensor_flex.use", use_tensor_flex, True),
        trading=Trading(**settings.section("trading")),
        costs=Costs(**settings.section("costs")),
        threshold=Constraints(**settings.section("threshold")),
        experts=tuple(settings.pick("experts.use", _listed(experts), tuple(EXPERTS))),
        seed=settings.pick("seed", seed, 0),
    )


def lead_bars(config: "TrainConfig") -> int:
    """Bars before the first row that its features and their lags may remember."""
    from mmf.features.record import LEAD_BARS

    return LEAD_BARS + max(config.lags)


def built_state(warehouse: "Warehouse", series: "Series", settings: Settings, config: "TrainConfig") -> "TableState":
    """Bring the features of a series up to its bars."""
    from mmf.pipeline.state import resolve_state

    built = build_shown(warehouse, series, chosen_set(settings, config.feature_set), context=config.context)
    return resolve_state(warehouse, series, built.state)


def train_shown(
    warehouse: "Warehouse",
    state: "TableState",
    settings: Settings,
    config: "TrainConfig",
    artifacts: Path,
    *,
    must_refine: bool = False,
    afterword: "Callable[[RunResult], None]" = lambda _: None,
    json: bool,
) -> "tuple[RunResult, dict[str, Any]]":
    """Train, judge, save and draw, shown stage by stage; return the run and its card, which the caller prints as JSON.

    `afterword` says what there is to say of the result before its files are named.
    """
    from mmf.pipeline.reports import write_report
    from mmf.pipeline.run import run as run_pipeline

    with _watched(json=json) as listeners:
        result, saved = run_pipeline(
            warehouse,
            state,
            config,
            user=user_features(settings),
            artifacts=artifacts,
            must_refine=must_refine,
            **listeners,
        )
    page, _ = write_report(saved.folder)
    if not json:
        afterword(result)
        stages.show_artifacts(saved, page)
    return result, saved.content


def prime_shown(
    warehouse: "Warehouse",
    state: "TableState",
    settings: Settings,
    config: "TrainConfig",
    artifacts: Path,
    *,
    must_refine: bool = False,
    json: bool,
) -> "tuple[None, dict[str, Any]]":
    """Fit council and refinery alone, for runs to come; return what the refinery reports."""
    from mmf.pipeline.run import prime_refinery

    with _watched(json=json) as listeners:
        primed = prime_refinery(
            warehouse,
            state,
            config,
            user=user_features(settings),
            artifacts=artifacts,
            must_refine=must_refine,
            **listeners,
        )
    if not json:
        stages.show_primed(primed)
    return None, primed.report


# ------------------------------------------------------------------------------------


def _listed(names: str | None) -> list[str] | None:
    return None if names is None else [name.strip() for name in names.split(",") if name.strip()]


@contextmanager
def _watched(*, json: bool) -> Iterator[dict[str, Any]]:
    """Show the stages of a run as they are reached, and its progress meanwhile."""
    with progress_bar() as progress:
        task = progress.add_task("training rows", total=1.0)
        yield {
            "on_stage": (lambda _: None) if json else stages.show_stage,
            "on_progress": lambda step, share: progress.update(task, description=step, completed=share),
        }
