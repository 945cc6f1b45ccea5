"""`mmf demo`: the whole run on the simulated market."""

from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from cli import stages
from cli.console import print_json
from cli.ingest import EdgeOption, ingest_simulated
from cli.options import ArtifactsOption, ConfigOption, JsonOption, WarehouseOption, artifacts_path, open_warehouse
from cli.settings import read_settings
from cli.training import SeedOption, built_state, lead_bars, train_config, train_shown

if TYPE_CHECKING:
    from mmf.markets.simulated import MarketConfig
    from mmf.pipeline.stages import RunResult

_DEMO_DAYS = 730


def demo(
    *,
    days: Annotated[int, typer.Option(min=100, help="Days of hourly bars to learn from and judge on.")] = _DEMO_DAYS,
    edge: EdgeOption = "planted",
    strength: Annotated[float, typer.Option(help="Bayes AUC of the planted edge.")] = 0.70,
    seed: SeedOption = None,
    warehouse: WarehouseOption = None,
    artifacts: ArtifactsOption = None,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Do the whole run on the simulated market: no network, no data needed."""
    from mmf.bars import Series
    from mmf.markets.simulated import MarketConfig

    settings = read_settings(config)
    training = train_config(settings, days=days, seed=seed)
    market = MarketConfig(
        n_bars=days * 24 + lead_bars(training),
        edge=edge,
        strength=strength,
        horizon=training.label.horizon,
        hurdle=training.label.hurdle,
    )
    with open_warehouse(warehouse, settings, create=True) as opened:
        ingest_simulated(opened, market)
        series = Series("simulated", "linear", market.symbols[0], market.interval)
        state = built_state(opened, series, settings, training)
        where = artifacts_path(artifacts, settings)
        afterword = partial(_show_ceiling, market)
        _, card = train_shown(opened, state, settings, training, where, afterword=afterword, json=json)
    if json:
        print_json(card)


# ------------------------------------------------------------------------------------


def _show_ceiling(market: "MarketConfig", result: "RunResult") -> None:
    """Print how the generator's own probabilities score on the judged rows: no model can be expected to do better.

    It knows those of hurdle labels alone.
    """
    if result.config.label.kind != "hurdle":
        return
    from mmf.evaluation.scores import evaluate
    from mmf.markets.simulated import SimulatedMarket

    truth = SimulatedMarket(market).truth(market.symbols[0])
    rows = result.judged.predictions.join(truth.rename({"probability": "truth"}), on="open_time", how="left")
    ceiling = evaluate(
        rows["truth"].to_numpy(),
        rows["label"].cast(float).fill_null(float("nan")).to_numpy(),
        threshold=result.trained.thresholds["mixture"],
        horizon=result.config.label.horizon,
    )
    stages.show_ceiling(ceiling)
