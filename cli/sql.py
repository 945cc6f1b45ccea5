"""`mmf sql`: ask the warehouse."""

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from cli.console import print_table, say
from cli.options import AsOfOption, ConfigOption, WarehouseOption, open_warehouse
from cli.settings import read_settings
from mmf.errors import CallError

if TYPE_CHECKING:
    import polars as pl
    from duckdb import DuckDBPyConnection

Format = Literal["table", "csv", "json", "parquet"]
_N_SHOWN = 50


def sql(
    query: Annotated[str | None, typer.Argument(help="SQL text, or the name of an inspection (see --list).")] = None,
    *,
    list_inspections: Annotated[bool, typer.Option("--list", help="List the inspections by name.")] = False,
    output_format: Annotated[Format, typer.Option("--format", help="How to print or write.")] = "table",
    output: Annotated[Path | None, typer.Option("--output", help="Write to this file.")] = None,
    export: Annotated[
        Path | None, typer.Option("--export", help="Write a .duckdb file of views for any client.")
    ] = None,
    as_of: AsOfOption = None,
    warehouse: WarehouseOption = None,
    config: ConfigOption = None,
) -> None:
    """Ask the warehouse in SQL (DuckDB): bars, features.core, features.core_lagged, gaps, runs, council_votes, ...

    For example: mmf sql "select symbol, interval, count(*) from bars group by all"
    """
    from mmf.features.lags import LAGS
    from warehouse import query as warehouse_query
    from warehouse.export import export as write_export

    if list_inspections:
        print_table(warehouse_query.inspections().items(), ("name", "what it shows"))
        return
    if query is None and export is None:
        raise CallError('say what to ask: mmf sql "select ...", mmf sql NAME, mmf sql --list or mmf sql --export FILE')
    settings = read_settings(config)
    lags = tuple(settings.pick("features.lags", None, LAGS))
    with open_warehouse(warehouse, settings) as opened, opened.pin(as_of) as snapshot:
        if export is not None:
            tag = write_export(snapshot, export, tag=opened.tag, lags=lags)
            say(f"{export} holds views of S{snapshot.id}, kept by the tag {tag}. Open it with any DuckDB client.")
        if query is not None:
            with warehouse_query.connect(snapshot, lags=lags) as connection:
                _answer(connection, _text_of(query), output_format, output)


# ------------------------------------------------------------------------------------


def _text_of(query: str) -> str:
    from warehouse import query as warehouse_query

    if not re.fullmatch(r"\w+", query):
        return query
    if query not in warehouse_query.inspections():
        raise CallError(f"there is no inspection {query!r}. See them: mmf sql --list")
    return warehouse_query.inspection(query)


def _answer(connection: "DuckDBPyConnection", query: str, output_format: Format, output: Path | None) -> None:
    import duckdb

    output_format = _format_of(output_format, output)
    try:
        relation = connection.sql(query)
        if relation is None:  # a statement without an answer, such as SET
            return
        answer = relation.limit(_N_SHOWN + 1).pl() if output_format == "table" else relation.pl()
    except duckdb.Error as error:
        raise CallError(f'{error}\nTables: mmf sql "show all tables". Columns: mmf sql "describe bars"') from None
    match output_format:
        case "table":
            _print_answer(answer)
        case "csv":
            answer.write_csv(output or sys.stdout)
        case "json":
            answer.write_json(output or sys.stdout)
        case "parquet" if output is not None:
            answer.write_parquet(output)
        case _:
            raise CallError("Parquet is not for the screen. Add --output FILE.")


def _format_of(output_format: Format, output: Path | None) -> Format:
    """A table cannot be written to a file: then the file's suffix tells the format."""
    if output is None or output_format != "table":
        return output_format
    match output.suffix:
        case ".csv" | ".json" | ".parquet":
            return output.suffix[1:]  # type: ignore[return-value]
        case suffix:
            raise CallError(f"--output {output}: the suffix {suffix!r} tells no format. Add --format csv|json|parquet.")


def _print_answer(answer: "pl.DataFrame") -> None:
    numbers = [name for name, dtype in answer.schema.items() if dtype.is_numeric()]
    print_table(answer.head(_N_SHOWN).rows(), answer.columns, right=numbers)
    if answer.height > _N_SHOWN:
        say(f"... the first {_N_SHOWN} rows; all of them with --format csv or --output FILE.")
