"""`mmf data`: what the warehouse holds, and its housekeeping."""

import re
from typing import Annotated

import typer

from cli.console import print_facts, print_json, print_table, results
from cli.doctor import NO_BARS
from cli.options import AsOfOption, ConfigOption, JsonOption, WarehouseOption, open_warehouse
from cli.settings import read_settings
from mmf.errors import CallError

app = typer.Typer(help="Look at the stored bars, and keep house.", no_args_is_help=True)

_SECONDS = {"m": 60, "h": 3_600, "d": 86_400}


@app.command("status")
def status(
    *,
    as_of: AsOfOption = None,
    warehouse: WarehouseOption = None,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Show the coverage of every series."""
    from warehouse import query as warehouse_query

    with open_warehouse(warehouse, read_settings(config)) as opened, opened.pin(as_of) as snapshot:
        with warehouse_query.connect(snapshot) as connection:
            found = connection.sql(warehouse_query.inspection("status")).pl()
        n_bytes = opened.disk_bytes()
    if json:
        print_json({"snapshot": snapshot.id, "bytes": n_bytes, "series": found.to_dicts()})
        return
    if found.is_empty():
        results.print(NO_BARS)
        return
    columns = ("series", "first bar", "last bar", "age", "bars", "gaps", "missing", "revisions", "MB")
    rows = [(":".join(row[:4]), *row[4:6], _age(row[6]), *row[7:11], f"{row[11] / 1e6:.1f}") for row in found.rows()]
    print_table(rows, columns, right=columns[3:])
    print_facts({"snapshot": f"S{snapshot.id}", "on disk": f"{n_bytes / 1e6:,.1f} MB"})
    if found["count_missing"].sum():
        results.print("Why bars are missing: mmf data check")


@app.command("expire")
def expire(
    *,
    keep: Annotated[str, typer.Option(help="Age up to which superseded snapshots stay: 12h, 7d, 90m.")] = "7d",
    warehouse: WarehouseOption = None,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Let superseded snapshots go, then delete the files that nothing refers to.

    Snapshots that a run, a tag or a reader holds stay. Files go when they have been unreferenced for an hour.
    """
    with open_warehouse(warehouse, read_settings(config)) as opened:
        expired = opened.expire(_seconds(keep))
        collected = opened.collect()
    facts = {
        "snapshots expired": expired.n_snapshots,
        "feature tables retired": expired.n_tables,
        "files left behind": expired.n_files,
        "files deleted": collected.n_files,
        "strays deleted": collected.n_strays,
        "bytes freed": collected.n_bytes,
    }
    print_json(facts) if json else print_facts(facts)


# ------------------------------------------------------------------------------------


def _age(hours: float) -> str:
    """Time since the last bar closed, in the unit that suits."""
    return f"{hours * 60:.0f} min" if hours < 2 else f"{hours:.0f} h" if hours < 72 else f"{hours / 24:,.0f} d"


def _seconds(text: str) -> float:
    match = re.fullmatch(r"(\d+)([mhd])", text)
    if match is None:
        raise CallError(f"--keep {text!r} is no length of time. Write 90m, 12h or 7d.")
    return int(match[1]) * _SECONDS[match[2]]
