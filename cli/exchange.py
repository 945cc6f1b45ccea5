"""`mmf ingest bybit`, `mmf ingest binance`, and `mmf ingest` alone: bars kept up to date from exchanges."""

import os
import re
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from fnmatch import fnmatchcase
from itertools import groupby
from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import Progress, TaskID

from cli.console import progress_bar, say
from cli.ingest import show_reports
from cli.options import ConfigOption, IntervalOption, JsonOption, WarehouseOption, open_warehouse
from cli.settings import Settings, read_settings
from cli.span import DEFAULT_DAYS, Span
from mmf.errors import CallError

if TYPE_CHECKING:
    from mmf.bars import Series
    from mmf.markets.binance import BinanceSource
    from mmf.markets.bybit import BybitSource
    from mmf.markets.source import Batch, Want
    from mmf.pipeline.ingest import IngestReport
    from warehouse import Warehouse

DERIVATIVES = {"bybit": "linear", "binance": "um"}  # each exchange's category of contracts settled in dollars
EXCHANGES = tuple(DERIVATIVES)
_SOURCES = {"bybit": "", "binance": ": archives first, their checksums verified, REST for the rest"}
_SYMBOL = re.compile(r"[A-Z0-9_\-]{1,40}")

SymbolsArgument = Annotated[
    list[str] | None, typer.Argument(metavar="SYMBOL...", help="Such as BTCUSDT; a pattern such as 'BTC*'.")
]
CategoryOption = Annotated[str | None, typer.Option(help="bybit: linear, inverse, spot; binance: um, spot.")]
AllOption = Annotated[bool, typer.Option("--all", help="Every instrument that the exchange trades.")]
DaysOption = Annotated[int | None, typer.Option(min=1, help=f"Days back from now (default: {DEFAULT_DAYS}).")]
StartOption = Annotated[datetime | None, typer.Option(help="First open_time, UTC.")]
EndOption = Annotated[datetime | None, typer.Option(help="Instant before which bars open, UTC (default: now).")]
AllHistoryOption = Annotated[bool, typer.Option("--all-history", help="From the launch of the instrument.")]
BaseUrlOption = Annotated[
    str | None, typer.Option(help="Another address of the exchange; also MMF_BYBIT_URL, MMF_BINANCE_URL.")
]
ArchiveUrlOption = Annotated[
    str | None, typer.Option(envvar="MMF_BINANCE_ARCHIVE_URL", help="Another address of Binance's archives.")
]
RecheckOption = Annotated[
    bool,
    typer.Option("--recheck", help="Fetch the whole range again: for restatements, and what was said to be absent."),
]


def command_of(exchange: str, /) -> Callable[..., None]:
    """Return the command that fetches klines from one exchange."""

    def ingest(
        symbols: SymbolsArgument = None,
        *,
        category: CategoryOption = None,
        interval: IntervalOption = None,
        days: DaysOption = None,
        start: StartOption = None,
        end: EndOption = None,
        all_history: AllHistoryOption = False,
        every: AllOption = False,
        recheck: RecheckOption = False,
        base_url: BaseUrlOption = None,
        archive_url: ArchiveUrlOption = None,
        warehouse: WarehouseOption = None,
        config: ConfigOption = None,
        json: JsonOption = False,
    ) -> None:
        from mmf.bars import Series

        settings, span = read_settings(config), Span(days, start, end, all_history)
        name = str(settings.pick("market.interval", interval, "60"))
        market = category or DERIVATIVES[exchange]
        urls = Urls(base_url, archive_url, settings)
        chosen = _symbols(exchange, market, symbols, urls, every=every)
        series = [Series.of(exchange, market, symbol, name) for symbol in chosen]
        with open_warehouse(warehouse, settings, create=True) as opened:
            _show_all(refresh_shown(opened, series, span, urls=urls, is_recheck=recheck), json=json)

    ingest.__doc__ = f"""Fetch klines from {exchange.capitalize()}{_SOURCES[exchange]}.

    What is wanted, less what is held or known to be absent. Interrupted at any moment, the same command fetches the
    rest.
    """
    return ingest


def refresh_known(
    context: typer.Context,
    *,
    base_url: BaseUrlOption = None,
    warehouse: WarehouseOption = None,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Bring bars in; alone, without a command, bring every stored series of an exchange up to date."""
    if context.invoked_subcommand is not None:
        return
    from mmf.bars import Series

    settings = read_settings(config)
    with open_warehouse(warehouse, settings) as opened:
        known = [Series(*key) for key in opened.series() if key.exchange in EXCHANGES]
        if not known:
            raise CallError("no series of an exchange is stored yet. Begin with: mmf ingest bybit BTCUSDT")
        if base_url and len({one.exchange for one in known}) > 1:
            raise CallError("--base-url is the address of one exchange, and series of two are stored. Leave it out.")
        _show_all(refresh_shown(opened, known, Span(), urls=Urls(base_url, settings=settings)), json=json)


@dataclass(frozen=True)
class Urls:
    """Other addresses than those of the exchanges themselves: by flag, else by environment, else by mmf.toml.

    Attributes
    ----------
    base, archive : str, optional
        What --base-url and --archive-url say.
    settings : Settings
        What the file says; by default `mmf.toml` in the working directory.
    """

    base: str | None = None
    archive: str | None = None
    settings: Settings = field(default_factory=read_settings)

    def of(self, exchange: str, /) -> str | None:
        """Return the address of an exchange, None for its own."""
        return self.settings.pick(f"urls.{exchange}", self.base or os.environ.get(f"MMF_{exchange.upper()}_URL"), None)

    def of_archives(self) -> str | None:
        """Return the address of Binance's archives, None for its own."""
        given = self.archive or os.environ.get("MMF_BINANCE_ARCHIVE_URL")
        return self.settings.pick("urls.binance_archive", given, None)


def refresh_shown(
    warehouse: "Warehouse", series: "Sequence[Series]", span: Span, /, *, urls: Urls, is_recheck: bool = False
) -> "Iterator[IngestReport | Failure]":
    """Refresh series with progress, several at once; yield a report, or what went wrong, for each.

    What concerns one series only leaves the others alone; a ban, a block or an exchange out of reach ends it all.
    """
    now_ms = time.time_ns() // 1_000_000
    with progress_bar() as progress:
        total = progress.add_task("all series", total=len(series), visible=len(series) > 1)
        for (exchange, _), some in groupby(series, key=lambda one: one.key[:2]):
            source = source_of(exchange, urls)
            options = {"now_ms": now_ms, "is_recheck": is_recheck}
            for result in _refresh_some(warehouse, source, list(some), span, progress, **options):
                progress.advance(total)
                yield result


@dataclass(frozen=True)
class Failure:
    """A series that could not be refreshed, and why."""

    series: "Series"
    error: Exception


def source_of(exchange: str, urls: Urls, /) -> "BybitSource | BinanceSource":
    """Return the source of an exchange, at another address where one is given."""
    import stamina

    stamina.instrumentation.set_on_retry_hooks([])  # by default each retry writes a line across the progress bar
    match exchange:
        case "bybit":
            from mmf.markets.bybit import BYBIT_URL, BybitSource

            return BybitSource(urls.of("bybit") or BYBIT_URL)
        case "binance":
            from mmf.markets.binance import ARCHIVE_URL, BinanceSource

            return BinanceSource(urls.of("binance"), archive_url=urls.of_archives() or ARCHIVE_URL)
        case _:
            raise CallError(f"{exchange!r} is no exchange that MMF can ask. Use one of {', '.join(EXCHANGES)}.")


# ------------------------------------------------------------------------------------


def _refresh_some(
    warehouse: "Warehouse",
    source: "BybitSource | BinanceSource",
    series: "list[Series]",
    span: Span,
    progress: Progress,
    *,
    now_ms: int,
    is_recheck: bool,
) -> "Iterator[IngestReport | Failure]":
    """Refresh series of one exchange and category; each shows its progress while it is at work."""
    from mmf.pipeline.exchange import refresh_all

    tasks: dict[Series, TaskID] = {}

    def begin(want: "Want") -> None:
        n_slots = want.count_slots(before_ms=now_ms)
        tasks[want.series] = progress.add_task(str(want.series), total=None if span.is_all else n_slots)

    def advance(_: "Batch", report: "IngestReport") -> None:
        progress.update(tasks[report.series], completed=report.n_rows)

    def asked(first_stored_ms: int | None) -> tuple[int, int]:
        return span.range_ms(first_stored_ms=first_stored_ms, now_ms=now_ms)

    options = {"is_recheck": is_recheck, "on_plan": begin, "on_batch": advance}
    for one, result in refresh_all(warehouse, source, series, asked, now_ms=now_ms, **options):
        if one in tasks:
            progress.remove_task(tasks[one])
        yield Failure(one, result) if isinstance(result, Exception) else result


def _show_all(results: "Iterator[IngestReport | Failure]", *, json: bool) -> None:
    """Show every report, also of what was done before an error; exit with 1 where a series failed."""
    reports: list[IngestReport] = []
    failures: list[Failure] = []
    try:
        for result in results:
            if isinstance(result, Failure):
                failures.append(result)
            else:
                reports.append(result)
    finally:
        show_reports(reports, json=json)
        for failure in failures:
            say(f"failed: {failure.series}: {failure.error}")
    if failures:
        raise typer.Exit(1)


def _symbols(exchange: str, category: str, symbols: list[str] | None, urls: Urls, *, every: bool) -> list[str]:
    """Names as given; patterns and --all are looked up at the exchange."""
    names = symbols or ([] if every else urls.settings.pick("market.symbols", None, []))
    if every and symbols:
        raise CallError("--all and symbols exclude one another.")
    if not names and not every:
        raise CallError(f"say what to fetch: mmf ingest {exchange} BTCUSDT, a pattern such as 'BTC*', or --all.")
    patterns = ["*"] if every else [name for name in names if _is_pattern(name)]
    if not patterns:
        return list(names)
    instruments = source_of(exchange, urls).instruments(category).rows_by_key("symbol", named=True, unique=True)
    listed = [name for name, row in instruments.items() if row["status"].lower() == "trading"]  # Binance writes TRADING
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in listed):
            raise CallError(f"none of the {len(listed)} {category} symbols of {exchange} matches {pattern!r}.")
    found = [name for name in listed if any(fnmatchcase(name, pattern) for pattern in patterns)]
    unusable = [name for name in found if not _SYMBOL.fullmatch(name)]
    plain = [name for name in names if not _is_pattern(name) and name not in found]
    say(f"{len(found)} symbols match: {', '.join(found[:8])}{' ...' if len(found) > 8 else ''}")
    if unusable:
        say(f"left out, since MMF takes A-Z, 0-9, _ and - only: {', '.join(unusable)}")
    return plain + [name for name in found if name not in unusable]


def _is_pattern(name: str) -> bool:
    return any(mark in name for mark in "*?[")
