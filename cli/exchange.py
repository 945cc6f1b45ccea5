"""`mmf ingest bybit`, `mmf ingest binance`, and `mmf ingest` alone: bars kept up to date from exchanges."""

import re
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import Progress

from cli.console import progress_bar, say
from cli.ingest import show_reports
from cli.options import ConfigOption, IntervalOption, JsonOption, WarehouseOption, open_warehouse
from cli.settings import Settings, read_settings
from mmf.errors import CallError

if TYPE_CHECKING:
    from mmf.bars import Series
    from mmf.markets.binance import BinanceSource
    from mmf.markets.bybit import BybitSource
    from mmf.markets.source import Batch
    from mmf.pipeline.ingest import IngestReport
    from warehouse import Warehouse

DERIVATIVES = {"bybit": "linear", "binance": "um"}  # each exchange's category of contracts settled in dollars
EXCHANGES = tuple(DERIVATIVES)
DEFAULT_DAYS = 730
_SOURCES = {"bybit": "", "binance": ": archives first, their checksums verified, REST for the rest"}
DAY_MS = 86_400_000
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
BaseUrlOption = Annotated[str | None, typer.Option(help="Another address of the exchange.")]
ArchiveUrlOption = Annotated[str | None, typer.Option(help="Another address of Binance's archives.")]
RecheckOption = Annotated[
    bool,
    typer.Option("--recheck", help="Fetch the whole range again: for restatements, and what was said to be absent."),
]


@dataclass(frozen=True)
class Span:
    """What range of time was asked for; all open means: from the first stored bar, or the default days."""

    days: int | None = None
    start: datetime | None = None
    end: datetime | None = None
    is_all: bool = False

    def __post_init__(self) -> None:
        chosen = [self.days is not None, self.start is not None or self.end is not None, self.is_all]
        if sum(chosen) > 1:
            raise CallError("--days, --start/--end and --all-history exclude one another. Give one of them.")
        if self.start and self.end and self.start >= self.end:
            raise CallError(f"--start {self.start} is not before --end {self.end}.")

    def range_ms(self, *, first_stored_ms: int | None, now_ms: int) -> tuple[int, int]:
        """Return the half-open range of open_time; open-ended where no end was given, since the exchange knows now."""
        from mmf.markets.source import ALL_TIME

        stop_ms = _ms(self.end) if self.end else ALL_TIME[1]
        if self.is_all:
            return ALL_TIME[0], stop_ms
        if self.start:
            if _ms(self.start) > now_ms:
                raise CallError(f"--start {self.start} lies in the future; no exchange has bars there.")
            return _ms(self.start), stop_ms
        if self.days is None and first_stored_ms is not None:
            return min(first_stored_ms, stop_ms), stop_ms
        start_ms = min(now_ms, stop_ms) - (self.days or DEFAULT_DAYS) * DAY_MS
        return start_ms, stop_ms


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
        chosen = _symbols(exchange, market, symbols, settings, every=every, base_url=base_url)
        series = [Series.of(exchange, market, symbol, name) for symbol in chosen]
        with open_warehouse(warehouse, settings, create=True) as opened:
            urls = Urls(base_url, archive_url)
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

    with open_warehouse(warehouse, read_settings(config)) as opened:
        known = [Series(*key) for key in opened.series() if key.exchange in EXCHANGES]
        if not known:
            raise CallError("no series of an exchange is stored yet. Begin with: mmf ingest bybit BTCUSDT")
        if base_url and len({one.exchange for one in known}) > 1:
            raise CallError("--base-url is the address of one exchange, and series of two are stored. Leave it out.")
        _show_all(refresh_shown(opened, known, Span(), urls=Urls(base_url)), json=json)


@dataclass(frozen=True)
class Urls:
    """Other addresses than those of the exchange itself."""

    base: str | None = None
    archive: str | None = None


def refresh_shown(
    warehouse: "Warehouse", series: "Sequence[Series]", span: Span, /, *, urls: Urls, is_recheck: bool = False
) -> "Iterator[IngestReport | Failure]":
    """Refresh series one after the other, each with progress; yield a report, or what went wrong, for each.

    What concerns one series only leaves the others alone; a ban, a block or an exchange out of reach ends it all.
    """
    from mmf.errors import DataError
    from mmf.markets.errors import RefusedError
    from warehouse.errors import BusyError

    with progress_bar() as progress:
        for one in series:
            try:
                yield _refresh_one(warehouse, one, span, progress, urls=urls, is_recheck=is_recheck)
            except (RefusedError, DataError, BusyError) as error:
                yield Failure(one, error)


@dataclass(frozen=True)
class Failure:
    """A series that could not be refreshed, and why."""

    series: "Series"
    error: Exception


def source_of(exchange: str, urls: Urls = Urls(), /) -> "BybitSource | BinanceSource":
    """Return the source of an exchange, at another address where one is given."""
    import stamina

    stamina.instrumentation.set_on_retry_hooks([])  # by default each retry writes a line across the progress bar
    match exchange:
        case "bybit":
            from mmf.markets.bybit import BYBIT_URL, BybitSource

            return BybitSource(urls.base or BYBIT_URL)
        case "binance":
            from mmf.markets.binance import ARCHIVE_URL, BinanceSource

            return BinanceSource(urls.base, archive_url=urls.archive or ARCHIVE_URL)
        case _:
            raise CallError(f"{exchange!r} is no exchange that MMF can ask. Use one of {', '.join(EXCHANGES)}.")


# ------------------------------------------------------------------------------------


def _refresh_one(
    warehouse: "Warehouse", series: "Series", span: Span, progress: Progress, *, urls: Urls, is_recheck: bool
) -> "IngestReport":
    from mmf.pipeline.exchange import refresh, stored_numbers
    from mmf.ranges import clip, count

    numbers, now_ms = stored_numbers(warehouse, series), time.time_ns() // 1_000_000
    first_ms = series.grid.open_time_ms(int(numbers[0])) if len(numbers) else None
    asked = span.range_ms(first_stored_ms=first_ms, now_ms=now_ms)
    task = progress.add_task(str(series), total=None)

    def plan(wanted: list[tuple[int, int]]) -> None:
        n_slots = count(clip(wanted, 0, now_ms)) // series.grid.ms
        progress.update(task, total=None if span.is_all else n_slots)

    def advance(_: "Batch", report: "IngestReport") -> None:
        progress.update(task, completed=report.n_rows)

    source = source_of(series.exchange, urls)
    return refresh(warehouse, source, series, asked, is_recheck=is_recheck, on_plan=plan, on_batch=advance)


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


def _symbols(
    exchange: str, category: str, symbols: list[str] | None, settings: Settings, *, every: bool, base_url: str | None
) -> list[str]:
    """Names as given; patterns and --all are looked up at the exchange."""
    names = symbols or ([] if every else settings.pick("market.symbols", None, []))
    if every and symbols:
        raise CallError("--all and symbols exclude one another.")
    if not names and not every:
        raise CallError(f"say what to fetch: mmf ingest {exchange} BTCUSDT, a pattern such as 'BTC*', or --all.")
    patterns = ["*"] if every else [name for name in names if _is_pattern(name)]
    if not patterns:
        return list(names)
    instruments = (
        source_of(exchange, Urls(base_url)).instruments(category).rows_by_key("symbol", named=True, unique=True)
    )
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


def _ms(time_: datetime) -> int:
    return int(time_.replace(tzinfo=time_.tzinfo or UTC).timestamp() * 1000)
