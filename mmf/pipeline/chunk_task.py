"""The work of one chunk, wherever it runs: read its bars, reuse or compute its units, write them durably."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256

import numpy as np
import polars as pl

from mmf.bars import Series
from mmf.errors import CallError, DataError
from mmf.features.build import compute_chunk, content_hashes, plan_chunks, stored_schema
from mmf.features.keys import unit_keys
from mmf.features.registry import FeatureSet
from mmf.pipeline.units import ChunkBars, Cut, Stretch, arrange
from warehouse import DataFile, SeriesKey
from warehouse.commits import FileWriter
from warehouse.errors import WarehouseError
from warehouse.files import encode, read_columns


@dataclass(frozen=True, slots=True)
class Unit:
    """What became of one unit.

    Attributes
    ----------
    stretch : Stretch
        Its bar numbers.
    name : str
        Its bar numbers and the hash of all that its rows depend on.
    file : DataFile or None
        Written now; None where a file is recorded under its name.
    hashes : dict of str to str
        Sha256 of each column of a closed chunk that was written now.
    """

    stretch: Stretch
    name: str
    file: DataFile | None = None
    hashes: dict[str, str] | None = None


@dataclass(frozen=True, slots=True)
class ChunkDone:
    """Result of a task: its job and chunk, and the units of the chunk in order."""

    job: int
    chunk: ChunkBars
    units: tuple[Unit, ...]


@dataclass(frozen=True)
class ChunkTask:
    """Bring one chunk up to its bars; may be sent to another process that sees the same files.

    Attributes
    ----------
    job : int
        For the sender.
    series, version, features, cut
        Whose rows, under which version, what they are, and how the series is cut.
    chunk : ChunkBars
        The chunk and its bars.
    live : tuple of DataFile
        Its files in the table now.
    known : frozenset of str
        Names of units that need not be computed.
    writer : FileWriter
        Writes into the warehouse, without its catalog.
    joins : bool
        Put the live files together as one instead, if their rows are what their bars give; else do nothing.
    """

    job: int
    series: Series
    version: str
    features: FeatureSet
    cut: Cut
    chunk: ChunkBars
    live: tuple[DataFile, ...]
    known: frozenset[str]
    writer: FileWriter
    joins: bool = False

    @property
    def name(self) -> str:
        """For messages."""
        reach = self.chunk.reach
        return f"{self.version} of {self.series}, chunk {self.cut.layout.chunk_of(reach.start)} (bars {reach.start} on)"

    def compute(self) -> "StagedChunk":
        """Compute what is not known and encode it; nothing is written yet.

        Raises
        ------
        CallError, DataError
            The message names series and chunk; any error of a feature becomes a DataError.
        """
        try:
            return self._compute()
        except WarehouseError:
            raise
        except (CallError, DataError) as error:
            raise type(error)(f"{self.name}: {error}") from error
        except Exception as error:
            raise DataError(
                f"{self.name}: {type(error).__name__}: {error}. What was finished before stays; mend the cause and "
                "build again."
            ) from error

    def is_current(self) -> bool:
        """Whether the live files are what the bars give; `known` names these files only."""
        return not self._arrange(self._read())[1]

    def _compute(self) -> "StagedChunk":
        read = self._read()
        kept, rest = self._arrange(read)
        if self.joins:
            kept, rest = [], [] if rest else [self.chunk.reach]
        names = self._names(read, [*kept, *rest])
        missing = [unit for unit in rest if names[unit] not in self.known]
        if not missing:
            frames = []
        elif self.joins:
            frames = [_joined(self.live, self.writer, self.features)]
        else:
            frames = self._computed(read, missing)
        staged = {
            unit: StagedUnit(frame, encode(frame, codec="features"))
            for unit, frame in zip(missing, frames, strict=True)
        }
        return StagedChunk(self, tuple((unit, names[unit], staged.get(unit)) for unit in (*kept, *rest)))

    def _read(self) -> "_Read":
        paths = [self.writer.root / file.path for file in (*self.chunk.lead, *self.chunk.own)]
        bars = read_columns(paths, ("open_time", *self.features.inputs))
        times = bars["open_time"].to_physical().to_numpy()
        grid, layout = self.series.grid, self.cut.layout
        chunk = plan_chunks(times, grid, chunk_bars=layout.chunk, lead_bars=self.cut.lead_bars)[-1]
        numbers = (times[chunk.read] - grid.anchor_ms) // grid.ms
        return _Read(bars[chunk.read], numbers, chunk.own.start - chunk.read.start)

    def _arrange(self, read: "_Read") -> tuple[list[Stretch], list[Stretch]]:
        live = [Stretch(file.start, file.stop) for file in self.live]
        held = [unit for unit in live if read.has_bars(*unit)]
        names = self._names(read, held) if self.known else {}
        return arrange(
            self.chunk.reach,
            live,
            is_open=self.chunk.is_open,
            newest=int(read.numbers[-1]),
            layout=self.cut.layout,
            has_bars=read.has_bars,
            is_known=lambda unit: names.get(unit) in self.known,
        )

    def _names(self, read: "_Read", units: Sequence[Stretch]) -> dict[Stretch, str]:
        keys = unit_keys(self.features, self.series.grid, read.bars, [read.rows_of(unit) for unit in units])
        return {unit: f"{unit.start}-{unit.stop} {key}" for unit, key in zip(units, keys, strict=True)}

    def _computed(self, read: "_Read", units: Sequence[Stretch]) -> list[pl.DataFrame]:
        """One computation up to the last of the units, cut into them: a row depends on no later one."""
        first, stop = read.rows_of(units[0])[0], read.rows_of(units[-1])[1]
        frame = compute_chunk(self.features, read.bars[:stop], interval=self.series.grid, n_own=stop - first)
        places = [read.rows_of(unit) for unit in units]
        return [frame[start - first : end - first] for start, end in places]


@dataclass(frozen=True, slots=True)
class StagedUnit:
    """A computed unit: its rows, and the bytes of the file that they become."""

    frame: pl.DataFrame
    data: memoryview


@dataclass(frozen=True, slots=True)
class StagedChunk:
    """A computed chunk that waits to be written: units with their names, and rows where they are new."""

    task: ChunkTask
    units: tuple[tuple[Stretch, str, StagedUnit | None], ...]

    def store(self) -> ChunkDone:
        """Write what is new; every file is durable once this returns.

        It hashes rows and file and does little in Python, so that a thread that runs it takes a third of the work off
        one that computes and seldom holds it up.
        """
        units = tuple(self._stored(*unit) for unit in self.units)
        return ChunkDone(self.task.job, self.task.chunk, units)

    def _stored(self, stretch: Stretch, name: str, staged: StagedUnit | None) -> Unit:
        if staged is None:
            return Unit(stretch, name)
        hashes = content_hashes(staged.frame)
        file = self.task.writer.write(
            staged.data,
            "features",
            SeriesKey(*self.task.series.key),
            start=stretch.start,
            stop=stretch.stop,
            n_rows=staged.frame.height,
            version=self.task.version,
            content=sha256(json.dumps(hashes, sort_keys=True).encode()).hexdigest(),
        )
        return Unit(stretch, name, file, {} if self.task.chunk.is_open else hashes)


# ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Read:
    """Bars that a chunk reads, their numbers, and the count of those before its own."""

    bars: pl.DataFrame
    numbers: np.ndarray
    n_lead: int

    def rows_of(self, stretch: Stretch) -> tuple[int, int]:
        first, stop = np.searchsorted(self.numbers, stretch).tolist()
        return max(first, self.n_lead), stop

    def has_bars(self, start: int, stop: int) -> bool:
        first, end = self.rows_of(Stretch(start, stop))
        return first < end


def _joined(files: Sequence[DataFile], writer: FileWriter, features: FeatureSet) -> pl.DataFrame:
    return read_columns([writer.root / file.path for file in files], stored_schema(features).names())
