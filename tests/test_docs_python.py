"""The Python that a page shows runs after the page's commands."""

import re
from pathlib import Path

import pytest

from tests.cli.runner import Run
from tests.test_docs import ROOT, run_as_shown, shown

PYTHON = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("page", ["docs/warehouse.md"])
def test_the_python_of_a_page_runs(mmf: Run, page: str) -> None:
    run_as_shown(mmf, shown(page))
    blocks = PYTHON.findall((ROOT / page).read_text(encoding="utf-8"))
    assert blocks
    for block in blocks:
        names: dict[str, object] = {}
        exec(compile(block, page, "exec"), names)  # as a reader pastes it
        assert not [name for name, value in names.items() if getattr(value, "height", 1) == 0]
    assert Path("mmf_data").is_dir()
