"""`mmf train`: a model from a table state."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.console import print_json, say
from cli.feature_build import matching_series
from cli.feature_sets import code_hash
from cli.options import ArtifactsOption, ConfigOption, JsonOption, WarehouseOption, artifacts_path, open_warehouse
from cli.settings import read_settings
from cli.training import (
    ContextOption,
    DaysOption,
    ExpertsOption,
    ForceRefineryOption,
    RefineryOnlyOption,
    RefineryOption,
    SeedOption,
    prime_shown,
    train_config,
    train_shown,
)

if TYPE_CHECKING:
    from mmf.pipeline.config import TrainConfig
    from mmf.pipeline.schedule import Advice
    from mmf.pipeline.state import TableState
    from warehouse import Warehouse


def train(
    series: Annotated[
        list[str], typer.Argument(metavar="SERIES...", help="Such as bybit:linear:BTCUSDT:60, or 'bybit:*:*:60'.")
    ],
    *,
    features: Annotated[
        str | None, typer.Option("--features", "--set", help="Table state: core, core@v3 or core@v3@S17.")
    ] = None,
    days: DaysOption = None,
    seed: SeedOption = None,
    context: ContextOption = None,
    experts: ExpertsOption = None,
    use_tensor_flex: RefineryOption = None,
    tensor_flex_train_only: RefineryOnlyOption = False,
    tensor_flex_force_retrain: ForceRefineryOption = False,
    together: Annotated[
        bool, typer.Option("--together", help="One model of all series, the symbol an input, in place of one each.")
    ] = False,
    if_needed: Annotated[
        bool, typer.Option("--if-needed", help="Train only where the scheduler says that it is due; it says why.")
    ] = False,
    warehouse: WarehouseOption = None,
    artifacts: ArtifactsOption = None,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Train from table states that `mmf features build` made: a model for each series, or one of all together.

    Example: mmf train bybit:linear:BTCUSDT:60 --features core@v1 --experts trend,cnn

    Example: mmf train 'bybit:linear:*:60' --together
    """
    from mmf.pipeline.state import resolve_state

    settings = read_settings(config)
    where = artifacts_path(artifacts, settings)
    work = prime_shown if tensor_flex_train_only else train_shown
    told = []
    with open_warehouse(warehouse, settings) as opened:
        named = settings.pick("features.set", features, "core")
        several = matching_series(opened, series)
        asked = [several] if together else [[one] for one in several]
        states = [resolve_state(opened, each, named, prefer=code_hash(settings, named)) for each in asked]
        for state in states:
            training = train_config(
                settings,
                set_name=state.version.partition("@")[0],
                days=days,
                seed=seed,
                context=context,
                use_tensor_flex=use_tensor_flex,
                experts=experts,
            )
            advice = _asked(opened, state, training, where) if if_needed else None
            if advice is None or advice.is_due:
                _, card = work(
                    opened, state, settings, training, where, must_refine=tensor_flex_force_retrain, json=json
                )
                told.append(card)
            else:
                told.append(advice.as_dict())
    if json:
        print_json(told[0] if len(told) == 1 else told)


# ------------------------------------------------------------------------------------


def _asked(warehouse: "Warehouse", state: "TableState", config: "TrainConfig", artifacts: Path) -> "Advice":
    """Ask the scheduler, and say what it answers."""
    from mmf.pipeline.schedule import advise

    advice = advise(warehouse, state, config, artifacts=artifacts)
    names = " ".join(map(str, state.all_series))
    say(f"{names}: training is {'due' if advice.is_due else 'not due'}: {'; '.join(advice.reasons)}")
    return advice
