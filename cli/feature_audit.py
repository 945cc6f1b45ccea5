"""`mmf features audit`: whether each column is what it says, and blind to the future."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.console import print_json, print_table, progress_bar, say
from cli.feature_sets import SetOption, chosen_set
from cli.options import ConfigOption, JsonOption, WarehouseOption, open_warehouse
from cli.settings import Settings, read_settings
from mmf.errors import LeakError

if TYPE_CHECKING:
    import polars as pl

    from mmf.bars import Interval, Series
    from mmf.features.registry import FeatureSet

_BAR_WIDTH = 10
_N_NAMED = 5
_CONTEXT_BARS = 700  # the slowest column of core is first defined in its 400th row


def audit(
    *,
    set_name: SetOption = None,
    feature: Annotated[
        list[str] | None, typer.Option(help="Only these: a column, a glob such as 'hurst_*', a family; repeatable.")
    ] = None,
    series: Annotated[
        str | None, typer.Option(help="On its stored bars, such as bybit:linear:BTCUSDT:60 (default: simulated bars).")
    ] = None,
    context: Annotated[
        str | None, typer.Option(help="Audit the same columns in this longer interval as well, such as 240.")
    ] = None,
    cuts: Annotated[int, typer.Option(min=8, help="Rows after which the future is changed and taken away.")] = 80,
    histories: Annotated[int, typer.Option(min=1, help="Random orders in which bars arrive.")] = 6,
    seed: Annotated[int, typer.Option(min=0, help="Chooses rows and histories.")] = 0,
    html: Annotated[Path | None, typer.Option(help="Write a page with the same table in bars.")] = None,
    warehouse: WarehouseOption = None,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Audit columns: blind to the future, incremental = full, declared = measured memory, same bits again.

    A feature of your own is audited like MMF's. One that fails ends the command with exit code 1.

    Example: mmf features audit --feature 'my_*' --html audit.html
    """
    from mmf.features.audit_page import audit_page
    from mmf.features.audit_report import Effort, audit_features

    settings = read_settings(config)
    features = _narrowed(chosen_set(settings, set_name), feature)
    bars, interval, source = _bars(features, series, warehouse, settings)
    effort = Effort(n_cuts=cuts, n_histories=histories, seed=seed)
    with progress_bar() as progress:
        task = progress.add_task(f"audit of {features.name}", total=len(features.features))
        found = audit_features(
            features,
            bars,
            interval=interval,
            effort=effort,
            on_step=lambda done, _, family: progress.update(task, completed=done, description=f"audit: {family}"),
        )
    if html is not None:
        html.write_text(audit_page(found, title=f"{features.name} on {source}"), encoding="utf-8")
        say(f"wrote {html}")
    in_context = None if context is None else _in_context(features, context, series, warehouse, settings)
    if json:
        print_json([*found.to_dicts(), *(in_context.to_dicts() if in_context is not None else [])])
    else:
        _print(found, f"{found.height} columns of {features.name} on {source}")
        if in_context is not None:
            print_table(in_context.rows(), in_context.columns, right=("leak_rows",), title=f"in interval {context}")
    _require_sound([found, *([in_context] if in_context is not None else [])])


# ------------------------------------------------------------------------------------


def _narrowed(features: "FeatureSet", wanted: list[str] | None) -> "FeatureSet":
    from mmf.features.registry import FeatureSet
    from mmf.features.selection import by_family, select

    if not wanted:
        return features
    chosen = select(wanted, features.features, by_family(features.features), what="--feature")
    return FeatureSet(features.name, chosen, features.user)


def _bars(
    features: "FeatureSet", series: str | None, warehouse: Path | None, settings: Settings
) -> "tuple[pl.DataFrame, Interval, str]":
    """Bars to audit on, their interval, and what they are."""
    from mmf.bars import Interval, Series
    from mmf.features.audit_report import USED_BARS, bars_needed

    if series is None:
        n_bars = max(USED_BARS, bars_needed(features))
        return _simulated(n_bars, "60"), Interval("60"), f"{n_bars:,} simulated bars"
    parsed = Series.parse(series)
    bars = _stored(parsed, warehouse, settings)
    return bars, parsed.grid, f"{bars.height:,} bars of {parsed}"


def _in_context(
    features: "FeatureSet", context: str, series: str | None, warehouse: Path | None, settings: Settings
) -> "pl.DataFrame":
    """Audit the lookup of the same columns in a longer interval, on its newest bars."""
    from mmf.bars import Interval, Series
    from mmf.features.audit_context import context_causality
    from mmf.features.context import require_longer
    from mmf.pipeline.state import in_interval

    own, longer = Series.parse(series).grid if series else Interval("60"), Interval.parse(context)
    require_longer(own, longer)
    if series is None:
        rows = _simulated(_CONTEXT_BARS * (longer.ms // own.ms), own.name)
        bars = _simulated(_CONTEXT_BARS, longer.name)
    else:
        rows = _stored(Series.parse(series), warehouse, settings)
        bars = _stored(in_interval(Series.parse(series), longer), warehouse, settings).tail(_CONTEXT_BARS)
    found = context_causality(features, rows, bars, interval=own, context=longer)
    return found.rename({"is_causal": "is_sound"})


def _simulated(n_bars: int, interval: str) -> "pl.DataFrame":
    from mmf.markets.simulated import MarketConfig, SimulatedMarket

    return SimulatedMarket(MarketConfig(n_bars=n_bars, interval=interval, edge="none")).bars("BTCUSDT")


def _stored(series: "Series", warehouse: Path | None, settings: Settings) -> "pl.DataFrame":
    from mmf.pipeline.tables import stored_bars

    with open_warehouse(warehouse, settings) as opened, opened.pin() as snapshot:
        return stored_bars(snapshot, series)


def _print(found: "pl.DataFrame", title: str) -> None:
    columns = ("column", "family", "kind", "declared", "measured", "", "leaks", "verdict")
    rows = [
        (
            *(row[name] for name in columns[:5]),
            _share(row["measured"], row["declared"]),
            row["leak_rows"],
            row["verdict"],
        )
        for row in found.iter_rows(named=True)
    ]
    print_table(rows, columns, right=("declared", "measured", "leaks"), title=title)


def _share(measured: int, declared: int) -> str:
    """How much of the declared bars a column was seen to read, as a bar; a cross where it is more."""
    if measured > declared:
        return "x" * _BAR_WIDTH
    filled = round(_BAR_WIDTH * max(0, measured) / declared) if declared else _BAR_WIDTH
    return "█" * filled + "·" * (_BAR_WIDTH - filled)


def _require_sound(found: "Sequence[pl.DataFrame]") -> None:
    judged = [row for frame in found for row in frame.select("column", "is_sound").iter_rows()]
    unsound = [column for column, is_sound in judged if not is_sound]
    if unsound:
        named = ", ".join(unsound[:_N_NAMED]) + (" and more" if len(unsound) > _N_NAMED else "")
        raise LeakError(
            f"{len(unsound)} of {len(judged)} columns failed the audit: {named}. The verdict of each says what to "
            "mend; do not train on them before."
        )
