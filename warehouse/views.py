"""Views from the files of `sql/views`: DuckDB's views take no parameters, so placeholders are filled in, quoted."""

from collections.abc import Sequence
from string import Template

import duckdb
import polars as pl

import sql
from warehouse.snapshots import Snapshot
from warehouse.tables import DataFile


def create_view(connection: duckdb.DuckDBPyConnection, name: str, /, **placeholders: str) -> None:
    """Create what `sql/views/NAME.sql` says."""
    connection.execute(filled(name, **placeholders))


def filled(name: str, /, **placeholders: str) -> str:
    """Return the text of `sql/views/NAME.sql` with its placeholders filled in."""
    # the header names the placeholders too, and a value of several lines would run out of its comment
    text = "\n".join(line for line in sql.read(f"views/{name}").splitlines() if not line.startswith("--"))
    return Template(text).substitute(placeholders)


def create_table(connection: duckdb.DuckDBPyConnection, name: str, frame: pl.DataFrame, /) -> None:
    """Copy a small frame into the database."""
    connection.register("incoming", frame.to_arrow())
    connection.execute(f"create table {identifier(name)} as select * from incoming")  # noqa: S608
    connection.unregister("incoming")


def paths(snapshot: Snapshot, files: Sequence[DataFile], /) -> str:
    """Return the paths as a list literal."""
    return "[" + ", ".join(literal(str(snapshot.root / file.path)) for file in files) + "]"


def tuples(rows: Sequence[Sequence[str]], /) -> str:
    """Return rows of text as a list of tuples, as `in (...)` takes it."""
    return ", ".join("(" + ", ".join(map(literal, row)) + ")" for row in rows)


def literal(text: str, /) -> str:
    """Return a text as a literal."""
    return "'" + text.replace("'", "''") + "'"


def identifier(text: str, /) -> str:
    """Return a name as a quoted identifier."""
    return '"' + text.replace('"', '""') + '"'
