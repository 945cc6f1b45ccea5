"""`mmf sql`: ask the warehouse."""

import re
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from cli.console import print_raw, print_table, say
from cli.options import AsOfOption, ConfigOption, WarehouseOption, open_warehouse
from cli.settings import read_settings
from mmf.errors import CallError, DataError

if TYPE_CHECKING:
    import polars as pl
    from duckdb import DuckDBPyConnection, DuckDBPyRelation
    from duckdb.sqltypes import DuckDBPyType

Format = Literal["table", "csv", "json", "parquet"]
_FORMAT_HELP = "Parquet goes to a file (--output). JSON knows no NaN and no infinity: they become null."
_WAYS_TO_ASK = 'Say what to ask: mmf sql "select ...", mmf sql NAME, mmf sql --list or mmf sql --export FILE'
_N_SHOWN = 50

# Kinds of column that frames, and then CSV or JSON, cannot hold: these are written as text, as DuckDB spells them.
_NOT_IN_FRAMES = {"bignum", "geometry", "interval", "time with time zone", "union", "variant"}
_NOT_IN_JSON = _NOT_IN_FRAMES | {"bit", "blob"}
_NOT_IN_CSV = _NOT_IN_JSON | {"array", "list", "map", "struct"}
_AS_TEXT = {"parquet": _NOT_IN_FRAMES, "json": _NOT_IN_JSON, "csv": _NOT_IN_CSV, "table": _NOT_IN_CSV}


def sql(
    query: Annotated[str | None, typer.Argument(help="SQL text, or the name of an inspection (see --list).")] = None,
    *,
    list_inspections: Annotated[bool, typer.Option("--list", help="List the inspections by name.")] = False,
    output_format: Annotated[Format, typer.Option("--format", help=_FORMAT_HELP)] = "table",
    output: Annotated[
        Path | None, typer.Option("--output", help="Write to this file; .csv, .json or .parquet tells the format.")
    ] = None,
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
        raise CallError(f"the query is missing. {_WAYS_TO_ASK}")
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
    output_format = _format_of(output_format, output)
    answer = _fetched(connection, query, output_format)
    if answer is None:
        return
    if output_format == "table":
        _print_answer(answer)
        return
    content = _written(answer, output_format)
    if output is None:
        print_raw(content.decode())
        return
    try:
        output.write_bytes(content)
    except OSError as error:
        raise CallError(f"--output {output} cannot be written: {error.strerror}. Name another file.") from None


def _fetched(connection: "DuckDBPyConnection", query: str, output_format: Format) -> "pl.DataFrame | None":
    """Ask; None for a statement that has no answer, such as SET."""
    import duckdb

    try:
        if not connection.extract_statements(query):
            raise CallError(f"the query {query!r} asks nothing. {_WAYS_TO_ASK}")
        relation = connection.sql(query)
        if relation is None:
            return None
        if output_format == "table":
            relation = relation.limit(_N_SHOWN + 1)
        return _as_text(relation, _AS_TEXT[output_format]).pl()
    except duckdb.Error as error:
        raise CallError(f'{error}\nTables: mmf sql "show all tables". Columns: mmf sql "describe bars"') from None


def _as_text(relation: "DuckDBPyRelation", kinds: set[str]) -> "DuckDBPyRelation":
    """Cast columns of some kinds to text, also where they lie within a list or struct."""
    foreign = [bool(kinds & _kinds(dtype)) for dtype in relation.types]
    if not any(foreign):
        return relation
    # by place, since two columns of an answer may share a name
    columns = zip(relation.columns, foreign, strict=True)
    return relation.project(
        ", ".join(
            f"#{place}{'::varchar' if is_foreign else ''} as {_identifier(name)}"
            for place, (name, is_foreign) in enumerate(columns, start=1)
        )
    )


def _kinds(dtype: "DuckDBPyType") -> set[str]:
    found: set[str] = {dtype.id}
    if dtype.id in {"array", "list", "map", "struct"}:
        for _, inner in dtype.children:
            found |= _kinds(inner) if isinstance(inner, type(dtype)) else set()  # the size of an array is no type
    return found


def _identifier(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _written(answer: "pl.DataFrame", output_format: Format) -> bytes:
    """Write the whole answer to memory, so that a fault leaves no half of a file."""
    import polars as pl

    buffer = BytesIO()
    try:
        match output_format:
            case "csv":
                answer.write_csv(buffer)
            case "json":
                answer.write_json(buffer)
            case _:
                answer.write_parquet(buffer)
    except pl.exceptions.PolarsError as error:
        first_line = str(error).partition("\n")[0]
        raise DataError(f"{output_format} cannot hold this answer: {first_line}. Cast the column to varchar.") from None
    return buffer.getvalue()


def _format_of(output_format: Format, output: Path | None) -> Format:
    """A table cannot be written to a file: then the file's suffix tells the format."""
    if output is None:
        if output_format == "parquet":
            raise CallError("Parquet is not for the screen. Add --output FILE.")
        return output_format
    if output_format != "table":
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
