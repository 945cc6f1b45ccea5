"""`mmf data check`, `repair` and `revisions`: whether the stored bars can be trusted."""

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from cli.console import print_facts, print_json, print_table, progress_bar, results, say
from cli.exchange import EXCHANGES, BaseUrlOption, Urls, source_of
from cli.options import ConfigOption, JsonOption, WarehouseOption, open_warehouse
from cli.settings import read_settings
from mmf.errors import CallError

if TYPE_CHECKING:
    import polars as pl

    from mmf.bars import Series
    from mmf.pipeline.doctor import Repair
    from warehouse import Warehouse

SeriesArgument = Annotated[
    list[str] | None, typer.Argument(metavar="[SERIES...]", help="Such as bybit:linear:BTCUSDT:60; all by default.")
]
NO_BARS = "The warehouse holds no bars yet. Bring some in: mmf ingest bybit BTCUSDT, or mmf ingest files PATH"
_N_SHOWN = 20
_SERIES = ("exchange", "category", "symbol", "interval")


def check(
    series: SeriesArgument = None,
    *,
    warehouse: WarehouseOption = None,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Say why each missing bar is missing (outage, no trades, lost, ...) and list what looks odd."""
    from mmf.pipeline.doctor import examine

    with open_warehouse(warehouse, read_settings(config)) as opened, progress_bar() as progress:
        progress.add_task("examining", total=None)
        found = examine(opened, _chosen(opened, series), now_ms=_now_ms(), exchanges=EXCHANGES)
    if json:
        parts = {"holes": found.holes, "edges": found.edges, "oddities": found.oddities}
        print_json({name: table.to_dicts() for name, table in parts.items()})
        return
    if not found.n_series:
        results.print(NO_BARS)
    elif found.holes.is_empty():
        results.print("No hole: every bar that ought to be there is stored.")
    else:
        _show_holes(found.holes)
    if not found.edges.is_empty():
        _show_edges(found.edges)
    if not found.oddities.is_empty():
        _show_oddities(found.oddities)


def repair(
    series: SeriesArgument = None,
    *,
    again: Annotated[bool, typer.Option("--again", help="Ask for outages and bars without trades too.")] = False,
    base_url: BaseUrlOption = None,
    warehouse: WarehouseOption = None,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Ask the exchanges again for bars that are lost, unchecked or bad at the source, and for nothing else."""
    from mmf.bars import Series
    from mmf.pipeline.doctor import repair as repair_bars

    settings = read_settings(config)
    with open_warehouse(warehouse, settings) as opened:
        chosen = _chosen(opened, series) or [Series(*key) for key in opened.series()]
        askable = [one for one in chosen if one.exchange in EXCHANGES]
        if left_out := [str(one) for one in chosen if one.exchange not in EXCHANGES]:
            say(f"left out, since no exchange can be asked for them: {', '.join(left_out)}")
        urls = Urls(base_url, settings=settings)
        repairs = repair_bars(
            opened, lambda exchange: source_of(exchange, urls), askable, now_ms=_now_ms(), again=again
        )
        _show_repairs(repairs, json=json, is_empty=not chosen)


def compare(
    left: Annotated[str, typer.Argument(metavar="SERIES", help="Such as bybit:linear:BTCUSDT:60.")],
    right: Annotated[str, typer.Argument(metavar="SERIES", help="Another source or interval of the same symbol.")],
    *,
    warehouse: WarehouseOption = None,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Compare two series number by number; the finer interval is joined to the coarser one first."""
    from mmf.pipeline.doctor import compare as compare_bars

    with open_warehouse(warehouse, read_settings(config)) as opened:
        found = compare_bars(opened, *(_chosen(opened, [left, right]) or []))
    facts = {
        "bars compared": found.n_compared,
        "only in part": found.n_partial,
        "only left": found.only_left.len(),
        "only right": found.only_right.len(),
        "numbers that differ": found.differences.height,
    }
    if json:
        print_json({**facts, "differences": found.differences.to_dicts()})
        return
    print_facts(facts)
    if not found.differences.is_empty():
        columns = found.differences.columns
        print_table(found.differences.head(_N_SHOWN).rows(), columns, right=columns[2:])
        _say_rest(found.differences.height, "differences")


def revisions(
    series: SeriesArgument = None,
    *,
    warehouse: WarehouseOption = None,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """List the bars that a source has restated: the old numbers, and when they were replaced."""
    from warehouse import query as warehouse_query

    with open_warehouse(warehouse, read_settings(config)) as opened, opened.pin() as snapshot:
        wanted, n_series = [str(one) for one in _chosen(opened, series) or []], len(opened.series())
        with warehouse_query.connect(snapshot) as connection:
            found = connection.sql(warehouse_query.inspection("revisions")).pl()
    if wanted:
        import polars as pl

        name = pl.concat_str(["exchange", "category", "symbol", "interval"], separator=":")
        found = found.filter(name.is_in(wanted))
    if json:
        print_json(found.to_dicts())
    elif found.is_empty():
        results.print("No bar was restated." if n_series else NO_BARS)
    else:
        numbers = [name for name, dtype in found.schema.items() if dtype.is_numeric()]
        print_table(found.head(_N_SHOWN).rows(), found.columns, right=numbers)
        _say_rest(found.height, "revisions")


# ------------------------------------------------------------------------------------


def _chosen(warehouse: "Warehouse", series: list[str] | None) -> "list[Series] | None":
    from mmf.bars import Series

    if not series:
        return None
    chosen = [Series.parse(text) for text in series]
    known = {Series(*key) for key in warehouse.series()}
    if unknown := [one for one in chosen if one not in known]:
        raise CallError(f"{unknown[0]} is not stored. See what is: mmf data status")
    return chosen


def _show_repairs(repairs: "Iterator[Repair]", *, json: bool, is_empty: bool) -> None:
    """Show what each series gained, also of what was done before an error; exit with 1 where a series failed."""
    done: list[Repair] = []
    failed: list[Repair] = []
    is_over = False
    try:
        with progress_bar() as progress:
            progress.add_task("repairing", total=None)
            for one in repairs:
                (failed if one.error else done).append(one)
        is_over = True
    finally:
        if json or done:
            _show_gains(done, json=json)
        elif is_over and not failed:
            results.print(
                NO_BARS if is_empty else "Nothing to repair: no hole is lost, unchecked or bad at the source."
            )
        for one in failed:
            say(f"failed: {one.series}: {one.error}")
    if failed:
        raise typer.Exit(1)


def _show_gains(done: "list[Repair]", *, json: bool) -> None:
    if json:
        counts = ("n_asked", "n_found", "n_bad")
        print_json([{"series": str(one.series)} | {name: getattr(one, name) for name in counts} for one in done])
    else:
        columns = ("series", "asked", "found", "bad", "not there")
        rows = [
            (one.series, one.n_asked, one.n_found, one.n_bad, one.n_asked - one.n_found - one.n_bad) for one in done
        ]
        print_table(rows, columns, right=columns[1:])


def _show_holes(holes: "pl.DataFrame") -> None:
    import polars as pl

    from mmf.doctor.gaps import REPAIRABLE

    by_verdict = holes.group_by("verdict").agg(pl.len(), pl.col("n_missing").sum()).sort("verdict")
    print_table(by_verdict.rows(), ("verdict", "holes", "bars"), right=("holes", "bars"), title="Holes by verdict")
    can_be_asked_for = pl.col("verdict").is_in(REPAIRABLE) & pl.col("exchange").is_in(EXCHANGES)
    _show_runs(_longest(holes.filter(can_be_asked_for)), title="To be asked for again: mmf data repair")
    _show_runs(_longest(holes.filter(~can_be_asked_for)), title="Longest holes")


def _show_edges(edges: "pl.DataFrame") -> None:
    """Show what is no hole: outside the life of an instrument, or not fetched yet, which one command mends."""
    import polars as pl

    is_late = pl.col("verdict") == "not fetched yet"
    _show_runs(_longest(edges.filter(is_late)), title="Not fetched yet: mmf ingest", has_reasons=False)
    _show_runs(edges.filter(~is_late), title="Outside the life of the instrument")


def _longest(holes: "pl.DataFrame") -> "pl.DataFrame":
    return holes.sort("n_missing", descending=True, maintain_order=True)


def _show_runs(holes: "pl.DataFrame", *, title: str, has_reasons: bool = True) -> None:
    if holes.is_empty():
        return
    shown = {"first missing": "first_missing", "last missing": "last_missing", "bars": "n_missing"}
    if has_reasons:
        shown |= {"verdict": "verdict", "because": "evidence"}
    rows = [(":".join(row[:4]), *row[4:]) for row in holes.head(_N_SHOWN).select(*_SERIES, *shown.values()).rows()]
    print_table(rows, ("series", *shown), right=("bars",), title=f"\n{title}")
    _say_rest(holes.height, "runs of bars")


def _show_oddities(oddities: "pl.DataFrame") -> None:
    import polars as pl

    by_kind = oddities.group_by("series", "kind").agg(pl.len(), pl.col("open_time", "detail").first())
    rows = by_kind.sort("series", "kind").rows()
    columns = ("series", "kind", "times", "first", "for example")
    print_table(rows, columns, right=("times",), title="\nOddities")


def _say_rest(n: int, what: str) -> None:
    if n > _N_SHOWN:
        results.print(f"  ... {n - _N_SHOWN} more {what}: --json shows all", markup=False)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
