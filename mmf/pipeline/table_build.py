"""One feature table at work: what was found of it, what came of it, and how that is recorded and published."""

from dataclasses import dataclass, field, replace

import polars as pl

from mmf.features.build import stored_schema
from mmf.pipeline.chunk_plan import ChunkPlan, Job, chunk_plans, fingerprint_head, record_prefix
from mmf.pipeline.chunk_task import ChunkDone, ChunkTask
from mmf.pipeline.tables import bar_files
from mmf.pipeline.units import Cut, fingerprint_of
from warehouse import DataFile, Snapshot, Warehouse
from warehouse.commits import FileWriter


@dataclass
class TableBuild:
    """A table between its planning and its publication; only the process that commits has one.

    Attributes
    ----------
    place : int
        Of the job among those of the call.
    job, version, cut
        What is built, under which version, and how the series is cut.
    joins : bool
        Put closed chunks that lie in pieces together, and leave the rest alone.
    snapshot : int
        Where it was published.
    chunks : list of ChunkPlan
        As found.
    live : list of DataFile
        The table as found.
    finished : dict of str to DataFile
        Units that need not be computed, by the name that they are recorded under.
    files : dict of int to tuple of DataFile
        The table as it shall be, by first bar number of each chunk.
    computed : list of DataFile
        What was written.
    n_waiting : int
        Chunks handed out and not come back.
    """

    place: int
    job: Job
    version: str
    cut: Cut
    joins: bool = False
    snapshot: int = 0
    chunks: list[ChunkPlan] = field(default_factory=list)
    live: list[DataFile] = field(default_factory=list)
    finished: dict[str, DataFile] = field(default_factory=dict)
    files: dict[int, tuple[DataFile, ...]] = field(default_factory=dict)
    computed: list[DataFile] = field(default_factory=list)
    n_waiting: int = 0

    @property
    def has_pieces_to_join(self) -> bool:
        """Whether a closed chunk lies in pieces, now that the table is published."""
        return any(replace(chunk, live=self.files[chunk.bars.reach.start]).is_in_pieces for chunk in self.chunks)

    def look(self, warehouse: Warehouse, snapshot: Snapshot, /) -> list[ChunkTask]:
        """Read the catalog and return what is to be done."""
        units = warehouse.finished_units("features", self.job.key, version=self.version)
        self.finished = {one.chunk_key: one.file for one in units}
        known = {one.fingerprint: one.file for one in units if one.fingerprint}
        self.live = snapshot.files("features", self.job.key, version=self.version)
        self.chunks = chunk_plans(
            bar_files(snapshot, self.job.series),
            self.live,
            known,
            head=fingerprint_head(self.job, self.version, self.cut),
            cut=self.cut,
        )
        if self.joins:
            due = [chunk for chunk in self.chunks if chunk.is_in_pieces]
            self.files = {chunk.bars.reach.start: chunk.live for chunk in self.chunks}
        else:
            due = [chunk for chunk in self.chunks if chunk.settled is None]
            self.files = {chunk.bars.reach.start: chunk.settled or () for chunk in self.chunks}
        self.n_waiting = len(due)
        if not due:
            return []
        commit = warehouse.begin()
        empty = pl.DataFrame(schema=stored_schema(self.job.features))
        commit.declare("features", self.job.key, empty, version=self.version)
        return [self._task(chunk, commit.writer()) for chunk in due]

    def record(self, warehouse: Warehouse, done: ChunkDone, /) -> None:
        """Record the units of a chunk; what was written for them is durable."""
        prefix, head = record_prefix(self.job, self.version), fingerprint_head(self.job, self.version, self.cut)
        files = []
        for unit in done.units:
            name, fingerprint = prefix + unit.name, fingerprint_of(head, done.chunk, unit.stretch)
            if unit.file is None:
                warehouse.record_fingerprint(fingerprint, name)
            else:
                warehouse.finish_chunk(name, [unit.file], hashes=unit.hashes or {}, fingerprint=fingerprint)
                self.computed.append(unit.file)
            files.append(unit.file or self.finished[name])
        if files:
            self.files[done.chunk.reach.start] = tuple(files)
        self.n_waiting -= 1

    def publish(self, warehouse: Warehouse, /) -> None:
        """Make the table consist of exactly the files found."""
        act = "compact" if self.joins else "build"
        commit = warehouse.begin(f"{act} {self.version} of {self.job.series}")
        files = {file.path: file for chunk in self.files.values() for file in chunk}
        live = {file.path: file for file in self.live}
        for path in sorted(files.keys() - live.keys()):
            commit.add(files[path])
        for path in sorted(live.keys() - files.keys()):
            commit.remove(live[path])
        commit.record("feature_turns", series=self.job.key, version=self.version)
        self.snapshot = commit.publish()

    def _task(self, chunk: ChunkPlan, writer: FileWriter) -> ChunkTask:
        prefix = record_prefix(self.job, self.version)
        reach = chunk.bars.reach
        return ChunkTask(
            job=self.place,
            series=self.job.series,
            version=self.version,
            features=self.job.features,
            cut=self.cut,
            chunk=chunk.bars,
            live=chunk.live,
            known=frozenset(
                name.removeprefix(prefix)
                for name, file in self.finished.items()
                if reach.start <= file.start < reach.stop
            ),
            writer=writer,
            joins=self.joins,
        )
