"""`mmf ingest funding` and `mmf ingest universe`: what exchanges tell beside klines."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.console import print_facts, print_json, print_table, say
from cli.exchange import DERIVATIVES, BaseUrlOption, CategoryOption, DaysOption, Urls, source_of
from cli.options import ConfigOption, JsonOption, WarehouseOption, open_warehouse
from cli.settings import read_settings
from cli.span import DAY_MS, DEFAULT_DAYS

if TYPE_CHECKING:
    from mmf.bars import Series


def funding(
    exchange: Annotated[str, typer.Argument(help="bybit or binance.")],
    symbols: Annotated[list[str], typer.Argument(metavar="SYMBOL...")],
    *,
    category: CategoryOption = None,
    days: DaysOption = None,
    base_url: BaseUrlOption = None,
    warehouse: WarehouseOption = None,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Fetch the funding rates of perpetual contracts that are not stored yet."""
    from mmf.bars import Series
    from mmf.pipeline.listings import refresh_funding

    now_ms = time.time_ns() // 1_000_000
    settings = read_settings(config)
    source = source_of(exchange, Urls(base_url, settings=settings))
    series = [Series.of(exchange, category or DERIVATIVES[exchange], symbol, "60") for symbol in symbols]
    with open_warehouse(warehouse, settings, create=True) as opened:
        start_ms = max(now_ms - (days or DEFAULT_DAYS) * DAY_MS, 0)
        _show_gained(refresh_funding(opened, source, series, start_ms=start_ms, now_ms=now_ms), json=json)


def universe(
    exchange: Annotated[str, typer.Argument(help="bybit or binance.")],
    *,
    category: CategoryOption = None,
    aliases: Annotated[Path | None, typer.Option(help="More renames, in the form of mmf/data/aliases.toml.")] = None,
    base_url: BaseUrlOption = None,
    warehouse: WarehouseOption = None,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Record what an exchange lists now, so that the universe of any day can be asked without hindsight."""
    from mmf.aliases import read_aliases
    from mmf.pipeline.listings import refresh_instruments

    settings = read_settings(config)
    source, now_ms = source_of(exchange, Urls(base_url, settings=settings)), time.time_ns() // 1_000_000
    market = category or DERIVATIVES[exchange]
    with open_warehouse(warehouse, settings, create=True) as opened:
        n_changed = refresh_instruments(opened, source, exchange, market, read_aliases(aliases), now_ms=now_ms)
    facts = {"exchange": exchange, "category": market, "new or changed": n_changed}
    print_json(facts) if json else print_facts(facts)


# ------------------------------------------------------------------------------------


def _show_gained(gained: "Iterator[tuple[Series, int | Exception]]", *, json: bool) -> None:
    """Show what each symbol gained, also of what was done before an error; exit with 1 where a symbol failed."""
    columns = ("exchange", "category", "symbol", "new rates")
    rows: list[tuple[str | int, ...]] = []
    failures: list[tuple[Series, Exception]] = []
    try:
        for one, found in gained:
            if isinstance(found, Exception):
                failures.append((one, found))
            else:
                rows.append((*one.key[:3], found))
    finally:
        if json:
            print_json([dict(zip(columns, row, strict=True)) for row in rows])
        elif rows:
            print_table(rows, columns, right=columns[3:])
        for one, error in failures:
            say(f"failed: {':'.join(one.key[:3])}: {error}")
    if failures:
        raise typer.Exit(1)
