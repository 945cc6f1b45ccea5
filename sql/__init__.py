"""The SQL of the warehouse as files: `schema` for SQLite, `views` and `inspect` for DuckDB."""

from importlib.resources import files


def read(name: str, /) -> str:
    """Return the text of one file, such as `read("views/bars")`."""
    return files("sql").joinpath(f"{name}.sql").read_text(encoding="utf-8")


def names(folder: str, /) -> list[str]:
    """Return the names of a folder's files without suffix, sorted."""
    found = (entry.name for entry in files("sql").joinpath(folder).iterdir())
    return sorted(name.removesuffix(".sql") for name in found if name.endswith(".sql"))
