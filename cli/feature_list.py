"""`mmf features list` and `show`: definitions, and what they cost."""

from typing import TYPE_CHECKING, Annotated

import typer

from cli.console import print_facts, print_json, print_table
from cli.feature_sets import SetOption, chosen_set, user_features
from cli.options import ConfigOption, JsonOption
from cli.settings import read_settings
from mmf.errors import CallError

if TYPE_CHECKING:
    from mmf.features.cost import Cost
    from mmf.features.registry import FeatureSet

_COST_BARS = 16_384


def list_features(
    *,
    set_name: SetOption = None,
    family: Annotated[str | None, typer.Option(help="Only this family.")] = None,
    cost: Annotated[bool, typer.Option("--cost", help="Measure what each column costs, in a few seconds.")] = False,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """List the features of a set with their memory, unit, oracle and tolerance.

    Example: mmf features list --family chaos --cost
    """
    from mmf.features.lags import LAGS
    from mmf.features.registry import FeatureSet

    settings = read_settings(config)
    chosen = chosen_set(settings, set_name)
    features = tuple(f for f in chosen.features if family in {None, f.family})
    if not features:
        families = dict.fromkeys(f.family for f in chosen.features)
        raise CallError(f"there is no family {family!r} in {chosen.name}. There are: {', '.join(families)}.")
    columns = ["name", "family", "memory", "unit", "oracle", "tolerance", "description"]
    rows: list[list[object]] = [
        [f.name, f.family, f.reach, f.unit, f.oracle, f.tolerance, f.description] for f in features
    ]
    if cost:
        costs = _measured(FeatureSet(chosen.name, features, chosen.user))
        columns.insert(-1, "us/bar")
        for row, feature in zip(rows, features, strict=True):
            row.insert(-1, round(costs[feature.name].of_one, 4))
    if json:
        print_json([dict(zip(columns, row, strict=True)) for row in rows])
        return
    lags = " ".join(map(str, settings.pick("features.lags", None, LAGS)))
    title = f"{len(rows)} features; each has lags {lags} beside it"
    print_table(rows, columns, right=("memory", "tolerance", "us/bar"), title=title)


def show(
    name: Annotated[str, typer.Argument(help="Such as hurst_200, or rsi_14_lag_3.")],
    *,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Show the definition of one feature, and what it costs on this machine.

    Example: mmf features show hurst_200
    """
    from mmf.features.context import split_context
    from mmf.features.lags import split_lag
    from mmf.features.registry import FeatureSet, known_features
    from mmf.features.selection import select

    unlagged, lag = split_lag(name)
    base, context = split_context(unlagged)
    user = user_features(read_settings(config))
    known = known_features(user)
    features = tuple(f for f in known if f.name == base) or select([base], known, {}, what="mmf features show")
    if len(features) > 1:
        raise CallError(f"{base!r} names {len(features)} features. See them with: mmf features list")
    definition = FeatureSet("shown", features, user).definitions()[0]
    together = tuple(f for f in known if f.computation == features[0].computation)
    cost = _measured(FeatureSet("shown", together, user))[features[0].name]
    if json:
        print_json(definition | {"us_per_bar": cost.of_one, "computed_with": cost.n_columns - 1})
        return
    read = [f"{lag} bars back"] if lag else []
    read += [f"in interval {context.name}"] if context else []
    print_facts(definition | {"cost": _worded(cost)}, title=f"{base}, read {' and '.join(read)}" if read else base)


# ------------------------------------------------------------------------------------


def _measured(features: "FeatureSet") -> "dict[str, Cost]":
    from mmf.features.cost import measured_cost
    from mmf.markets.simulated import MarketConfig, SimulatedMarket

    market = SimulatedMarket(MarketConfig(n_bars=_COST_BARS, edge="none"))
    return measured_cost(features, market.bars(market.config.symbols[0]))


def _worded(cost: "Cost") -> str:
    alone = f"{cost.of_one:.3g} us/bar"
    if cost.n_columns == 1:
        return alone
    return f"{alone}: {cost.us_per_bar:.3g} for the {cost.n_columns} columns that are computed in one pass"
