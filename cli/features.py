"""`mmf features`: build, list and show feature tables."""

from typing import TYPE_CHECKING, Annotated

import typer

from cli.console import print_facts, print_json, print_table, progress_bar
from cli.options import ConfigOption, JsonOption, WarehouseOption, open_warehouse
from cli.settings import read_settings
from mmf.errors import CallError

if TYPE_CHECKING:
    from mmf.bars import Series
    from mmf.pipeline.build import BuildReport
    from warehouse import Warehouse

app = typer.Typer(help="Build and inspect feature tables.", no_args_is_help=True)

SetOption = Annotated[str | None, typer.Option("--set", help="Feature set (default: core).")]


@app.command("build")
def build(
    series: Annotated[list[str], typer.Argument(metavar="SERIES...", help="Such as bybit:linear:BTCUSDT:60.")],
    *,
    set_name: SetOption = None,
    warehouse: WarehouseOption = None,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Bring the feature tables of series up to their bars; only what changed is computed."""
    from mmf.bars import Series

    settings = read_settings(config)
    name = settings.pick("features.set", set_name, "core")
    with open_warehouse(warehouse, settings) as opened:
        reports = [build_shown(opened, Series.parse(text), name) for text in series]
    if json:
        print_json([{**vars(report), "series": str(report.series), "state": report.state} for report in reports])
        return
    columns = ("series", "state", "rows", "columns", "chunks", "computed")
    print_table(
        [(r.series, r.state, r.n_rows, r.n_columns, r.n_chunks, r.n_computed) for r in reports],
        columns,
        right=columns[2:],
    )


def build_shown(warehouse: "Warehouse", series: "Series", set_name: str, /) -> "BuildReport":
    """Build one feature table with progress."""
    from mmf.features.registry import feature_set
    from mmf.pipeline.build import build_features

    with progress_bar() as progress:
        task = progress.add_task(f"features {set_name} of {series}", total=None)
        return build_features(
            warehouse,
            series,
            feature_set(set_name),
            on_chunk=lambda done, total: progress.update(task, completed=done, total=total),
        )


@app.command("list")
def list_features(
    *,
    set_name: SetOption = None,
    family: Annotated[str | None, typer.Option(help="Only this family.")] = None,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """List the features of a set with their memory, unit and oracle."""
    from mmf.features.lags import LAGS
    from mmf.features.registry import feature_set

    settings = read_settings(config)
    name = settings.pick("features.set", set_name, "core")
    features = [f for f in feature_set(name).features if family in {None, f.family}]
    if not features:
        raise CallError(f"there is no family {family!r}. See them all: mmf features list")
    columns = ("name", "family", "memory", "unit", "oracle", "description")
    rows = [(f.name, f.family, f.reach, f.unit, f.oracle, f.description) for f in features]
    if json:
        print_json([dict(zip(columns, row, strict=True)) for row in rows])
        return
    lags = " ".join(map(str, settings.pick("features.lags", None, LAGS)))
    print_table(rows, columns, right=("memory",), title=f"{len(rows)} features; each has lags {lags} beside it")


@app.command("show")
def show(
    name: Annotated[str, typer.Argument(help="Such as hurst_200.")],
    *,
    set_name: SetOption = None,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Show the definition of one feature."""
    from mmf.features.lags import split_lag
    from mmf.features.registry import feature_set

    base, lag = split_lag(name)
    set_name = read_settings(config).pick("features.set", set_name, "core")
    found = [d for d in feature_set(set_name).definitions() if d["name"] == base]
    if not found:
        raise CallError(f"there is no feature {base!r} in {set_name}. See them all: mmf features list")
    if json:
        print_json(found[0])
        return
    print_facts(found[0], title=f"{base}, read {lag} bars back" if lag else base)
