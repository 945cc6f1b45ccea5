import io
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from cli.main import _explained, main
from mmf.errors import CallError, DataError, LeakError
from tests.cli.runner import Run
from tests.pipeline.sources import walk
from warehouse.errors import NotFoundError


@pytest.mark.parametrize(
    ("error", "text", "exit_code"),
    [
        (CallError("no such option."), "no such option.", 2),
        (DataError("no such bar."), "no such bar.", 1),
        (LeakError("seen before."), "seen before.", 1),
        (NotFoundError("no such snapshot."), "no such snapshot.", 1),
        (
            ModuleNotFoundError("No module named 'sklearn.svm'", name="sklearn.svm"),
            "No module named 'sklearn.svm'. Training needs more packages: pip install 'money-machine-framework[ml]'",
            1,
        ),
        (
            ModuleNotFoundError("No module named 'pytz'", name="pytz"),
            "unexpected ModuleNotFoundError: No module named 'pytz'. Run `mmf --debug ...` for the traceback.",
            1,
        ),
        (ValueError("x"), "unexpected ValueError: x. Run `mmf --debug ...` for the traceback.", 1),
    ],
)
def test_an_error_tells_who_is_at_fault_by_its_exit_code(error: Exception, text: str, exit_code: int) -> None:
    assert _explained(error) == (text, exit_code)


def test_notes_of_an_error_are_printed_behind_it() -> None:
    error = DataError("a.csv is empty.")
    error.add_note("Leave it out.")
    assert _explained(error) == ("a.csv is empty. Leave it out.", 1)


def test_a_warehouse_that_is_not_there_is_no_misuse(mmf: Run) -> None:
    mmf("data", "status", exit_code=1)
    mmf("data", "expire", "--keep", "soon", exit_code=1)
    mmf("ingest", "simulated", "--bars", "10")
    mmf("data", "expire", "--keep", "soon", exit_code=2)
    mmf("data", "status", "--nonsense", exit_code=2)


class InterruptedStream(io.StringIO):
    """A screen at which somebody presses Ctrl-C."""

    def write(self, _: str, /) -> int:
        raise KeyboardInterrupt


def test_an_interrupted_command_says_how_to_go_on(
    mmf: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    walk(0, 10).write_parquet("bybit_linear_BTCUSDT_60m.parquet")
    monkeypatch.setattr(
        sys, "argv", ["mmf", "ingest", "files", str(Path("bybit_linear_BTCUSDT_60m.parquet")), "--json"]
    )
    monkeypatch.setattr(sys, "stdout", InterruptedStream())
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 130
    assert "interrupted. What was finished is kept; the same command goes on from there." in capsys.readouterr().err


def test_the_version_is_told_without_a_command(mmf: Run) -> None:
    assert mmf("--version").strip() == version("money-machine-framework")
