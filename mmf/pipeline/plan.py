"""What a build would cost, told from the catalog alone: no bar is read and nothing is computed."""

from collections.abc import Sequence
from dataclasses import dataclass

from mmf.bars import Series
from mmf.errors import CallError
from mmf.features.registry import FeatureSet
from mmf.pipeline.chunk_plan import Job, chunk_plans, fingerprint_head
from mmf.pipeline.tables import bar_files
from mmf.pipeline.units import CUT, Cut
from warehouse import Warehouse

# Measured by `just bench` with warm kernels, on the kind of machine that the README names.
SECONDS_A_VALUE = 2.2e-8  # one value computed, hashed and written
SECONDS_A_CHUNK = 0.01  # reading the bars before it, and what is the same for each
ROW_BYTES = 13  # open_time, missing_bars, is_warm
ALONE_MIB = 320  # a process that computes, records and prints, with its libraries and kernels
PARENT_MIB = 240  # one that leaves computing to others
WORKER_MIB = 260  # one that computes alone
BYTES_A_VALUE = 36  # float64 as computed; rounded and encoded, twice, since one chunk is written while the next runs


@dataclass(frozen=True)
class JobPlan:
    """One table of a `BuildPlan`.

    Attributes
    ----------
    series : Series
        Whose bars.
    set_name : str
        Name of the feature set.
    n_rows, n_columns : int
        Size of the finished table.
    n_chunks, n_chunks_due : int
        Chunks of the series, and those among them to build. Where files of bars were only rewritten, fewer are
        computed in the end.
    n_rows_due : int
        Rows to compute.
    n_bytes : int
        Size of the files to write, about.
    """

    series: Series
    set_name: str
    n_rows: int
    n_columns: int
    n_chunks: int
    n_chunks_due: int
    n_rows_due: int
    n_bytes: int


@dataclass(frozen=True)
class BuildPlan:
    """What `build_many` would do.

    Attributes
    ----------
    jobs : tuple of JobPlan
        In the order of the call.
    seconds : float
        Expected time, with warm kernels.
    n_busy : int
        Chunks that are worked on at a time.
    peak_mib : int
        Expected memory of all processes together.
    """

    jobs: tuple[JobPlan, ...]
    seconds: float
    n_busy: int
    peak_mib: int


def plan_build(
    warehouse: Warehouse,
    jobs: Sequence[Job],
    /,
    *,
    n_workers: int = 1,
    max_memory_mib: int | None = None,
    cut: Cut = CUT,
) -> BuildPlan:
    """Tell what `build_many` would do with these arguments; a warehouse open for reading only will do.

    Parameters
    ----------
    n_workers : int
        That of the executor.

    Raises
    ------
    CallError
        `max_memory_mib` is less than one chunk takes.
    DataError
        The warehouse holds no bars of a series.
    """
    plans = tuple(_job_plan(warehouse, job, cut) for job in jobs)
    n_values = sum(plan.n_rows_due * plan.n_columns for plan in plans)
    n_chunks = sum(plan.n_chunks_due for plan in plans)
    widest = max((job.features for job in jobs), key=lambda one: len(one.columns), default=None)
    n_busy = chunks_in_flight(widest, n_workers=n_workers, max_memory_mib=max_memory_mib, cut=cut) if widest else 1
    return BuildPlan(
        jobs=plans,
        seconds=(n_values * SECONDS_A_VALUE + n_chunks * SECONDS_A_CHUNK) / min(n_busy, max(1, n_chunks)),
        n_busy=n_busy,
        peak_mib=_peak_mib(widest, n_busy, n_workers, cut) if widest else 0,
    )


def chunks_in_flight(
    features: FeatureSet, /, *, n_workers: int, max_memory_mib: int | None = None, cut: Cut = CUT
) -> int:
    """Return how many chunks may be worked on at a time, at most one a worker.

    Raises
    ------
    CallError
        Not even one fits into `max_memory_mib`.
    """
    if max_memory_mib is None:
        return n_workers
    fitting = [n for n in range(1, n_workers + 1) if _peak_mib(features, n, n_workers, cut) <= max_memory_mib]
    if not fitting:
        least = _peak_mib(features, 1, n_workers, cut)
        fewer = "build with one worker, " if n_workers > 1 else ""
        raise CallError(
            f"a chunk of {features.name} ({len(features.columns)} columns) takes about {least} MiB, and the limit is "
            f"{max_memory_mib} MiB. Raise --max-memory, {fewer}or build a smaller set."
        )
    return max(fitting)


# ------------------------------------------------------------------------------------


def _job_plan(warehouse: Warehouse, job: Job, cut: Cut) -> JobPlan:
    found = [v for v in warehouse.versions(job.features.name) if v.definition_hash == job.features.definition_hash]
    version = found[0].name if found else f"{job.features.name}@v{len(warehouse.versions(job.features.name)) + 1}"
    units = warehouse.finished_units("features", job.key, version=version)
    known = {one.fingerprint: one.file for one in units if one.fingerprint}
    with warehouse.pin() as snapshot:
        live = snapshot.files("features", job.key, version=version)
        head = fingerprint_head(job, version, cut)
        chunks = chunk_plans(bar_files(snapshot, job.series), live, known, head=head, cut=cut)
    n_rows_due = sum(chunk.n_rows_due for chunk in chunks)
    return JobPlan(
        series=job.series,
        set_name=job.features.name,
        n_rows=sum(chunk.bars.n_rows for chunk in chunks),
        n_columns=len(job.features.columns),
        n_chunks=len(chunks),
        n_chunks_due=sum(chunk.settled is None for chunk in chunks),
        n_rows_due=n_rows_due,
        n_bytes=n_rows_due * (ROW_BYTES + 4 * len(job.features.columns)),
    )


def _peak_mib(features: FeatureSet, n_busy: int, n_workers: int, cut: Cut) -> int:
    """Memory of the caller and, where there are several, of each process at work; one without work never starts."""
    n_values = (cut.layout.chunk + cut.lead_bars) * len(features.columns)
    working = n_values * BYTES_A_VALUE / 2**20
    return round(ALONE_MIB + working if n_workers == 1 else PARENT_MIB + n_busy * (WORKER_MIB + working))
