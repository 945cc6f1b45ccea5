"""The command `mmf`: its commands, and how errors end."""

import os
import sys
from typing import Annotated

import typer

from cli import data, features, ingest, runs, sql, train
from cli.console import messages

app = typer.Typer(
    name="mmf",
    help="Money Machine Framework: from closed klines to a judged model.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("demo")(train.demo)
app.command("run")(train.run)
app.add_typer(ingest.app, name="ingest")
app.add_typer(data.app, name="data")
app.add_typer(features.app, name="features")
app.command("train")(train.train)
app.add_typer(runs.app, name="runs")
app.command("sql")(sql.sql)


@app.callback()
def _options(
    *,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    if debug:
        os.environ["MMF_DEBUG"] = "1"
    if version:
        from importlib.metadata import version as installed_version

        typer.echo(installed_version("money-machine-framework"))
        raise typer.Exit


def main() -> None:
    """Run the command line; a known error is one red line and exit code 1."""
    try:
        app()
    except KeyboardInterrupt:
        _fail("interrupted. What was finished is kept; the same command goes on from there.", 130)
    except Exception as error:  # the last line of defence prints one line, not a traceback
        if os.environ.get("MMF_DEBUG"):
            raise
        _fail(_explain(error), 1)


# ------------------------------------------------------------------------------------


def _explain(error: Exception) -> str:
    from mmf.errors import MMFError  # here, since both packages are heavy and --help must not wait for them
    from warehouse.errors import WarehouseError

    match error:
        case MMFError() | WarehouseError():
            return str(error)
        case ModuleNotFoundError():
            return f"{error}. Training needs more packages: pip install 'money-machine-framework[ml]'"
        case _:
            return f"unexpected {type(error).__name__}: {error}. Run `mmf --debug ...` for the traceback."


def _fail(text: str, code: int) -> None:
    messages.print(f"error: {text}", style="red", markup=False, soft_wrap=True)
    sys.exit(code)
