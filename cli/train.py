"""`mmf demo`, `mmf run` and `mmf train`: from bars to a judged model."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli import report
from cli.console import print_json, progress_bar, say
from cli.exchange import EXCHANGES, BaseUrlOption, Failure, Span, Urls, refresh_shown
from cli.feature_build import build_shown
from cli.feature_sets import SetOption, chosen_set, code_hash, user_features
from cli.ingest import EdgeOption, ingest_simulated
from cli.options import (
    ArtifactsOption,
    CategoryOption,
    ConfigOption,
    ExchangeOption,
    IntervalOption,
    JsonOption,
    WarehouseOption,
    artifacts_path,
    one_series,
    open_warehouse,
)
from cli.settings import Settings, read_settings

if TYPE_CHECKING:
    from mmf.bars import Series
    from mmf.markets.simulated import MarketConfig
    from mmf.pipeline.config import TrainConfig
    from mmf.pipeline.state import TableState
    from mmf.pipeline.train import RunResult
    from warehouse import Warehouse

DaysOption = Annotated[int | None, typer.Option(help="Days of bars to learn from and judge on (default: 730).")]
SeedOption = Annotated[int | None, typer.Option(help="The same seed gives the same result (default: 0).")]
ContextOption = Annotated[
    list[str] | None,
    typer.Option("--context", help="A longer interval whose features are read beside, such as 240; repeatable."),
]
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
_DEMO_DAYS = 730
_DAY_MS = 86_400_000


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
        n_bars=days * 24 + _lead_bars(training),
        edge=edge,
        strength=strength,
        horizon=training.label.horizon,
        hurdle=training.label.hurdle,
    )
    with open_warehouse(warehouse, settings, create=True) as opened:
        ingest_simulated(opened, market)
        series = Series("simulated", "linear", market.symbols[0], market.interval)
        state = _built(opened, series, settings, training)
        result = _train(opened, state, settings, training, artifacts_path(artifacts, settings), json=json)
    if not json and training.label.kind == "hurdle":
        _show_ceiling(market, result)


def run(
    symbol: Annotated[str | None, typer.Argument(envvar="MMF_SYMBOL", help="Such as BTCUSDT.")] = None,
    *,
    exchange: ExchangeOption = None,
    category: CategoryOption = None,
    interval: IntervalOption = None,
    set_name: SetOption = None,
    days: DaysOption = None,
    offline: Annotated[bool, typer.Option("--offline", help="Use what is stored; ask no exchange.")] = False,
    base_url: BaseUrlOption = None,
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
    """Do the deep-research run on a series: bars, features, council, refinery, experts, honest scores.

    First the series is brought up to date from its exchange; --offline leaves that out.
    """
    settings = read_settings(config)
    series = one_series(settings, exchange=exchange, category=category, symbol=symbol, interval=interval)
    training = train_config(
        settings, set_name=set_name, days=days, seed=seed, context=context, use_tensor_flex=use_tensor_flex
    )
    work = _prime if tensor_flex_train_only else _train
    with open_warehouse(warehouse, settings, create=not offline) as opened:
        if not offline:
            _bring_up_to_date(opened, series, training, Urls(base_url, settings=settings))
        state = _built(opened, series, settings, training)
        where = artifacts_path(artifacts, settings)
        work(opened, state, settings, training, where, must_refine=tensor_flex_force_retrain, json=json)


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
        work = _prime if tensor_flex_train_only else _train
        where = artifacts_path(artifacts, settings)
        work(opened, state, settings, training, where, must_refine=tensor_flex_force_retrain, json=json)


def train_config(
    settings: Settings,
    *,
    set_name: str | None = None,
    days: int | None,
    seed: int | None,
    context: list[str] | None = None,
    use_tensor_flex: bool | None = None,
) -> "TrainConfig":
    """Return what flags, environment and mmf.toml ask of a run."""
    from mmf.features.lags import LAGS
    from mmf.labels import LabelConfig
    from mmf.pipeline.config import TrainConfig

    return TrainConfig(
        feature_set=settings.pick("features.set", set_name, "core"),
        lags=tuple(settings.pick("features.lags", None, LAGS)),
        context=tuple(settings.pick("features.context", context or None, ())),
        days=settings.pick("market.days", days, 730),
        label=LabelConfig(**settings.section("label")),
        test_share=settings.pick("split.test_share", None, 0.2),
        top_ratio=settings.pick("council.top_ratio", None, 0.5),
        max_features=settings.pick("council.max_features", None, None),
        one_per_family=settings.pick("council.one_per_family", None, False),
        use_tensor_flex=settings.pick("tensor_flex.use", use_tensor_flex, True),
        seed=settings.pick("seed", seed, 0),
    )


# ------------------------------------------------------------------------------------


def _lead_bars(config: "TrainConfig") -> int:
    """Bars before the first row that its features and their lags may remember."""
    from mmf.features.record import LEAD_BARS

    return LEAD_BARS + max(config.lags)


def _bring_up_to_date(warehouse: "Warehouse", series: "Series", config: "TrainConfig", urls: Urls) -> None:
    """Fetch the days that the run learns from, and the bars before them that its features remember."""
    from mmf.bars import Interval
    from mmf.markets.errors import ExchangeError
    from mmf.pipeline.state import in_interval

    if series.exchange not in EXCHANGES:
        say(f"{series.exchange} is no exchange that MMF can ask: the run uses the bars that are stored.")
        return
    try:
        for one in (series, *(in_interval(series, Interval.parse(name)) for name in config.context)):
            lead_ms = _lead_bars(config) * one.grid.ms
            days = None if config.days is None else config.days + -(-lead_ms // _DAY_MS)
            for result in refresh_shown(warehouse, [one], Span(days=days, is_all=days is None), urls=urls):
                if isinstance(result, Failure):
                    raise result.error
    except ExchangeError:
        say("To run on what is stored: mmf run --offline. To bring bars in from files: mmf ingest files PATH")
        raise


def _built(warehouse: "Warehouse", series: "Series", settings: Settings, config: "TrainConfig") -> "TableState":
    """Bring the features of a series up to its bars."""
    from mmf.pipeline.state import resolve_state

    built = build_shown(warehouse, series, chosen_set(settings, config.feature_set), context=config.context)
    return resolve_state(warehouse, series, built.state)


def _train(
    warehouse: "Warehouse",
    state: "TableState",
    settings: Settings,
    config: "TrainConfig",
    artifacts: Path,
    *,
    must_refine: bool = False,
    json: bool,
) -> "RunResult":
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
    if json:
        print_json(saved.content)
    else:
        report.show_artifacts(saved)
    return result


def _prime(
    warehouse: "Warehouse",
    state: "TableState",
    settings: Settings,
    config: "TrainConfig",
    artifacts: Path,
    *,
    must_refine: bool = False,
    json: bool,
) -> None:
    """Fit council and refinery alone, for runs to come."""
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
    if json:
        print_json(primed.report)
    else:
        report.show_primed(primed)


@contextmanager
def _watched(*, json: bool) -> Iterator[dict[str, Any]]:
    """Show the stages of a run as they are reached, and its progress meanwhile."""
    with progress_bar() as progress:
        task = progress.add_task("training rows", total=1.0)
        yield {
            "on_stage": (lambda _: None) if json else report.show_stage,
            "on_progress": lambda step, share: progress.update(task, description=step, completed=share),
        }


def _show_ceiling(market: "MarketConfig", result: "RunResult") -> None:
    """Print how the generator's own probabilities score on the judged rows: no model can be expected to do better."""
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
    report.show_ceiling(ceiling)
