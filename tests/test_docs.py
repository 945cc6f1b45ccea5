"""Every command that the README and the docs show is run, in order, in one folder a page, and prints what is shown."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pytest
import typer

from cli.main import app
from mmf.bars import Series
from tests.cli.runner import Run
from tests.exchange.server import LoopbackExchange, Market
from tests.exchange.truth import JANUARY_2024_MS, walk_bars, walk_funding

ROOT = Path(__file__).parents[1]
PAGES = ("README.md", *(str(path.relative_to(ROOT)) for path in sorted((ROOT / "docs").rglob("*.md"))))
CONSOLE = re.compile(r"^```console\n(.*?)^```", re.MULTILINE | re.DOTALL)
REAL = "$MMF_REAL_BARS"
# These read real bars from their first command on.
ON_REAL_BARS = {"docs/tutorial.md"}

# A page that asks an exchange names this address; here it is that of the loopback exchange.
EXCHANGE = "$EXCHANGE"
# These ask an exchange; where a page shows them without an address they would ask the real one.
ASK_AN_EXCHANGE = {"data repair", "ingest", "ingest binance", "ingest bybit", "ingest funding", "ingest universe"}
# The figures of a fit differ in their last digits from one kind of processor to another.
FIT = {"demo", "evaluate", "predict", "run", "runs compare", "train"}


@dataclass(frozen=True)
class Shown:
    """A command of a page and the lines that the page shows below it."""

    words: tuple[str, ...]
    output: tuple[str, ...]
    needs_real_bars: bool

    @property
    def name(self) -> str:
        """Which command it is, such as `ingest files`."""
        names = sorted(leaves(), key=len, reverse=True)  # `ingest files` before `ingest`
        return next((name for name in names if tuple(name.split()) == self.words[: len(name.split())]), "")


def leaves() -> set[str]:
    """Every command of the command line that does something by itself."""
    return set(walk(typer.main.get_command(app)))


def walk(command, *path: str):
    inner = getattr(command, "commands", {})
    for name, one in inner.items():
        yield from walk(one, *path, name)
    if not inner or command.invoke_without_command:
        yield " ".join(path)


def shown(page: str) -> list[Shown]:
    """Commands after `$ mmf` in the console blocks of a page."""
    found = []
    for block in CONSOLE.findall((ROOT / page).read_text(encoding="utf-8")):
        for part in re.split(r"^\$ mmf ", block, flags=re.MULTILINE)[1:]:
            line, *output = part.splitlines()
            found.append(Shown(tuple(shlex.split(line)), tuple(output), REAL in block or page in ON_REAL_BARS))
    return found


def plain(line: str) -> str:
    """A line without its widths, and without the number of a snapshot, which depends on what was done before."""
    return re.sub(r"\bS\d+\b", "S", " ".join(line.split()))


def run_as_shown(mmf: Run, commands: list[Shown], *, real_bars: str = "", exchange_url: str = "") -> None:
    for command in commands:
        if command.name in ASK_AN_EXCHANGE and EXCHANGE not in command.words:
            continue
        printed = mmf(*(word.replace(REAL, real_bars).replace(EXCHANGE, exchange_url) for word in command.words))
        if command.name in FIT:
            continue
        lines = {plain(line) for line in printed.splitlines()}
        assert [line for line in command.output if plain(line) not in lines | {"", "..."}] == []


@pytest.fixture
def exchange_url() -> Iterator[str]:
    """Two symbols of Bybit from January 2024, with an outage of forty hours and the funding of one."""
    with LoopbackExchange(
        [
            Market(
                Series("bybit", "linear", symbol, "60"), with_outage(seed), JANUARY_2024_MS, funding=walk_funding(250)
            )
            for seed, symbol in enumerate(("BTCUSDT", "ETHUSDT"))
        ]
    ) as exchange:
        yield exchange.url


def with_outage(seed: int) -> pl.DataFrame:
    bars = walk_bars(2_000, seed=seed)
    return pl.concat([bars[:700], bars[740:]])


def is_run_on_real_bars(command: Shown) -> bool:
    return command.needs_real_bars


@pytest.mark.parametrize("page", [page for page in PAGES if not all(map(is_run_on_real_bars, shown(page)))])
def test_every_command_shown_runs(mmf: Run, page: str, exchange_url: str) -> None:
    if page == "README.md":
        mmf("demo", "--days", "110")  # the quick start stands before the tour, and newcomers stay in its folder
    commands = [command for command in shown(page) if not command.needs_real_bars]
    run_as_shown(mmf, commands, exchange_url=exchange_url)


@pytest.mark.real_bars
@pytest.mark.slow
@pytest.mark.parametrize("page", [page for page in PAGES if any(map(is_run_on_real_bars, shown(page)))])
def test_every_command_shown_on_real_bars_runs(mmf: Run, page: str, real_bars: Path) -> None:
    run_as_shown(mmf, [command for command in shown(page) if command.needs_real_bars], real_bars=str(real_bars))


def test_no_command_is_shown_where_it_would_not_be_run() -> None:
    n_lines = sum(
        len(re.findall(r"^\s*\$ ", (ROOT / page).read_text(encoding="utf-8"), re.MULTILINE)) for page in PAGES
    )
    assert n_lines == sum(len(shown(page)) for page in PAGES)
    assert len(shown("README.md")) >= 10
    assert [command for page in PAGES for command in shown(page) if not command.name] == []


def test_every_command_is_shown_somewhere() -> None:
    names = {command.name for page in PAGES for command in shown(page)}
    assert {"demo", "run", "ingest files", "data status", "sql"} < leaves()
    assert leaves() - names - ASK_AN_EXCHANGE == set()
