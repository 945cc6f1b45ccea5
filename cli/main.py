"""The command `mmf`: its commands, and how errors end."""

import os
import sys
from typing import Annotated

import typer

from cli import (
    audit,
    council,
    data,
    demo,
    doctor,
    evaluate,
    exchange,
    features,
    ingest,
    listings,
    predict,
    replay,
    report,
    run,
    runs,
    sql,
    train,
)
from cli.console import messages

_INTERRUPTED = 130
_ML_PACKAGES = ("joblib", "plotly", "safetensors", "scipy", "skfolio", "sklearn", "skops", "threadpoolctl", "torch")

app = typer.Typer(
    name="mmf",
    help="Money Machine Framework: from closed klines to a judged model.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("demo")(demo.demo)
app.command("run")(run.run)
for name in exchange.EXCHANGES:
    ingest.app.command(name)(exchange.command_of(name))
for command in (listings.funding, listings.universe):
    ingest.app.command()(command)
ingest.app.callback(invoke_without_command=True)(exchange.refresh_known)
app.add_typer(ingest.app, name="ingest")
for command in (doctor.check, doctor.repair, doctor.compare, doctor.revisions):
    data.app.command()(command)
app.add_typer(data.app, name="data")
app.add_typer(features.app, name="features")
app.command("council")(council.council)
app.command("train")(train.train)
app.command("predict")(predict.predict)
app.add_typer(runs.app, name="runs")
app.command("replay")(replay.replay)
app.command("audit")(audit.audit)
app.command("evaluate")(evaluate.evaluate)
app.command("report")(report.report)
app.command("sql")(sql.sql)


def _show_version(is_asked: bool) -> None:
    if is_asked:
        from importlib.metadata import version as installed_version

        typer.echo(installed_version("money-machine-framework"))
        raise typer.Exit


@app.callback()
def _options(
    *,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
    version: Annotated[  # noqa: ARG001 - its callback has answered before
        bool, typer.Option("--version", is_eager=True, callback=_show_version, help="Print the version.")
    ] = False,
) -> None:
    if debug:
        os.environ["MMF_DEBUG"] = "1"


def main() -> None:
    """Run the command line; a known error is one red line and exit code 1, or 2 where the call is wrong."""
    try:
        app()
    except SystemExit as ended:
        if ended.code == _INTERRUPTED:  # typer has made an exit of Ctrl-C
            _fail("interrupted. What was finished is kept; the same command goes on from there.", _INTERRUPTED)
        raise
    except Exception as error:  # the last line of defence prints one line, not a traceback
        if os.environ.get("MMF_DEBUG"):
            raise
        _fail(*_explained(error))


# ------------------------------------------------------------------------------------


def _explained(error: Exception) -> tuple[str, int]:
    """Text and exit code."""
    from mmf.errors import CallError, MMFError  # here, since both packages are heavy and --help must not wait for them
    from warehouse.errors import WarehouseError

    text = " ".join([str(error), *getattr(error, "__notes__", ())])
    match error:
        case CallError():
            return text, 2
        case MMFError() | WarehouseError():
            return text, 1
        case ModuleNotFoundError() if (error.name or "").partition(".")[0] in _ML_PACKAGES:
            return f"{text}. Training needs more packages: pip install 'money-machine-framework[ml]'", 1
        case _:
            what = text.rstrip(".")
            return f"unexpected {type(error).__name__}: {what}. Run `mmf --debug ...` for the traceback.", 1


def _fail(text: str, code: int) -> None:
    messages.print(f"error: {text}", style="red", markup=False, soft_wrap=True)
    sys.exit(code)
