"""Feature tables brought up to their bars: plan the chunks, let an executor compute, record, publish."""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace

from mmf.bars import Series
from mmf.features.registry import FeatureSet
from mmf.pipeline.chunk_plan import ChunkPlan, Job, chunk_plans, fingerprint_head, record_prefix
from mmf.pipeline.chunk_task import ChunkDone, ChunkTask
from mmf.pipeline.executors import Executor, Serial
from mmf.pipeline.lineage import registered
from mmf.pipeline.plan import chunks_in_flight
from mmf.pipeline.table_build import TableBuild
from mmf.pipeline.tables import bar_files
from mmf.pipeline.units import CUT, Cut
from warehouse import DataFile, SeriesKey, Snapshot, Warehouse
from warehouse.commits import FileWriter
from warehouse.files import local_file_system

__all__ = ["BuildReport", "Job", "Progress", "build_features", "build_many", "stale_chunks"]


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
        Chunks of the series, and those among them in which anything was computed.
    n_rows, n_columns : int
        Size of the table of base features.
    computed : tuple of (start, stop)
        Bar numbers of the units that were computed: closed chunks, and stretches of the open one.
    n_bytes : int
        Size of the files written for them.
    """

    series: Series
    version: str
    snapshot: int
    n_chunks: int
    n_computed: int
    n_rows: int
    n_columns: int
    computed: tuple[tuple[int, int], ...] = ()
    n_bytes: int = 0

    @property
    def state(self) -> str:
        """The table state, such as `core@v1@S17`."""
        return f"{self.version}@S{self.snapshot}"


@dataclass(frozen=True)
class Progress:
    """How far a build is.

    Attributes
    ----------
    series : Series or None
        Of the chunk that was finished last; None at the start.
    n_chunks_done, n_chunks : int
        Chunks looked at and computed where needed, of those that the catalog alone does not settle.
    n_rows_done, n_rows : int
        The same in rows.
    seconds : float
        Since the start.
    """

    series: Series | None
    n_chunks_done: int
    n_chunks: int
    n_rows_done: int
    n_rows: int
    seconds: float

    @property
    def eta_s(self) -> float | None:
        """Seconds left at the speed so far; None before the first chunk is done."""
        if not self.n_rows_done:
            return None
        return self.seconds * (self.n_rows - self.n_rows_done) / self.n_rows_done


def build_features(
    warehouse: Warehouse,
    series: Series,
    features: FeatureSet,
    /,
    *,
    executor: Executor | None = None,
    max_memory_mib: int | None = None,
    on_chunk: Callable[[int, int], None] | None = None,
) -> BuildReport:
    """Bring the feature table of one series up to its bars; see `build_many`.

    Parameters
    ----------
    on_chunk : callable(done, total), optional
        Called at the start and after each chunk that has to be looked at, for progress.
    """
    listener = None if on_chunk is None else (lambda progress: on_chunk(progress.n_chunks_done, progress.n_chunks))
    jobs = [Job(series, features)]
    return build_many(warehouse, jobs, executor=executor, max_memory_mib=max_memory_mib, on_progress=listener)[0]


def build_many(
    warehouse: Warehouse,
    jobs: Sequence[Job],
    /,
    *,
    executor: Executor | None = None,
    max_memory_mib: int | None = None,
    on_progress: Callable[[Progress], None] | None = None,
    cut: Cut = CUT,
) -> list[BuildReport]:
    """Bring feature tables up to their bars.

    A chunk whose files of bars are the ones that it was computed from is left alone, without reading a bar. One whose
    files are others is read, and computed where its bars are others too. Each finished chunk is recorded outside any
    snapshot, so an interrupted build resumes; a table is published once, when all of it is there, so no reader sees
    half a version. Closed chunks that still lie in pieces are put together by a commit of their own, after that.

    Parameters
    ----------
    warehouse : Warehouse
        Open for writing.
    jobs : sequence of Job
        Which tables; series, intervals and feature sets may be mixed.
    executor : Executor, optional
        Where chunks are computed; in this process by default. Recording and publishing happen here in any case.
    max_memory_mib : int, optional
        Most memory to use, of all processes together; it bounds the chunks worked on at a time.
    on_progress : callable(Progress), optional
        Called at the start and after each chunk.
    cut : Cut
        Sizes of chunks and pieces.

    Returns
    -------
    list of BuildReport
        In the order of the jobs.

    Raises
    ------
    CallError
        `max_memory_mib` is less than one chunk takes.
    DataError
        The warehouse holds no bars of a series, or a feature failed; the message names series and chunk.
    """
    executor = executor or Serial()
    in_flight = [
        chunks_in_flight(job.features, n_workers=executor.n_workers, max_memory_mib=max_memory_mib, cut=cut)
        for job in jobs
    ]
    limit = None if max_memory_mib is None else min(in_flight, default=1)
    with registered(warehouse, [job.features for job in jobs]) as versions:
        tables = [TableBuild(*numbered, cut) for numbered in zip(range(len(jobs)), jobs, versions, strict=True)]
        listener = None if on_progress is None else _listener(warehouse, tables, on_progress)
        _Build(warehouse, tables).run(executor, limit, listener)
    if due := [table for table in tables if table.has_pieces_to_join]:
        joining = [replace(table, joins=True, computed=[]) for table in due]
        _Build(warehouse, joining).run(executor, limit, None)
        for table, joined in zip(due, joining, strict=True):
            table.snapshot = joined.snapshot
    return [_report(table) for table in tables]


def stale_chunks(
    warehouse: Warehouse,
    snapshot: Snapshot,
    series: Series,
    features: FeatureSet,
    version: str,
    /,
    *,
    start: int,
    cut: Cut = CUT,
) -> int:
    """Count the chunks whose stored rows are not what their bars give today.

    Bars are read only of chunks whose files of bars were rewritten since their features were built.

    Parameters
    ----------
    warehouse : Warehouse
        Knows the inputs of every unit that was finished.
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
    cut : Cut
        Sizes of chunks and pieces.
    """
    job, writer = Job(series, features), FileWriter(warehouse.root, local_file_system())
    stored = snapshot.files("features", job.key, version=version)
    live = {(file.start, file.stop): file for file in stored}
    recorded = [
        one
        for one in warehouse.finished_units("features", job.key, version=version, also_superseded=True)
        if _is_same(one.file, live.get((one.file.start, one.file.stop)))
    ]
    by_inputs = {one.fingerprint: live[one.file.start, one.file.stop] for one in recorded if one.fingerprint}
    prefix = record_prefix(job, version)
    known = frozenset(one.chunk_key.removeprefix(prefix) for one in recorded)

    def is_current(chunk: ChunkPlan) -> bool:
        if chunk.settled is not None or not chunk.live:
            return chunk.settled == chunk.live
        task = ChunkTask(0, series, version, features, cut, chunk.bars, chunk.live, known, writer)
        return task.is_current()

    head = fingerprint_head(job, version, cut)
    chunks = chunk_plans(bar_files(snapshot, series), stored, by_inputs, head=head, cut=cut)
    return sum(not is_current(chunk) for chunk in chunks if chunk.bars.reach.stop > start)


# ------------------------------------------------------------------------------------


class _Build:
    """Hands out the chunks of tables, and records and publishes what comes back."""

    def __init__(self, warehouse: Warehouse, tables: Sequence[TableBuild], /) -> None:
        self._warehouse = warehouse
        self._tables = {table.place: table for table in tables}
        self._pins: dict[int, ExitStack] = {}
        self._locks: dict[SeriesKey, ExitStack] = {}
        self._n_open = Counter(table.job.key for table in tables)

    def run(self, executor: Executor, in_flight: int | None, on_done: Callable[[ChunkDone], None] | None, /) -> None:
        with ExitStack() as held, closing(executor.run(self._tasks(held), in_flight=in_flight)) as results:
            for done in results:
                table = self._tables[done.job]
                table.record(self._warehouse, done)
                if table.n_waiting == 0:
                    self._close(table)
                if on_done is not None:
                    on_done(done)

    def _tasks(self, held: ExitStack) -> Iterator[ChunkTask]:
        """Tables of one series follow each other under its lock; every build locks series in the same order."""
        ordered = sorted(self._tables.values(), key=lambda table: (table.job.key, table.place))
        for table in ordered:
            key = table.job.key
            if key not in self._locks:
                self._locks[key] = held.enter_context(ExitStack())
                self._locks[key].enter_context(self._warehouse.writing("features", key))
            self._pins[table.place] = held.enter_context(ExitStack())
            tasks = table.look(self._warehouse, self._pins[table.place].enter_context(self._warehouse.pin()))
            if not tasks:
                self._close(table)
            yield from tasks

    def _close(self, table: TableBuild) -> None:
        table.publish(self._warehouse)
        self._pins[table.place].close()
        self._n_open[table.job.key] -= 1
        if not self._n_open[table.job.key]:
            self._locks[table.job.key].close()


def _listener(
    warehouse: Warehouse, tables: Sequence[TableBuild], on_progress: Callable[[Progress], None]
) -> Callable[[ChunkDone], None]:
    """Count what is due, tell that nothing of it is done, and return what tells more as chunks are done."""
    with warehouse.pin() as snapshot:
        due = [task.chunk.n_rows for table in tables for task in table.look(warehouse, snapshot)]
    began, n_chunks, n_rows = time.perf_counter(), 0, 0
    on_progress(Progress(None, 0, len(due), 0, sum(due), 0.0))

    def tell(done: ChunkDone) -> None:
        nonlocal n_chunks, n_rows
        n_chunks, n_rows = n_chunks + 1, n_rows + done.chunk.n_rows
        series = tables[done.job].job.series
        on_progress(Progress(series, n_chunks, len(due), n_rows, sum(due), time.perf_counter() - began))

    return tell


def _report(table: TableBuild) -> BuildReport:
    return BuildReport(
        series=table.job.series,
        version=table.version,
        snapshot=table.snapshot,
        n_chunks=len(table.chunks),
        n_computed=len({table.cut.layout.chunk_of(file.start) for file in table.computed}),
        n_rows=sum(chunk.bars.n_rows for chunk in table.chunks),
        n_columns=len(table.job.features.columns),
        computed=tuple(sorted((file.start, file.stop) for file in table.computed)),
        n_bytes=sum(file.n_bytes for file in table.computed),
    )


def _is_same(one: DataFile, other: DataFile | None) -> bool:
    """Whether two files hold the same rows."""
    return other is not None and (one.path == other.path or (one.content != "" and one.content == other.content))
