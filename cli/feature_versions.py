"""`mmf features versions` and `diff`: what is stored of each definition, and how far two tables are apart."""

from typing import TYPE_CHECKING, Annotated

import typer

from cli.console import print_facts, print_json, print_table, results
from cli.feature_sets import user_features
from cli.options import AsOfOption, ConfigOption, JsonOption, WarehouseOption, open_warehouse
from cli.settings import read_settings
from mmf.errors import CallError, DataError

if TYPE_CHECKING:
    from mmf.bars import Series
    from mmf.pipeline.versions import Comparison
    from warehouse import Warehouse

_N_SHOWN = 20


def versions(
    set_name: Annotated[str | None, typer.Argument(metavar="[SET]", help="Only versions of this set.")] = None,
    *,
    as_of: AsOfOption = None,
    warehouse: WarehouseOption = None,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """List the feature versions with what they came from and what is stored of each.

    A version that the code at hand no longer computes is read-only.

    Example: mmf features versions core
    """
    from mmf.pipeline.versions import list_versions

    settings = read_settings(config)
    with open_warehouse(warehouse, settings) as opened:
        found = list_versions(opened, set_name, as_of=as_of, user=user_features(settings))
    rows = [
        {
            "version": one.version.name,
            "after": one.version.predecessor,
            "registered": one.version.created_at,
            "columns": len(one.version.definitions),
            "series": len(one.series),
            "rows": one.n_rows,
            "MB": round(one.n_bytes / 1e6, 1),
            "code": "this" if one.is_current else "another: read-only",
            "hash": one.version.definition_hash[:12],
        }
        for one in found
    ]
    if json:
        packages = [{"packages": one.version.packages} for one in found]
        print_json([row | more for row, more in zip(rows, packages, strict=True)])
        return
    if not rows:
        results.print("no feature version yet. Make one with: mmf features build SERIES")
        return
    print_table([tuple(row.values()) for row in rows], tuple(rows[0]), right=("columns", "series", "rows", "MB"))


def diff(
    a: Annotated[str, typer.Argument(metavar="A", help="core@v1, or core@v1@S3.")],
    b: Annotated[str, typer.Argument(metavar="B", help="core@v2, or core@v1@S9.")],
    *,
    series: Annotated[
        str | None,
        typer.Option(help="Whose tables (default: the one series that has both), such as bybit:linear:BTCUSDT:60."),
    ] = None,
    as_of: AsOfOption = None,
    limit: Annotated[int, typer.Option(min=1, help="Most columns to print, the furthest apart first.")] = _N_SHOWN,
    warehouse: WarehouseOption = None,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Compare two feature tables: which definitions changed, which columns differ, and how far apart they are.

    Example: mmf features diff core@v1 core@v2 --series bybit:linear:BTCUSDT:60
    """
    from mmf.pipeline.versions import compare_versions

    with open_warehouse(warehouse, read_settings(config)) as opened:
        found = compare_versions(opened, _series(opened, series, a, b), a, b, as_of=as_of)
    if json:
        states = {"a": str(found.a), "b": str(found.b), "series": str(found.a.series)}
        print_json({**vars(found), **states, "is_equal": found.is_equal, "columns": found.columns.to_dicts()})
        return
    _print(found, limit)


# ------------------------------------------------------------------------------------


def _series(warehouse: "Warehouse", text: str | None, a: str, b: str) -> "Series":
    """The series named, else the only one of which both versions are stored."""
    from mmf.bars import Series

    if text is not None:
        return Series.parse(text)
    names = ["@".join(state.split("@")[:2]) for state in (a, b)]
    with warehouse.pin() as snapshot:
        held = [
            {
                key
                for version in snapshot.versions("features")
                if version == name or version.startswith(f"{name}@")
                for key in snapshot.keys("features", version=version)
            }
            for name in names
        ]
    for name, keys in zip(names, held, strict=True):
        if not keys:
            raise DataError(f"no rows of {name} are stored now. See what is: mmf features versions")
    shared = sorted(held[0] & held[1])
    if len(shared) != 1:
        raise CallError(f"{len(shared)} series have both {names[0]} and {names[1]}. Name one with --series.")
    return Series(*shared[0])


def _print(found: "Comparison", limit: int) -> None:
    import polars as pl

    facts = {
        "rows in both": found.n_rows,
        f"only in {found.a}": found.n_only_a,
        f"only in {found.b}": found.n_only_b,
        **{f"{what} definitions": _listed(getattr(found, what)) for what in ("added", "removed", "changed")},
    }
    print_facts(facts, title=f"{found.a} and {found.b} of {found.a.series}")
    differing = found.columns.filter(pl.col("n_differing") > 0).sort("max_relative", descending=True, nulls_last=True)
    n_same = found.columns.height - differing.height
    results.print(f"{n_same} of {found.columns.height} shared columns are equal bit for bit", markup=False)
    if differing.is_empty():
        return
    columns = ("column", "rows", "null on one side", "largest difference", "over the column's scale", "from")
    print_table(differing.head(limit).rows(), columns, right=columns[1:5])
    if differing.height > limit:
        results.print(f"and {differing.height - limit} more: --limit {differing.height}", markup=False)


def _listed(names: list[str]) -> str:
    return (
        ", ".join(names[:_N_SHOWN]) + (f" and {len(names) - _N_SHOWN} more" if len(names) > _N_SHOWN else "") or "none"
    )
