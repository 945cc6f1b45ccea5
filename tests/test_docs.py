"""Every command that the README and the docs show is run, in order, in one folder a page."""

import re
import shlex
from pathlib import Path

import pytest

from tests.cli.runner import Run

ROOT = Path(__file__).parents[1]
PAGES = ("README.md", *(str(path.relative_to(ROOT)) for path in sorted((ROOT / "docs").glob("*.md"))))
CONSOLE = re.compile(r"^```console\n(.*?)^```", re.MULTILINE | re.DOTALL)


def commands(page: str) -> list[list[str]]:
    """Commands after `$ mmf` in the console blocks of a page."""
    blocks = CONSOLE.findall((ROOT / page).read_text(encoding="utf-8"))
    lines = [line for block in blocks for line in block.splitlines() if line.startswith("$ ")]
    return [shlex.split(line)[1:] for line in lines]


@pytest.mark.parametrize("page", PAGES)
def test_every_command_shown_runs(mmf: Run, page: str, request: pytest.FixtureRequest) -> None:
    for program, *arguments in commands(page):
        assert program == "mmf"
        if any("$MMF_REAL_BARS" in argument for argument in arguments):
            folder = str(request.getfixturevalue("real_bars"))
            arguments[:] = [argument.replace("$MMF_REAL_BARS", folder) for argument in arguments]
        mmf(*arguments)


def test_the_readme_has_a_tour() -> None:
    assert len(commands("README.md")) >= 6


def test_every_command_of_the_command_line_is_shown_somewhere() -> None:
    shown = {" ".join(word for word in command[1:3]) for page in PAGES for command in commands(page)}
    for name in ("ingest simulated", "features build", "features show", "data status", "runs list", "train", "sql"):
        assert any(text.startswith(name) for text in shown), name
