"""The tutorial's notebook runs from its first cell to its last, here on a short simulated market."""

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOK = Path(__file__).parents[1] / "docs" / "tutorial.ipynb"


@pytest.mark.slow
def test_the_notebook_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MMF_REAL_BARS", raising=False)
    monkeypatch.setenv("PYTHONPATH", str(NOTEBOOK.parents[1]))
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    (first,) = [cell for cell in notebook.cells if "DAYS = 730" in cell.source]
    first.source = first.source.replace("DAYS = 730", "DAYS = 100")
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}}).execute()
    written = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert all(cell.outputs for cell in written[1:])
    assert (tmp_path / "artifacts" / "money_machine_snapshot.parquet").exists()


def test_the_committed_notebook_was_run_on_real_bars_without_a_complaint() -> None:
    cells = [cell for cell in nbformat.read(NOTEBOOK, as_version=4).cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    kinds = {(output.output_type, output.get("name")) for cell in cells for output in cell.outputs}
    assert ("stream", "stderr") not in kinds
    assert ("error", None) not in kinds
    assert "41,822 bars" in str(cells[1].outputs)
