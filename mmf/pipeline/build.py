"""Features from stored bars: compute the chunks whose key is new, publish one snapshot."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256

import numpy as np
import polars as pl

from mmf.bars import Interval, Series
from mmf.features.build import Chunk, chunk_key, compute_chunk, content_hashes, plan_chunks
from mmf.features.registry import FeatureSet
from mmf.pipeline.tables import LAYOUT, stored_bars
from warehouse import Commit, DataFile, SeriesKey, Snapshot, Warehouse


@dataclass(frozen=True)
class BuildReport:
    """What one build did.

    Attributes
    ----------
    version : str
        Feature version, such as `core@v1`.
    snapshot : int
        Snapshot that holds the finished table.
    n_chunks, n_computed : int
        Chunks of the series, and those among them whose key was new.
    n_rows, n_columns : int
        Size of the table of base features.
    """

    series: Series
    version: str
    snapshot: int
    n_chunks: int
    n_computed: int
    n_rows: int
    n_columns: int

    @property
    def state(self) -> str:
        """The table state, such as `core@v1@S17`."""
        return f"{self.version}@S{self.snapshot}"


def build_features(
    warehouse: Warehouse,
    series: Series,
    features: FeatureSet,
    /,
    *,
    on_chunk: Callable[[int, int], None] | None = None,
) -> BuildReport:
    """Bring the feature table of one series up to its bars.

    Each finished chunk is recorded by its key outside any snapshot, so an interrupted build resumes; the snapshot is
    published once, at the end, so no reader sees half a version.

    Parameters
    ----------
    warehouse : Warehouse
        Open for writing.
    series : Series
        Whose bars to read.
    features : FeatureSet
        What to compute.
    on_chunk : callable(done, total), optional
        Called after each chunk, for progress.

    Raises
    ------
    DataError
        The warehouse holds no bars of the series.
    """
    key = SeriesKey(*series.key)
    number = warehouse.register_version(features.name, features.definition_hash, features.definitions())
    version = f"{features.name}@v{number}"
    with warehouse.writing("features", key), warehouse.pin() as snapshot:
        bars = stored_bars(snapshot, series)
        chunks = plan_chunks(bars["open_time"].to_physical().to_numpy(), series.grid)
        live = snapshot.files("features", key, version=version)
        writer = _ChunkWriter(warehouse, key, version, features, series.grid, {f.start: f for f in live})
        files: list[DataFile] = []
        for done, chunk in enumerate(chunks, start=1):
            files += writer.files_of(chunk, bars, is_open=done == len(chunks))
            if on_chunk is not None:
                on_chunk(done, len(chunks))
        published = _publish(warehouse, f"build {version} of {series}", live, files)
    return BuildReport(series, version, published, len(chunks), writer.n_computed, bars.height, len(features.columns))


def stale_chunks(
    warehouse: Warehouse, snapshot: Snapshot, series: Series, features: FeatureSet, version: str, /, *, start: int
) -> int:
    """Count the chunks whose stored rows are not what their bars give today.

    Parameters
    ----------
    warehouse : Warehouse
        Knows the hashes of every chunk that was ever finished.
    snapshot : Snapshot
        The state to check.
    series : Series
        Whose features.
    features : FeatureSet
        The definitions of that version.
    version : str
        Feature version, such as `core@v1`.
    start : int
        Bar number from which on rows matter.
    """
    key = SeriesKey(*series.key)
    bars = stored_bars(snapshot, series)
    n_stale = 0
    for chunk in plan_chunks(bars["open_time"].to_physical().to_numpy(), series.grid):
        first, stop = LAYOUT.chunk_range(chunk.number)
        if stop <= start:
            continue
        content = chunk_key(features, series.grid, bars[chunk.read], n_own=chunk.own.stop - chunk.own.start)
        expected = warehouse.finished_hashes(chunk_record(key, version, content))
        n_stale += expected is None or expected != _stored_hashes(snapshot, key, version, first, stop)
    return n_stale


def chunk_record(key: SeriesKey, version: str, content_key: str, /) -> str:
    """Name under which a finished chunk is recorded: equal bars of two series have one content key, but two files."""
    return f"{version} {':'.join(key)} {content_key}"


# ------------------------------------------------------------------------------------


@dataclass
class _ChunkWriter:
    warehouse: Warehouse
    key: SeriesKey
    version: str
    features: FeatureSet
    interval: Interval
    live: Mapping[int, DataFile]
    n_computed: int = 0

    def files_of(self, chunk: Chunk, bars: pl.DataFrame, *, is_open: bool) -> list[DataFile]:
        """Files of one chunk: finished earlier under the same key, or computed now."""
        read, n_own = bars[chunk.read], chunk.own.stop - chunk.own.start
        recorded = chunk_record(self.key, self.version, chunk_key(self.features, self.interval, read, n_own=n_own))
        finished = self.warehouse.finished_chunk(recorded)
        if finished is not None and (is_open or len(finished) == 1):
            return finished
        if finished is not None:  # closed since it was computed: one file takes the place of its pieces
            frame = pl.concat([pl.read_parquet(self.warehouse.root / file.path) for file in finished])
        else:
            self.n_computed += 1
            frame = compute_chunk(self.features, read, interval=self.interval, n_own=n_own)
        files = self._write(frame, chunk.number, is_open=is_open)
        self.warehouse.finish_chunk(recorded, files, hashes=content_hashes(frame))
        return files

    def _write(self, frame: pl.DataFrame, chunk: int, *, is_open: bool) -> list[DataFile]:
        commit = self.warehouse.begin(f"chunk {chunk} of {self.version} {':'.join(self.key)}")
        if not is_open:
            return [self._write_piece(commit, frame, *LAYOUT.chunk_range(chunk))]
        numbers = frame.select(self.interval.bar_number_expr()).to_series().to_numpy()
        slices = [(piece, np.searchsorted(numbers, piece)) for piece in LAYOUT.pieces(numbers[0], numbers[-1])]
        return [self._write_piece(commit, frame[first:end], *piece) for piece, (first, end) in slices if first < end]

    def _write_piece(self, commit: Commit, frame: pl.DataFrame, start: int, stop: int) -> DataFile:
        """Write one file, unless the live table holds these very values: most pieces of an open chunk stay."""
        content = _digest(content_hashes(frame))
        live = self.live.get(start)
        if live is not None and live.stop == stop and live.content == content:
            return live
        return commit.write(
            "features",
            self.key,
            frame,
            start=start,
            stop=stop,
            version=self.version,
            codec="features",
            content=content,
        )


def _stored_hashes(snapshot: Snapshot, key: SeriesKey, version: str, start: int, stop: int) -> dict[str, str]:
    if not snapshot.files("features", key, version=version, start=start, stop=stop):
        return {}
    return content_hashes(snapshot.scan("features", key, version=version, start=start, stop=stop).collect())


def _digest(hashes: Mapping[str, str]) -> str:
    return sha256(json.dumps(dict(hashes), sort_keys=True).encode()).hexdigest()


def _publish(warehouse: Warehouse, message: str, live: list[DataFile], files: list[DataFile]) -> int:
    """Make the table state consist of exactly these files."""
    commit = warehouse.begin(message)
    paths, live_paths = {file.path for file in files}, {file.path for file in live}
    for file in files:
        if file.path not in live_paths:
            commit.add(file)
    for file in live:
        if file.path not in paths:
            commit.remove(file)
    return commit.publish()
