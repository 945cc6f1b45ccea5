"""How bars and features lie in the warehouse: pieces of the open chunk, whole closed chunks."""

from collections import defaultdict

import polars as pl

from mmf.bars import CHUNK_BARS, PIECE_BARS, STORED_SCHEMA, Series
from mmf.errors import DataError
from warehouse import DataFile, Layout, SeriesKey, Snapshot, Warehouse

LAYOUT = Layout(chunk=CHUNK_BARS, piece=PIECE_BARS)


def stored_bars(
    snapshot: Snapshot, series: Series, /, *, start: int | None = None, stop: int | None = None
) -> pl.DataFrame:
    """Read bars in `STORED_SCHEMA`, by open_time.

    Parameters
    ----------
    snapshot : Snapshot
        The state to read.
    series : Series
        The series to read.
    start, stop : int, optional
        Half-open range of bar numbers; whole files are read, so a few more bars may come.

    Raises
    ------
    DataError
        The snapshot holds no bar of the series.
    """
    bar_files(snapshot, series)
    return snapshot.scan("bars", SeriesKey(*series.key), start=start, stop=stop).select(*STORED_SCHEMA).collect()


def bar_files(snapshot: Snapshot, series: Series, /) -> list[DataFile]:
    """Return the files of a series' bars, sorted by start.

    Raises
    ------
    DataError
        The snapshot holds no bar of the series.
    """
    files = snapshot.files("bars", SeriesKey(*series.key))
    if not files:
        raise DataError(
            f"the warehouse holds no bars of {series} in S{snapshot.id}. Bring them in with: mmf ingest files PATH "
            f"--exchange {series.exchange} --category {series.category} --symbol {series.symbol} "
            f"--interval {series.interval}   (or: mmf ingest simulated)"
        )
    return files


def compact_bars(warehouse: Warehouse, series: Series, /) -> int | None:
    """Join the pieces of chunks that have closed since; the values stay.

    Returns
    -------
    int or None
        The new snapshot, None where nothing was due.
    """
    key = SeriesKey(*series.key)
    with warehouse.pin() as snapshot:
        due = _in_pieces(snapshot.files("bars", key))
        if not due:
            return None
        commit = warehouse.begin(f"compact bars of {series}")
        for chunk, pieces in due.items():
            start, stop = LAYOUT.chunk_range(chunk)
            commit.write("bars", key, stored_bars(snapshot, series, start=start, stop=stop), start=start, stop=stop)
            for piece in pieces:
                commit.remove(piece)
        return commit.publish()


# ------------------------------------------------------------------------------------


def _in_pieces(files: list[DataFile]) -> dict[int, list[DataFile]]:
    """Closed chunks that lie in more than one file, with these files."""
    by_chunk: defaultdict[int, list[DataFile]] = defaultdict(list)
    for file in files:
        by_chunk[LAYOUT.chunk_of(file.start)].append(file)
    newest = max(by_chunk, default=0)
    return {chunk: pieces for chunk, pieces in by_chunk.items() if chunk < newest and len(pieces) > 1}
