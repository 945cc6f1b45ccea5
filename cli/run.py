"""`mmf run`: from a series' exchange to a judged model."""

from typing import TYPE_CHECKING, Annotated

import typer

from cli.console import print_json, say
from cli.exchange import EXCHANGES, BaseUrlOption, Failure, Span, Urls, refresh_shown
from cli.feature_sets import SetOption
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
from cli.settings import read_settings
from cli.training import (
    ContextOption,
    DaysOption,
    ExpertsOption,
    ForceRefineryOption,
    RefineryOnlyOption,
    RefineryOption,
    SeedOption,
    built_state,
    lead_bars,
    prime_shown,
    train_config,
    train_shown,
)

if TYPE_CHECKING:
    from mmf.bars import Series
    from mmf.pipeline.config import TrainConfig
    from warehouse import Warehouse

_DAY_MS = 86_400_000


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
    experts: ExpertsOption = None,
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
        settings,
        set_name=set_name,
        days=days,
        seed=seed,
        context=context,
        use_tensor_flex=use_tensor_flex,
        experts=experts,
    )
    work = prime_shown if tensor_flex_train_only else train_shown
    with open_warehouse(warehouse, settings, create=not offline) as opened:
        if not offline:
            _bring_up_to_date(opened, series, training, Urls(base_url, settings=settings))
        state = built_state(opened, series, settings, training)
        where = artifacts_path(artifacts, settings)
        _, told = work(opened, state, settings, training, where, must_refine=tensor_flex_force_retrain, json=json)
    if json:
        print_json(told)


# ------------------------------------------------------------------------------------


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
            lead_ms = lead_bars(config) * one.grid.ms
            days = None if config.days is None else config.days + -(-lead_ms // _DAY_MS)
            for result in refresh_shown(warehouse, [one], Span(days=days, is_all=days is None), urls=urls):
                if isinstance(result, Failure):
                    raise result.error
    except ExchangeError:
        say("To run on what is stored: mmf run --offline. To bring bars in from files: mmf ingest files PATH")
        raise
