"""`mmf ingest`: bars from files and from the simulated market."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from cli.console import print_json, print_table, progress_bar, results, say
from cli.file_series import series_of
from cli.options import (
    ConfigOption,
    IntervalOption,
    JsonOption,
    WarehouseOption,
    open_warehouse,
)
from cli.settings import read_settings
from mmf.errors import CallError

if TYPE_CHECKING:
    from mmf.bars import Series
    from mmf.markets.simulated import MarketConfig
    from mmf.markets.source import Source
    from mmf.pipeline.ingest import IngestReport
    from warehouse import Warehouse

app = typer.Typer()

EdgeOption = Annotated[
    Literal["planted", "none", "iid"], typer.Option(help="What can be learnt: see docs/simulated_market.md.")
]

_FROM_THE_NAME = "Only where the file name does not tell it."
_GO_ON = (
    "The files after this one were not read. Mend it or leave it out, then run the same command again: "
    "what is stored is not stored twice."
)
_COUNTS = ("rows", "added", "revised", "unchanged", "forming", "repeated", "quarantined")
_ALWAYS_SHOWN = ("rows", "added", "unchanged")
_N_SHOWN = 10


@app.command("files")
def files(
    paths: Annotated[list[Path], typer.Argument(help="CSV, Parquet, Feather, zip of CSV; or folders of these.")],
    *,
    exchange: Annotated[str | None, typer.Option(help=f"Such as bybit. {_FROM_THE_NAME}")] = None,
    category: Annotated[str | None, typer.Option(help="Such as linear, um or spot.")] = None,
    symbol: Annotated[str | None, typer.Option(help="Such as BTCUSDT.")] = None,
    interval: Annotated[str | None, typer.Option(help="1 3 5 15 30 60 ... D W, or 1h, 1d.")] = None,
    columns: Annotated[
        list[str] | None, typer.Option("--column", help="Their name = ours, such as --column 'vol=volume'.")
    ] = None,
    time_unit: Annotated[
        Literal["s", "ms", "us", "ns"] | None, typer.Option(help="Unit of the times, where it cannot be told.")
    ] = None,
    header: Annotated[
        bool | None, typer.Option(help="Whether CSV files have a header, where it cannot be told.")
    ] = None,
    drop_last: Annotated[bool, typer.Option(help="Leave out the last bar of each file.")] = False,
    warehouse: WarehouseOption = None,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Bring in klines from files.

    What the file name tells (bybit_linear_BTCUSDT_60m.parquet, BTCUSDT-1h-2024-10-28.zip) stands and need not be given;
    the rest comes from options, else from MMF_EXCHANGE, MMF_CATEGORY, MMF_SYMBOL and MMF_INTERVAL, else from mmf.toml.
    Every bar is checked; bad rows are quarantined and shown. Files that overlap merge; a second run changes nothing.
    """
    from mmf.markets.file_tables import list_files
    from mmf.markets.files import FileFormat, FileSource

    settings = read_settings(config)
    file_format = FileFormat(columns=_column_map(columns), time_unit=time_unit, has_header=header)
    given = {"exchange": exchange, "category": category, "symbol": symbol, "interval": interval}
    by_series: dict[Series, list[Path]] = {}
    for path in list_files(paths):
        by_series.setdefault(series_of(path, given, settings), []).append(path)
    sources = {
        series: (FileSource(of_series, file_format=file_format, drop_last=drop_last), len(of_series))
        for series, of_series in by_series.items()
    }
    reports: dict[Series, IngestReport] = {}
    with open_warehouse(warehouse, settings, create=True) as opened:
        try:
            for series, (source, n_batches) in sources.items():
                reports[series] = ingest_shown(
                    opened, source, series, n_batches=n_batches, on_report=lambda r: reports.update({r.series: r})
                )
        except Exception as error:
            error.add_note(_GO_ON)
            raise
        finally:  # what was committed before a fault is told, too
            show_reports(list(reports.values()), json=json)


@app.command("simulated")
def simulated(
    *,
    symbols: Annotated[list[str] | None, typer.Option("--symbol", help="May be repeated.")] = None,
    interval: IntervalOption = None,
    start: Annotated[datetime, typer.Option(formats=["%Y-%m-%d"], help="First day, UTC.")] = datetime(2022, 1, 1),
    bars: Annotated[int, typer.Option(min=1, help="Bars of each symbol.")] = 17_520,
    seed: Annotated[int, typer.Option(help="The same seed gives the same market.")] = 7,
    edge: EdgeOption = "planted",
    strength: Annotated[float, typer.Option(help="Bayes AUC of the planted edge.")] = 0.70,
    horizon: Annotated[
        int | None, typer.Option(help="Bars that the label of the edge looks ahead (default: 36).")
    ] = None,
    hurdle: Annotated[float | None, typer.Option(help="Return that its label exceeds (default: 0.005).")] = None,
    warehouse: WarehouseOption = None,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Bring in bars of the simulated market; no network needed."""
    from mmf.markets.simulated import MarketConfig

    settings = read_settings(config)
    market = MarketConfig(
        seed=seed,
        symbols=tuple(symbols or ["BTCUSDT"]),
        interval=_interval_name(interval or "60"),
        start_ms=int(start.replace(tzinfo=UTC).timestamp()) * 1000,
        n_bars=bars,
        edge=edge,
        strength=strength,
        horizon=settings.pick("label.horizon", horizon, 36),
        hurdle=settings.pick("label.hurdle", hurdle, 0.005),
    )
    with open_warehouse(warehouse, settings, create=True) as opened:
        reports = ingest_simulated(opened, market)
    show_reports(reports, json=json)


def ingest_simulated(warehouse: "Warehouse", market: "MarketConfig", /) -> "list[IngestReport]":
    """Ingest every symbol of a simulated market and say what it holds."""
    from mmf.bars import Series
    from mmf.markets.simulated import SimulatedMarket, SimulatedSource

    simulated_market = SimulatedMarket(market)
    if (bayes_auc := simulated_market.bayes_auc) is not None:
        say(f"The simulated market holds a planted edge: in the long run no model beats an AUC of {bayes_auc:.3f}.")
    source = SimulatedSource(market)
    series = [Series("simulated", "linear", symbol, market.interval) for symbol in market.symbols]
    return [ingest_shown(warehouse, source, one, n_batches=1, refuse_revisions=True) for one in series]


def ingest_shown(
    warehouse: "Warehouse",
    source: "Source",
    series: "Series",
    /,
    *,
    n_batches: int,
    refuse_revisions: bool = False,
    on_report: "Callable[[IngestReport], None]" = lambda _: None,
) -> "IngestReport":
    """Ingest one series with progress; `on_report` receives the report so far after each commit."""
    from mmf.pipeline.ingest import ingest

    with progress_bar() as progress:
        task = progress.add_task(f"ingest {series}", total=n_batches)

        def on_batch(_: object, report: "IngestReport") -> None:
            progress.advance(task)
            on_report(report)

        return ingest(warehouse, source, series, refuse_revisions=refuse_revisions, on_batch=on_batch)


def show_reports(reports: "list[IngestReport]", /, *, json: bool) -> None:
    """Print what ingests did, bad rows included."""
    if json:
        print_json([_as_dict(report) for report in reports])
        return
    if not reports:
        return
    counts = [name for name in _COUNTS if name in _ALWAYS_SHOWN or any(getattr(r, f"n_{name}") for r in reports)]
    rows = [(r.series, *(getattr(r, f"n_{name}") for name in counts), f"S{r.snapshot}") for r in reports]
    print_table(rows, ("series", *counts, "snapshot"), right=counts)
    for report in reports:
        if report.n_rows == 0:
            results.print(f"{report.series}: the source has no bars in this range.", markup=False)
        elif not report.has_changed:
            results.print(f"{report.series}: nothing new; the warehouse already holds these bars.", markup=False)
        if report.n_quarantined:
            _show_quarantined(report)


# ------------------------------------------------------------------------------------


def _column_map(pairs: list[str] | None) -> dict[str, str] | None:
    if not pairs:
        return None
    split = [pair.partition("=") for pair in pairs]
    if wrong := [theirs for theirs, equals, ours in split if not (theirs and equals and ours)]:
        raise CallError(f"--column {wrong[0]!r} is not THEIRS=OURS, such as --column 'vol=volume'.")
    return {theirs: ours for theirs, _, ours in split}


def _interval_name(text: str) -> str:
    from mmf.bars import Interval

    return Interval.parse(text).name


def _show_quarantined(report: "IngestReport") -> None:
    bad = report.quarantined
    title = f"{report.series}: {report.n_quarantined} bad rows in quarantine"
    if bad.is_empty():  # the ingest did not get to its end, so only the warehouse knows the rows
        results.print(title, style="bold", markup=False)
    else:
        shown = bad.select("source", "row", "open_time", "reason").head(_N_SHOWN)
        print_table(shown.rows(), shown.columns, title=title)
    if bad.height != report.n_quarantined or bad.height > _N_SHOWN:
        results.print('... all of them: mmf sql "select * from quarantine"', markup=False)


def _as_dict(report: "IngestReport") -> dict[str, object]:
    counts = {name: value for name, value in vars(report).items() if name.startswith("n_")}
    return {"series": str(report.series), "snapshot": report.snapshot, **counts}
