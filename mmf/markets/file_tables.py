"""Files as tables of raw columns: CSV, zip of CSV, Parquet, Feather (Arrow IPC)."""

import codecs
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from mmf.errors import CallError, DataError

SUFFIXES = (".csv", ".parquet", ".feather", ".zip")
EXTRA_CELL = "\0more cells than columns"

_KINDS = {
    ".csv": "csv",
    ".txt": "csv",
    ".zip": "zip",
    ".parquet": "parquet",
    ".pq": "parquet",
    ".feather": "ipc",
    ".arrow": "ipc",
    ".ipc": "ipc",
}
_HEADERLESS = {
    6: ("open_time", "open", "high", "low", "close", "volume"),
    7: ("open_time", "open", "high", "low", "close", "volume", "turnover"),
    12: ("open_time", "open", "high", "low", "close", "volume", "close_time", "quote_volume", "count",
         "taker_buy_volume", "taker_buy_quote_volume", "ignore"),
}  # fmt: skip
_SEPARATORS = ",;\t|"
_PEEK_BYTES = 65_536
_ENCODINGS = {codecs.BOM_UTF8: "utf-8", codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}
_MAX_MEMBER_BYTES = 8 << 30  # a kline file is smaller; a zip bomb is not


@dataclass(frozen=True)
class RawTable:
    """One table of a file, as it lies there.

    Attributes
    ----------
    name : str
        File name, or archive and member.
    columns : pl.DataFrame
        Columns by the names of the file; text of every cell for CSV. `EXTRA_CELL`, where present, is not null
        in rows that have more cells than there are columns. Blank lines are null in every column.
    """

    name: str
    columns: pl.DataFrame


def list_files(paths: Sequence[Path], /) -> list[Path]:
    """Return the files meant by paths; a directory stands for the known files right in it, sorted by name.

    Raises
    ------
    CallError
        No path is given, one does not exist, or a directory has no file of a known kind.
    """
    if not paths:
        raise CallError("no files are given. Name files or directories of klines.")
    return [file for path in paths for file in _expand(Path(path))]


def read_tables(path: Path, /, *, has_header: bool | None) -> Iterator[RawTable]:
    """Yield the table of a file; of a zip, one for each CSV member, sorted by name.

    Parameters
    ----------
    path : Path
        A file; its suffix tells the kind.
    has_header : bool or None
        Whether the first line of a CSV names the columns; None decides by whether it holds a number.

    Raises
    ------
    DataError
        The file is empty, damaged, or of another kind than its suffix says.
    CallError
        The suffix is unknown.
    """
    kind = _KINDS.get(path.suffix.lower())
    try:
        if path.stat().st_size == 0:
            raise DataError(f"{path} is empty. Fetch it again, or leave it out.")
        match kind:
            case "csv":
                yield RawTable(path.name, _read_csv(path.read_bytes(), path.name, has_header))
            case "zip":
                yield from _read_zip(path, has_header)
            case "parquet":
                yield RawTable(path.name, pl.read_parquet(path, hive_partitioning=False))
            case "ipc":
                yield RawTable(path.name, pl.read_ipc(path))
            case _:
                raise CallError(
                    f"{path}: suffix {path.suffix!r} is not known. Use {' '.join(SUFFIXES)} (.txt is read as CSV)."
                )
    except (OSError, pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        first_line = str(error).partition("\n")[0][:200]
        raise DataError(f"{path} cannot be read as {kind}: {first_line}. Fetch it again, or convert it.") from error


# ------------------------------------------------------------------------------------


def _expand(path: Path) -> list[Path]:
    if not path.exists():
        raise CallError(f"{path} does not exist. Name a file or directory of klines.")
    if not path.is_dir():
        return [path]
    files = sorted(file for file in path.iterdir() if file.suffix.lower() in SUFFIXES and file.is_file())
    if not files:
        raise CallError(f"directory {path} has no {' '.join(SUFFIXES)} file right in it. Name the files.")
    return files


def _read_zip(path: Path, has_header: bool | None) -> Iterator[RawTable]:
    try:
        with zipfile.ZipFile(path) as archive:
            members = [m for m in archive.infolist() if _is_csv_member(m.filename)]
            if not members:
                raise DataError(f"{path} holds no .csv file. It has {_some(archive.namelist())}.")
            for member in sorted(members, key=lambda m: m.filename):
                name = f"{path.name}/{member.filename}"
                if member.file_size > _MAX_MEMBER_BYTES:
                    raise DataError(f"{name} unpacks to {member.file_size >> 30} GiB, more than klines need.")
                yield RawTable(name, _read_csv(archive.read(member), name, has_header))
    # RuntimeError: a password is needed. NotImplementedError: an unusual compression.
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, ValueError) as error:
        raise DataError(f"{path} is not a zip that can be read: {error}. Fetch it again.") from error


def _is_csv_member(name: str) -> bool:
    return name.lower().endswith((".csv", ".txt")) and not name.startswith("__MACOSX/")


def _read_csv(raw: bytes, name: str, has_header: bool | None) -> pl.DataFrame:
    """Read every line as a row and every cell as text.

    A header of our own stands before the text, with one column more than the first line has: so lines keep
    their places, a cell too many is seen, and quotes cannot swallow line ends (they are cut off later).
    """
    raw = _without_preamble(_as_utf8(raw, name))
    first = _first_line(raw)
    if not first:
        raise DataError(f"{name} has no line that is not blank. Fetch it again, or leave it out.")
    separator = max(_SEPARATORS, key=first.count)
    cells = [cell.strip(' "\r') for cell in first.split(separator)]
    header = separator.join(str(i) for i in range(len(cells) + 1)).encode()
    frame = pl.read_csv(
        header + b"\n" + raw,
        separator=separator,
        quote_char=None,
        infer_schema=False,
        truncate_ragged_lines=True,
        encoding="utf8-lossy",
    )
    is_header = not any(_is_number(cell) for cell in cells) if has_header is None else has_header
    if not is_header:
        names = _HEADERLESS.get(len(cells), tuple(str(i + 1) for i in range(len(cells))))
        return _rename(frame, names)
    n_before = frame.select(pl.all_horizontal(pl.all().is_null()).arg_min()).item()
    return _rename(frame.slice(n_before + 1), cells)


def _rename(frame: pl.DataFrame, names: Sequence[str]) -> pl.DataFrame:
    """Name columns as the file does; a name met again gets a count, as two columns of one name are no table."""
    met: Counter[str] = Counter()
    unique = []
    for name in names:
        met[name] += 1
        unique.append(name if met[name] == 1 else f"{name}#{met[name]}")
    return frame.rename(dict(zip(frame.columns, [*unique, EXTRA_CELL], strict=True)))


def _first_line(raw: bytes) -> str:
    line = raw[:_PEEK_BYTES].lstrip(b"\r\n").partition(b"\n")[0]
    return line.decode("utf-8", errors="replace").strip("\r")


def _as_utf8(raw: bytes, name: str) -> bytes:
    """Text as its byte order mark tells, with line ends that have a line feed."""
    for mark, encoding in _ENCODINGS.items():
        if raw.startswith(mark):
            raw = raw[len(mark) :].decode(encoding, errors="replace").encode()
    if b"\0" in raw[:_PEEK_BYTES].partition(b"\n")[0]:
        raise DataError(
            f"{name} holds zero bytes: it is no text, or UTF-16 without a byte order mark. Convert it to UTF-8."
        )
    return raw if b"\n" in raw else raw.replace(b"\r", b"\n")


def _without_preamble(raw: bytes) -> bytes:
    """Leave out a first line that is no row: some sites write their address above the header."""
    if _has_cells(_first_line(raw)):
        return raw
    rest = raw.lstrip(b"\r\n").partition(b"\n")[2]
    return rest if _has_cells(_first_line(rest)) else raw


def _has_cells(line: str) -> bool:
    return any(separator in line for separator in _SEPARATORS)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (", ..." if len(names) > 5 else "") if names else "nothing"
