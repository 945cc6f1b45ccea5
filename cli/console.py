"""Where output goes: results on stdout, everything else on stderr."""

import json
import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NoReturn

from rich.console import Console
from rich.padding import Padding
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from mmf.report.cells import cell_text

READER_IS_GONE = 141  # what a shell reports of a program that a closed pipe ended

_WIDTH_OF_A_FILE = 160  # where there is no terminal to ask


class Results(Console):
    """Standard output, which `| head` may close at any time: then there is nobody left to tell."""

    def on_broken_pipe(self) -> NoReturn:
        """End the program without a word."""
        # what is still buffered goes nowhere, else the interpreter would complain of it while it ends
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(READER_IS_GONE)


results = Results(highlight=False, width=None if sys.stdout.isatty() else _WIDTH_OF_A_FILE)
messages = Console(stderr=True, highlight=False)
_INDENT = 2


def say(text: str) -> None:
    """Print a line about what is going on."""
    messages.print(text, markup=False, soft_wrap=True)


def print_raw(text: str) -> None:
    """Print a result as it is, for a script."""
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        results.on_broken_pipe()


def print_json(value: object) -> None:
    """Print a result as JSON, for a script."""
    print_raw(json.dumps(value, indent=2, default=str) + "\n")


def print_table(
    rows: Iterable[Sequence[object]], columns: Sequence[str], *, title: str = "", right: Sequence[str] = ()
) -> None:
    """Print rows for a person; columns named in `right` are aligned as numbers."""
    if title:
        results.print(title, style="bold", markup=False)
    table = Table(header_style="bold", box=None, pad_edge=False)
    for name in columns:
        table.add_column(Text(name), justify="right" if name in right else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell_text(value)) for value in row))  # plain text: rich takes [red] in a str for markup
    results.print(Padding(table, (0, 0, 0, _INDENT), expand=False))


def print_facts(facts: Mapping[str, object], *, title: str = "") -> None:
    """Print a list of names and values for a person."""
    if title:
        results.print(title, style="bold", markup=False)
    width = max((len(name) for name in facts), default=0)
    for name, value in facts.items():
        results.print(f"{' ' * _INDENT}{name:<{width}}  {cell_text(value)}", markup=False, soft_wrap=True)


@contextmanager
def progress_bar() -> Iterator[Progress]:
    """Show progress with the time that is left, on stderr; silent where stderr is no terminal."""
    columns: list[Any] = [
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=32),
        TaskProgressColumn(),
        TimeRemainingColumn(elapsed_when_finished=True),
    ]
    with Progress(*columns, console=messages, transient=True, disable=not messages.is_terminal) as progress:
        yield progress
