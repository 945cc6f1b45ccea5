"""`mmf train`: a model from a table state."""

from typing import Annotated

import typer

from cli.feature_sets import code_hash
from cli.options import ArtifactsOption, ConfigOption, JsonOption, WarehouseOption, artifacts_path, open_warehouse
from cli.settings import read_settings
from cli.training import (
    ContextOption,
    DaysOption,
    ForceRefineryOption,
    RefineryOnlyOption,
    RefineryOption,
    SeedOption,
    prime_shown,
    train_config,
    train_shown,
)


def train(
    series: Annotated[str, typer.Argument(metavar="SERIES", help="Such as bybit:linear:BTCUSDT:60.")],
    *,
    features: Annotated[
        str | None, typer.Option("--features", "--set", help="Table state: core, core@v3 or core@v3@S17.")
    ] = None,
    days: DaysOption = None,
    seed: SeedOption = None,
    context: ContextOption = None,
    use_tensor_flex: RefineryOption = None,
    tensor_flex_train_only: RefineryOnlyOption = False,
    tensor_flex_force_retrain: ForceRefineryOption = False,
    warehouse: WarehouseOption = None,
    artifacts: ArtifactsOption = None,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Train from a table state that `mmf features build` made."""
    from mmf.bars import Series
    from mmf.pipeline.state import resolve_state

    settings = read_settings(config)
    with open_warehouse(warehouse, settings) as opened:
        parsed = Series.parse(series)
        named = settings.pick("features.set", features, "core")
        state = resolve_state(opened, parsed, named, prefer=code_hash(settings, named))
        training = train_config(
            settings,
            set_name=state.version.partition("@")[0],
            days=days,
            seed=seed,
            context=context,
            use_tensor_flex=use_tensor_flex,
        )
        work = prime_shown if tensor_flex_train_only else train_shown
        where = artifacts_path(artifacts, settings)
        work(opened, state, settings, training, where, must_refine=tensor_flex_force_retrain, json=json)
