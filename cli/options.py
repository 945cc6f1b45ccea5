"""Options that several commands share, and what they open."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.settings import Settings

if TYPE_CHECKING:  # heavy: only inside commands
    from mmf.bars import Series
    from warehouse import Warehouse

WarehouseOption = Annotated[
    Path | None,
    typer.Option("--warehouse", envvar="MMF_WAREHOUSE", help="Folder of the warehouse (default: ./mmf_data)."),
]
ArtifactsOption = Annotated[
    Path | None,
    typer.Option("--artifacts", envvar="MMF_ARTIFACTS", help="Folder for runs and models (default: ./artifacts)."),
]
ConfigOption = Annotated[Path | None, typer.Option("--config", envvar="MMF_CONFIG", help="Instead of ./mmf.toml.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")]
ExchangeOption = Annotated[str | None, typer.Option(envvar="MMF_EXCHANGE", help="Such as bybit.")]
CategoryOption = Annotated[str | None, typer.Option(envvar="MMF_CATEGORY", help="Such as linear, um or spot.")]
IntervalOption = Annotated[str | None, typer.Option(envvar="MMF_INTERVAL", help="1 3 5 15 30 60 ... D W, or 1h, 1d.")]
AsOfOption = Annotated[
    str | None, typer.Option("--as-of", help="A snapshot (S17) or an instant (2024-05-01T12:00): the state back then.")
]


def open_warehouse(given: Path | None, settings: Settings, /, *, create: bool = False) -> "Warehouse":
    """Open the warehouse that flag, environment or file name."""
    from warehouse import Warehouse

    return Warehouse.open(warehouse_path(given, settings), create=create)


def warehouse_path(given: Path | None, settings: Settings, /) -> Path:
    """Folder of the warehouse."""
    return Path(settings.pick("warehouse", given, Path("mmf_data")))


def artifacts_path(given: Path | None, settings: Settings, /) -> Path:
    """Folder of the artifacts."""
    return Path(settings.pick("artifacts", given, Path("artifacts")))


def one_series(
    settings: Settings,
    /,
    *,
    exchange: str | None,
    category: str | None,
    symbol: str | None,
    interval: str | None,
) -> "Series":
    """Name one series from options, with Bybit's BTCUSDT 60 where nothing is said.

    Raises
    ------
    CallError
        No symbol is given and the file names several, or a part is no name.
    """
    from mmf.bars import Series

    return Series.of(
        settings.pick("market.exchange", exchange, "bybit"),
        settings.pick("market.category", category, "linear"),
        symbol or settings.symbol(choose="Name it, such as mmf run BTCUSDT.") or "BTCUSDT",
        str(settings.pick("market.interval", interval, "60")),
    )
