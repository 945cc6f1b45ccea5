"""Raw columns as bars: which name means what, cells as numbers, times as UTC milliseconds."""

import re
from collections.abc import Mapping
from typing import Literal

import polars as pl

from mmf.bars import BAR_SCHEMA, VALUE_COLUMNS
from mmf.errors import CallError, DataError
from mmf.markets.file_tables import EXTRA_CELL

TimeUnit = Literal["s", "ms", "us", "ns"]

# Of several names that a table has, the first listed wins. Compared in lower case, letters and digits only.
_NAMES: dict[str, tuple[str, ...]] = {
    "open_time": (
        *("opentime", "starttime", "start", "startat", "opentimestamp", "timestamp", "timestampms"),
        *("datetime", "date", "time", "unix", "ts", "t", "indexlevel0"),
    ),
    "open": ("open", "openprice", "o"),
    "high": ("high", "highprice", "h"),
    "low": ("low", "lowprice", "l"),
    "close": ("close", "closeprice", "c"),
    "volume": ("volume", "basevolume", "vol", "v"),
    "turnover": ("turnover", "quotevolume", "quoteassetvolume", "quoteav", "qav"),
    "symbol": ("symbol", "pair", "ticker", "instrument"),
}
_OPTIONAL = ("turnover", "symbol")

# Times from 1980 to 2100: a factor of 14, and units lie 1,000 apart, so no number is a time in two of them.
_PER_SECOND: dict[TimeUnit, int] = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
_EARLIEST_S, _LATEST_S = 315_532_800, 4_102_444_800
_SURE_SHARE = 0.9

_TIME_FORMATS = (
    *("%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%d %H:%M", "%Y-%m-%d"),
    *("%Y-%m-%d %H:%M:%S%.f%#z", "%Y-%m-%d %H:%M%#z"),
)
_N_SAMPLE = 64
_QUOTED_CHARS = 40


def to_rows(
    raw: pl.DataFrame, /, *, name: str, columns: Mapping[str, str] | None, time_unit: TimeUnit | None
) -> pl.DataFrame:
    """Read raw columns as rows of bars, each with its place and what could not be read of it.

    Parameters
    ----------
    raw : pl.DataFrame
        Columns as a file names them.
    name : str
        What messages call the table.
    columns : mapping or None
        Column of the file -> one of ours (those of `BAR_SCHEMA`, and symbol); the rest is recognised by name.
    time_unit : {"s", "ms", "us", "ns"} or None
        Unit of numeric times; None infers one for the whole table from their size.

    Returns
    -------
    pl.DataFrame
        `BAR_SCHEMA`, `row` (Int64, from 1), `reason` (String, null where every cell could be read) and `symbol`
        (String, null throughout where no column tells it). Rows that are null in every column are left out:
        blank lines are no rows, though `row` counts them.

    Raises
    ------
    DataError
        A column is missing or found twice or of a type that is no number, its numbers have decimal commas, no time
        can be read, or the unit of the times is not clear.
    CallError
        `columns` or `time_unit` names something that does not exist.
    """
    found = _find_columns(raw.columns, name, columns or {})
    cells = raw.select(_clean(raw.schema[theirs], theirs).alias(ours) for ours, theirs in found.items())
    cells = cells.with_columns(pl.lit(None, pl.String).alias(c) for c in _OPTIONAL if c not in found)
    read = cells.select(_number(cells.schema[c], c, name) for c in VALUE_COLUMNS)
    read.insert_column(0, _read_times(cells["open_time"], name, time_unit))
    _refuse_decimal_commas(cells, read, name)
    has_extra = raw[EXTRA_CELL].is_not_null() if EXTRA_CELL in raw.columns else None
    rows = read.with_columns(
        pl.int_range(1, raw.height + 1, dtype=pl.Int64).alias("row"),
        _reasons(cells, read, has_extra).alias("reason"),
        cells["symbol"].cast(pl.String),
    )
    return rows.filter(~raw.select(pl.all_horizontal(pl.all().is_null())).to_series())


# ------------------------------------------------------------------------------------


def _find_columns(names: list[str], table: str, mapping: Mapping[str, str]) -> dict[str, str]:
    """Ours -> theirs."""
    known = [name for name in names if name != EXTRA_CELL]
    for theirs, ours in mapping.items():
        if theirs not in known or ours not in _NAMES:
            raise CallError(
                f"--column {_listed([f'{theirs}={ours}'])} does not fit {table}: it has {_listed(known)}, "
                f"and a column can become {_listed(list(_NAMES))}."
            )
    found = {ours: theirs for theirs, ours in mapping.items()}
    if len(found) < len(mapping):
        pairs = [f"{theirs}={ours}" for theirs, ours in mapping.items()]
        raise CallError(f"--column {_listed(pairs)} names one of ours twice. Name each of ours once.")
    free = [name for name in known if name not in mapping]
    for ours in _NAMES:
        if ours not in found and (theirs := _by_name(ours, free, table)) is not None:
            found[ours] = theirs
    if missing := [ours for ours in _NAMES if ours not in found and ours not in _OPTIONAL]:
        raise DataError(
            f"{table}: no column is known as {missing[0]}. It has {_listed(known)}. {_how_to_map('NAME', missing[0])}"
        )
    return found


def _by_name(ours: str, free: list[str], table: str) -> str | None:
    for wanted in _NAMES[ours]:
        match [name for name in free if _plain(name) == wanted]:
            case []:
                continue
            case [theirs]:
                return theirs
            case several:
                raise DataError(
                    f"{table}: columns {_listed(several)} could all be {ours}. {_how_to_map(several[0], ours)}"
                )
    return None


def _how_to_map(theirs: str, ours: str) -> str:
    return f"Say which one it is: --column {_listed([f'{theirs}={ours}'])}, or FileFormat(columns=...)."


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.partition("#")[0].lower())


def _listed(names: list[str]) -> str:
    shown = ", ".join(repr(name[:_QUOTED_CHARS]) for name in names[:15])
    return shown + (f" and {len(names) - 15} more" if len(names) > 15 else "")


def _clean(dtype: pl.DataType, name: str) -> pl.Expr:
    """Text without surrounding blanks and quotes, null where nothing is left; other types as they are."""
    column = pl.col(name)
    if isinstance(dtype, (pl.Categorical, pl.Enum)):
        column, dtype = column.cast(pl.String), pl.String()
    if not isinstance(dtype, pl.String):
        return column
    text = column.str.strip_chars(" \t\r\"'\ufeff")
    return pl.when(text != "").then(text)


def _number(dtype: pl.DataType, name: str, table: str) -> pl.Expr:
    if not (dtype.is_numeric() or isinstance(dtype, (pl.String, pl.Null))):
        raise DataError(
            f"{table}: column {name} is of type {dtype}, not a number. Convert it, or choose another with --column."
        )
    return pl.col(name).cast(pl.Float64, strict=False)


def _refuse_decimal_commas(cells: pl.DataFrame, read: pl.DataFrame, table: str) -> None:
    """Name the cause where every row would be bad for it: a comma may also stand between thousands, so none is read."""
    for name in VALUE_COLUMNS:
        if cells.schema[name] != pl.String or read[name].count():
            continue
        with_comma = cells[name].filter(cells[name].str.contains(r"^-?\d+,\d+$"))
        if len(with_comma):
            raise DataError(
                f"{table}: column {name} has decimal commas, such as {with_comma[0][:_QUOTED_CHARS]!r}. "
                "Expected points: convert the file."
            )


def _read_times(cells: pl.Series, table: str, unit: TimeUnit | None) -> pl.Series:
    """Open times in ms UTC; null where a cell cannot be read. Times without a zone are UTC."""
    if unit is not None and unit not in _PER_SECOND:
        raise CallError(f"time unit {unit!r} is unknown. Use one of {', '.join(_PER_SECOND)}.")
    if cells.count() == 0:
        return _no_times(len(cells))
    match cells.dtype:
        case pl.Datetime(time_zone=None) | pl.Date():
            return cells.cast(pl.Datetime("ms")).dt.replace_time_zone("UTC")
        case pl.Datetime():
            return cells.dt.convert_time_zone("UTC").dt.cast_time_unit("ms")
        case pl.String():
            times = _from_cells(cells, table, unit)
        case dtype if dtype.is_numeric():
            times = _from_numbers(cells.cast(pl.Float64), table, unit)
        case dtype:
            raise DataError(f"{table}: column open_time is of type {dtype}, not a time. Choose another with --column.")
    if times.count() == 0:
        raise DataError(
            f"{table}: no open_time can be read, the first is {str(cells.drop_nulls()[0])[:_QUOTED_CHARS]!r}. "
            "Expected numbers since 1970 or texts such as 2024-10-28 13:00:00. Choose another column, such as "
            "--column 'NAME=open_time'."
        )
    return times


def _from_cells(cells: pl.Series, table: str, unit: TimeUnit | None) -> pl.Series:
    """Read texts as numbers or as ISO times, whichever more of them are; a file has one kind."""
    numbers = cells.cast(pl.Float64, strict=False)
    n_times = sum(int(_is_time(numbers, any_unit).sum()) for any_unit in _PER_SECOND)
    if n_times < cells.count():
        texts = _from_texts(cells)
        if texts.count() > n_times or numbers.count() == 0:
            return texts
    return _from_numbers(numbers, table, unit)


def _from_numbers(numbers: pl.Series, table: str, unit: TimeUnit | None) -> pl.Series:
    unit = unit or _infer_unit(numbers, table)
    in_ms = numbers / _PER_SECOND[unit] * 1_000.0
    is_time = _is_time(numbers, unit)
    plausible = pl.select(pl.when(is_time).then(in_ms.round())).to_series()
    return plausible.cast(pl.Int64).cast(BAR_SCHEMA["open_time"]).alias("open_time")


def _infer_unit(numbers: pl.Series, table: str) -> TimeUnit:
    counts = {unit: int(_is_time(numbers, unit).sum()) for unit in _PER_SECOND}
    best = max(counts, key=counts.__getitem__)
    if counts[best] == 0 or counts[best] < _SURE_SHARE * sum(counts.values()):
        seen = ", ".join(f"{n} in {unit}" for unit, n in counts.items() if n) or "none"
        raise DataError(
            f"{table}: the unit of open_time is not clear from its numbers (times between 1980 and 2100: {seen}). "
            "Give --time-unit s, ms, us or ns (FileFormat(time_unit=...)); split the file if it mixes them."
        )
    return best


def _is_time(numbers: pl.Series, unit: TimeUnit) -> pl.Series:
    per_second = _PER_SECOND[unit]
    return numbers.is_between(_EARLIEST_S * per_second, _LATEST_S * per_second).fill_null(value=False)


def _from_texts(texts: pl.Series) -> pl.Series:
    """Parse ISO texts, the format that fits most of the first rows first."""
    plain = texts.str.replace_all("/", "-", literal=True).str.replace(r"(\d)[Tt](\d)", "$1 $2")
    plain = plain.str.replace(r"\s?(UTC|[Zz])$", "+00:00")
    head = plain.drop_nulls().head(_N_SAMPLE)
    times = _no_times(len(plain))
    for form in sorted(_TIME_FORMATS, key=lambda form: _parse(head, form).null_count()):
        if times.count() == plain.count():
            break
        times = times.zip_with(times.is_not_null(), _parse(plain, form))
    return times


def _no_times(n: int) -> pl.Series:
    return pl.Series("open_time", [None], BAR_SCHEMA["open_time"]).new_from_index(0, n)


def _parse(texts: pl.Series, form: str) -> pl.Series:
    return texts.str.to_datetime(form, time_unit="ms", time_zone="UTC", strict=False)


def _reasons(cells: pl.DataFrame, read: pl.DataFrame, has_extra: pl.Series | None) -> pl.Series:
    """Text of what could not be read; the cell is quoted."""
    reasons = pl.Series([None], dtype=pl.String).new_from_index(0, cells.height)
    if has_extra is not None and has_extra.any():
        text = pl.Series(["the row has more cells than there are columns"])
        reasons = text.new_from_index(0, cells.height).zip_with(has_extra, reasons)
    for name in read.columns:
        unread = read[name].is_null() & cells[name].is_not_null() & reasons.is_null()
        if unread.any():
            quoted = cells[name].cast(pl.String).str.slice(0, _QUOTED_CHARS)
            kind = "time" if name == "open_time" else "number"
            texts = pl.select(pl.format(f"{name} '{{}}' is not a {kind}", quoted)).to_series()
            reasons = texts.zip_with(unread, reasons)
    return reasons
