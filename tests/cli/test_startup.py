import subprocess
import sys

import pytest

HEAVY = ("polars", "duckdb", "numpy", "numba", "sklearn", "scipy", "torch", "pyarrow")
COMMANDS = ("", "ingest", "data", "features", "features audit", "runs", "sql", "run", "train", "demo", "evaluate")


@pytest.mark.parametrize("command", COMMANDS)
def test_help_loads_nothing_heavy(command: str) -> None:
    arguments = [*command.split(), "--help"]
    code = (
        "import sys\n"
        "from cli.main import app\n"
        f"try:\n    app({arguments!r})\n"
        "except SystemExit:\n    pass\n"
        f"print('HEAVY', [name for name in {HEAVY!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "Usage" in done.stdout
    assert done.stdout.splitlines()[-1] == "HEAVY []"
