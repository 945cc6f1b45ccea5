"""`mmf features build` and `plan`: feature tables of several series and intervals at a time."""

from collections.abc import Sequence
from contextlib import nullcontext
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Annotated

import typer

from cli.console import print_facts, print_json, print_table, progress_bar
from cli.feature_sets import SetOption, chosen_set
from cli.options import ConfigOption, JsonOption, WarehouseOption, open_warehouse
from cli.settings import read_settings
from mmf.errors import CallError, DataError

if TYPE_CHECKING:
    from mmf.bars import Series
    from mmf.features.registry import FeatureSet
    from mmf.pipeline.build import BuildReport, Job, Progress
    from warehouse import Warehouse

SeriesArgument = Annotated[
    list[str],
    typer.Argument(metavar="SERIES...", help="Such as bybit:linear:BTCUSDT:60, or a pattern: 'bybit:linear:*:60'."),
]
ContextOption = Annotated[
    list[str] | None,
    typer.Option("--context", help="A longer interval of the same symbols to build as well, such as 240; repeatable."),
]
MemoryOption = Annotated[
    int | None,
    typer.Option("--max-memory", min=1, metavar="MIB", help="Most memory of all processes together, in MiB."),
]
WorkersOption = Annotated[int, typer.Option("--workers", min=1, help="Processes that compute.")]


def build(
    series: SeriesArgument,
    *,
    set_name: SetOption = None,
    context: ContextOption = None,
    workers: WorkersOption = 1,
    max_memory: MemoryOption = None,
    warehouse: WarehouseOption = None,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Bring the feature tables of series up to their bars; only what changed is computed.

    An interrupted build goes on where it stopped.

    Example: mmf features build 'bybit:linear:*:60' --context 240 --workers 2
    """
    settings = read_settings(config)
    features = chosen_set(settings, set_name)
    with open_warehouse(warehouse, settings) as opened:
        jobs = _jobs(opened, series, context or [], features)
        reports = _built(opened, jobs, workers=workers, max_memory=max_memory)
    if json:
        print_json([{**vars(report), "series": str(report.series), "state": report.state} for report in reports])
        return
    columns = ("series", "state", "rows", "columns", "chunks", "computed")
    print_table(
        [(r.series, r.state, r.n_rows, r.n_columns, r.n_chunks, r.n_computed) for r in reports],
        columns,
        right=columns[2:],
    )


def plan(
    series: SeriesArgument,
    *,
    set_name: SetOption = None,
    context: ContextOption = None,
    workers: WorkersOption = 1,
    max_memory: MemoryOption = None,
    warehouse: WarehouseOption = None,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Tell what a build would do and cost, before anything runs.

    Example: mmf features plan 'bybit:linear:*:60' --workers 2
    """
    from mmf.pipeline.plan import plan_build

    settings = read_settings(config)
    features = chosen_set(settings, set_name)
    with open_warehouse(warehouse, settings) as opened:
        jobs = _jobs(opened, series, context or [], features)
        planned = plan_build(opened, jobs, n_workers=workers, max_memory_mib=max_memory)
    if json:
        print_json({**vars(planned), "jobs": [{**vars(job), "series": str(job.series)} for job in planned.jobs]})
        return
    columns = ("series", "set", "rows", "columns", "chunks", "to build", "rows due", "MB")
    rows = [
        (
            j.series,
            j.set_name,
            j.n_rows,
            j.n_columns,
            j.n_chunks,
            j.n_chunks_due,
            j.n_rows_due,
            f"{j.n_bytes / 1e6:.1f}",
        )
        for j in planned.jobs
    ]
    print_table(rows, columns, right=columns[2:])
    print_facts(
        {
            "time": f"about {planned.seconds:.1f} s; the first build on a machine compiles its kernels, half a minute",
            "memory": f"about {planned.peak_mib:,} MiB, {planned.n_busy} {'chunks' if planned.n_busy > 1 else 'chunk'} "
            "at a time",
        }
    )


def build_shown(
    warehouse: "Warehouse", series: "Series", features: "FeatureSet", /, *, context: Sequence[str] = ()
) -> "BuildReport":
    """Build the feature table of a series with progress, and those of longer intervals beside it."""
    return _built(warehouse, _jobs(warehouse, [str(series)], context, features))[0]


def matching_series(warehouse: "Warehouse", texts: Sequence[str], /) -> "list[Series]":
    """Return the series that texts and patterns such as `bybit:*:*:60` name, in order.

    Raises
    ------
    CallError
        A text names no series.
    DataError
        Nothing that is stored matches a pattern.
    """
    from mmf.bars import Series

    found: list[Series] = []
    with warehouse.pin() as snapshot:
        stored = [Series(*key) for key in snapshot.keys("bars")]
    for text in texts:
        if not any(sign in text for sign in "*?["):
            found.append(Series.parse(text))
            continue
        if text.count(":") != 3:
            raise CallError(
                f"{text!r} is no pattern of series. Write exchange:category:symbol:interval, as 'bybit:*:*:60'."
            )
        matching = [series for series in stored if fnmatchcase(str(series), text)]
        if not matching:
            raise DataError(f"no stored series is called like {text!r}. See what is stored: mmf data status")
        found += matching
    return found


# ------------------------------------------------------------------------------------


def _built(
    warehouse: "Warehouse", jobs: "Sequence[Job]", *, workers: int = 1, max_memory: int | None = None
) -> "list[BuildReport]":
    from mmf.pipeline.build import build_many
    from mmf.pipeline.executors import Processes

    with progress_bar() as progress, Processes(workers) if workers > 1 else nullcontext() as executor:
        task = progress.add_task(f"features {jobs[0].features.name}", total=None)

        def show(state: "Progress") -> None:
            name = f"features {jobs[0].features.name} of {state.series or jobs[0].series}"
            progress.update(task, completed=state.n_rows_done, total=state.n_rows, description=name)

        return build_many(warehouse, jobs, executor=executor, max_memory_mib=max_memory, on_progress=show)


def _jobs(warehouse: "Warehouse", texts: list[str], contexts: Sequence[str], features: "FeatureSet") -> "list[Job]":
    """One job a series, patterns resolved, each followed by its longer intervals."""
    from mmf.bars import Interval
    from mmf.features.context import require_longer
    from mmf.pipeline.build import Job
    from mmf.pipeline.state import in_interval

    intervals = [Interval.parse(context) for context in contexts]
    wanted: list[Series] = []
    for series in matching_series(warehouse, texts):
        for interval in intervals:
            require_longer(series.grid, interval)
        wanted += [series, *(in_interval(series, interval) for interval in intervals)]
    return [Job(series, features) for series in dict.fromkeys(wanted)]
