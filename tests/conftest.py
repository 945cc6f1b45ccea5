"""Fixtures that several parts of the suite share."""

import os
from pathlib import Path

import pytest
from hypothesis import settings

from cli import console
from cli.main import main
from tests.cli.runner import Run

_VARIABLES = (
    *("WAREHOUSE", "ARTIFACTS", "CONFIG", "DEBUG", "SYMBOL"),
    *("BYBIT_URL", "BINANCE_URL", "BINANCE_ARCHIVE_URL"),
)

settings.register_profile("mmf", deadline=None, derandomize=True, print_blob=True)
settings.load_profile("mmf")


@pytest.fixture(scope="session")
def real_bars() -> Path:
    """Folder of real klines; skips where `$MMF_REAL_BARS` is unset."""
    folder = os.environ.get("MMF_REAL_BARS")
    if not folder:
        pytest.skip("MMF_REAL_BARS is unset: no real klines here")
    return Path(folder)


@pytest.fixture
def mmf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run `mmf ARGUMENTS` in a temporary folder; returns stdout, asserts the exit code, `exit_code=1` for errors.

    With an exit code other than 0 it returns stderr.
    """
    monkeypatch.chdir(tmp_path)
    for name in _VARIABLES:
        monkeypatch.delenv(f"MMF_{name}", raising=False)

    def run(*arguments: str, exit_code: int = 0) -> str:
        monkeypatch.setattr("sys.argv", ["mmf", *arguments])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = capsys.readouterr()
        assert (ended.value.code or 0) == exit_code, out + err
        return err if exit_code else out

    return run


@pytest.fixture(autouse=True)
def _own_pace(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Share no exchange's limit with anything else on this machine."""
    monkeypatch.setenv("MMF_PACING_DIR", str(tmp_path_factory.mktemp("pacing")))


@pytest.fixture(autouse=True)
def _consoles_follow_the_capture(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rich keeps no stream of its own, so that what a test captures is what was printed."""
    monkeypatch.setattr(console.results, "_file", None)
    monkeypatch.setattr(console.messages, "_file", None)
