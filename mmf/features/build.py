"""Planning and computing of feature chunks: pure functions from bars to columns, no storage."""

import functools
import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl

from mmf.bars import CHUNK_BARS, Interval
from mmf.errors import CallError, DataError
from mmf.features import hashing
from mmf.features.kernels.rounding import round_to_float32
from mmf.features.record import LEAD_BARS, Computation, Feature
from mmf.features.registry import FeatureSet

MISSING_SLOTS = 213  # the longest window (200) and the longest lag (13) together


@dataclass(frozen=True)
class Chunk:
    """One unit of computing.

    Attributes
    ----------
    number : int
        Bar number // chunk size.
    own : slice
        Places of its own bars among the stored bars of the series.
    read : slice
        Places of the bars that it reads: its own and at most `LEAD_BARS` stored ones before them.
    """

    number: int
    own: slice
    read: slice


def plan_chunks(
    open_time_ms: np.ndarray,
    interval: Interval,
    /,
    *,
    chunk_bars: int = CHUNK_BARS,
    lead_bars: int = LEAD_BARS,
) -> list[Chunk]:
    """Cut the stored bars of a series into chunks aligned by bar number.

    Parameters
    ----------
    open_time_ms : np.ndarray
        (n,) int64, strictly increasing.
    interval : Interval
        Grid of the series.

    Returns
    -------
    list of Chunk
        In time order; a stretch of time without bars has no chunk.
    """
    if len(open_time_ms) == 0:
        return []
    numbers = _bar_numbers(open_time_ms, interval) // chunk_bars
    firsts = np.flatnonzero(np.diff(numbers, prepend=numbers[:1] - 1)).tolist()
    return [
        Chunk(int(numbers[first]), slice(first, stop), slice(max(0, first - lead_bars), stop))
        for first, stop in zip(firsts, [*firsts[1:], len(numbers)], strict=True)
    ]


def compute_chunk(features: FeatureSet, read: pl.DataFrame, /, *, interval: Interval, n_own: int) -> pl.DataFrame:
    """Compute the own rows of a chunk.

    Parameters
    ----------
    features : FeatureSet
        What to compute.
    read : pl.DataFrame
        The chunk's own bars and those before them, sorted: open_time and the set's inputs.
    interval : Interval
        Grid of the series.
    n_own : int
        Count of own bars, the last rows of `read`.

    Returns
    -------
    pl.DataFrame
        One row an own bar: open_time, the columns of the set (Float32, null where undefined, never NaN or infinite),
        missing_bars (Int32: slots absent among the row's last 213, counted from the first bar of the series), is_warm
        (Boolean: the set's memory lies behind the row).

    Raises
    ------
    CallError
        `n_own` does not fit.
    DataError
        A column is absent, or open_time is not strictly increasing.

    Notes
    -----
    Recursive features run from the first row read; finite ones start only as far back as they look.
    """
    columns = compute_columns(features, read, n_own=n_own)
    numbers = _bar_numbers(read["open_time"].dt.epoch("ms").to_numpy(), interval)
    return pl.DataFrame(
        [
            read["open_time"].tail(n_own),
            *(_nullable(name, columns[name]) for name in features.columns),
            pl.Series("missing_bars", _missing_bars(numbers)[read.height - n_own :], pl.Int32),
            pl.Series("is_warm", _is_warm(read.height, features.memory)[read.height - n_own :], pl.Boolean),
        ]
    )


def stored_schema(features: FeatureSet, /) -> pl.Schema:
    """Columns of `compute_chunk` with their types."""
    return pl.Schema(
        {
            "open_time": pl.Datetime("ms", "UTC"),
            **dict.fromkeys(features.columns, pl.Float32()),
            "missing_bars": pl.Int32(),
            "is_warm": pl.Boolean(),
        }
    )


def compute_columns(features: FeatureSet, read: pl.DataFrame, /, *, n_own: int) -> dict[str, np.ndarray]:
    """Compute the columns of a set as float64, before they are rounded to what is stored.

    Parameters and errors are those of `compute_chunk`.

    Returns
    -------
    dict of str to np.ndarray
        (n_own,) float64 each; NaN or infinite where undefined.
    """
    _check_call(features, read, n_own)
    columns: dict[str, np.ndarray] = {}
    for computation, wanted in _by_computation(features):
        columns |= _evaluate(computation, wanted, read, n_own)
    for name, values in columns.items():
        _check_numbers(name, values)
    return columns


def content_hashes(frame: pl.DataFrame, /) -> dict[str, str]:
    """Sha256 of each column: the null mask, and little-endian bits of its values (0 where null; text as UTF-8)."""
    return {column.name: _content_hash(column) for column in frame.iter_columns()}


def canonical(column: pl.Series, /) -> tuple[np.ndarray, np.ndarray]:
    """Return what is hashed of a column of numbers: (n,) whether null, and (n,) little-endian values, 0 where null."""
    if column.dtype.is_temporal():  # asked first: for nothing, it would take longer than all else here
        column = column.to_physical()
    n_null = column.null_count()
    if not n_null:
        return np.zeros(len(column), bool), _little_endian(column.to_numpy())
    if column.dtype.is_float():
        values = column.to_numpy(writable=True)  # NaN where null
        is_null = np.isnan(values)
        if np.count_nonzero(is_null) == n_null:  # as in every feature: no NaN beside the nulls
            values[is_null] = 0
            return is_null, _little_endian(values)
    return column.is_null().to_numpy(), _little_endian(column.fill_null(0).to_numpy())


@functools.cache
def row_hash() -> str:
    """Hash of the code in this file that decides numbers."""
    return hashing.source_hash(_evaluate, _nullable, _missing_bars, _is_warm)


# ------------------------------------------------------------------------------------


def _check_call(features: FeatureSet, read: pl.DataFrame, n_own: int) -> None:
    if not 0 < n_own <= read.height:
        raise CallError(f"n_own is {n_own}, but the chunk reads {read.height} bars. Own bars are its last rows.")
    if absent := [name for name in ("open_time", *features.inputs) if name not in read.columns]:
        raise DataError(
            f"feature set {features.name} reads {absent[0]!r}, which is not among the columns: "
            f"{', '.join(read.columns)}."
        )


def _check_numbers(name: str, values: np.ndarray) -> None:
    """Text, lists and times would fail where they are rounded, in words that name no feature."""
    if values.dtype.kind not in "fiub":
        raise DataError(
            f"feature {name} gave values of type {values.dtype}, and a feature is a number. Cast it, or return a "
            "number for each bar."
        )


def _bar_numbers(open_time_ms: np.ndarray, interval: Interval) -> np.ndarray:
    if (np.diff(open_time_ms) <= 0).any():
        place = int(np.flatnonzero(np.diff(open_time_ms) <= 0)[0]) + 1
        raise DataError(
            f"open_time does not increase at row {place}. Sort the bars of one series by open_time and keep each once."
        )
    return (open_time_ms - interval.anchor_ms) // interval.ms


def _by_computation(features: FeatureSet) -> Iterable[tuple[Computation, list[Feature]]]:
    """Group features by the computation that they share, so that it runs once."""
    groups: dict[Computation, list[Feature]] = {}
    for feature in features.features:
        groups.setdefault(feature.computation, []).append(feature)
    return groups.items()


def _evaluate(computation: Computation, wanted: list[Feature], read: pl.DataFrame, n_own: int) -> dict[str, np.ndarray]:
    is_finite = all(feature.lookback is not None for feature in wanted)
    n_read = min(read.height, n_own + max(f.reach for f in wanted)) if is_finite else read.height
    # sliced one by one: a select for each of twenty computations would wake a pool of threads as often
    bars = [read[name].slice(read.height - n_read) for name in computation.inputs]
    if computation.kind == "kernel":
        values = computation(*map(_writable, bars))
    else:
        chosen = computation()
        wanted_columns = [chosen[f.name].alias(f.name) for f in wanted]
        frame = pl.DataFrame(bars).lazy().select(wanted_columns).collect(engine="in-memory")
        if frame.height != n_read:
            raise DataError(
                f"{', '.join(f.name for f in wanted)} gave {frame.height} rows for {n_read} bars: an expression must "
                "give one value a bar. Use rolling_mean and the like in place of mean, and keep nulls."
            )
        values = {column.name: column.to_numpy() for column in frame.iter_columns()}
    return {f.name: values[f.name][n_read - n_own :] for f in wanted}


def _writable(column: pl.Series) -> np.ndarray:
    """Contiguous array of our own; a read-only view would make Numba compile each kernel a second time."""
    return np.ascontiguousarray(column.cast(pl.Float64).to_numpy(writable=True))


def _nullable(name: str, values: np.ndarray) -> pl.Series:
    """Rounded to float32; null where that is not a finite number."""
    short = np.empty(len(values), np.float32)
    n_undefined = round_to_float32(values, short)
    return pl.Series(name, short, nan_to_null=n_undefined > 0)


def _missing_bars(numbers: np.ndarray) -> np.ndarray:
    """(n,) slots absent among the last 213 of each row, counted from the first bar read.

    A read set that does not begin the history holds more than 213 bars before its own, so the first bar read stands
    for the first of the series wherever it matters.
    """
    slots = np.minimum(numbers - numbers[0] + 1, MISSING_SLOTS)
    oldest = np.searchsorted(numbers, numbers - slots + 1)
    present = np.arange(len(numbers)) - oldest + 1
    return (slots - present).astype(np.int32)


def _is_warm(n_read: int, memory: int) -> np.ndarray:
    """(n,) whether `memory` earlier bars were read; a lead that is not the whole history is never shorter."""
    return np.arange(n_read) >= memory


def _content_hash(column: pl.Series) -> str:
    digest = hashlib.sha256()
    if column.dtype == pl.String:
        for part in _text_bytes(column):
            digest.update(part)
        return digest.hexdigest()
    is_null, values = canonical(column)
    digest.update(np.packbits(is_null).data)
    digest.update(values.data)
    return digest.hexdigest()


def _text_bytes(column: pl.Series) -> Iterator[bytes]:
    yield np.packbits(column.is_null().to_numpy()).tobytes()
    column = column.fill_null("")
    yield column.str.len_bytes().to_numpy().astype("<u4").tobytes()
    yield "".join(column.to_list()).encode()


def _little_endian(values: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(values.astype(values.dtype.newbyteorder("<"), copy=False))
