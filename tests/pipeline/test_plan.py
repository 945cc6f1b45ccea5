from dataclasses import replace

import pytest

from mmf.errors import CallError, DataError
from mmf.features.registry import feature_set
from mmf.pipeline.build import build_many
from mmf.pipeline.chunk_plan import Job
from mmf.pipeline.plan import chunks_in_flight, plan_build
from tests.pipeline.small_builds import CUT, SERIES, SMALL, put
from warehouse import Warehouse

JOB = Job(SERIES, SMALL)
HISTORY = dict.fromkeys(range(30, 300), 0)  # chunks 0 to 3 closed, 44 bars of chunk 4


def due(warehouse: Warehouse) -> tuple[int, int]:
    [plan] = plan_build(warehouse, [JOB], cut=CUT).jobs
    return plan.n_chunks_due, plan.n_rows_due


def test_a_plan_tells_what_a_build_will_do(warehouse: Warehouse) -> None:
    put(warehouse, HISTORY)
    plan = plan_build(warehouse, [JOB], cut=CUT)
    [job] = plan.jobs
    assert (job.series, job.set_name, job.n_rows, job.n_columns, job.n_chunks) == (SERIES, "small", 270, 3, 5)
    assert due(warehouse) == (5, 270)
    assert job.n_bytes == 270 * (8 + 3 * 4 + 4 + 1)
    assert plan.seconds > 0
    assert warehouse.versions() == []  # nothing was written


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({}, (0, 0)),
        ({300: 0}, (1, 5)),
        ({297: 1}, (1, 4)),
        ({24: 0}, (2, 99)),
        ({100: 1}, (2, 128)),
    ],
    ids=["nothing", "next bar", "revision in the newest piece", "backfill", "revision in a closed chunk"],
)
def test_a_plan_after_a_build_tells_what_changed(
    warehouse: Warehouse, changed: dict[int, int], expected: tuple[int, int]
) -> None:
    put(warehouse, HISTORY)
    build_many(warehouse, [JOB], cut=CUT)
    put(warehouse, HISTORY | changed)
    assert due(warehouse) == expected
    report = build_many(warehouse, [JOB], cut=CUT)[0]
    assert (report.n_computed > 0) == (expected[0] > 0)
    assert due(warehouse) == (0, 0)


def test_more_workers_take_less_time_and_more_memory(warehouse: Warehouse) -> None:
    put(warehouse, HISTORY)
    one, two = (plan_build(warehouse, [JOB], n_workers=n, cut=CUT) for n in (1, 2))
    assert two.seconds == pytest.approx(one.seconds / 2)
    assert two.peak_mib > one.peak_mib


def test_memory_bounds_the_chunks_in_flight() -> None:
    core = feature_set("core")
    roomy, tight = (chunks_in_flight(core, n_workers=8, max_memory_mib=mib) for mib in (100_000, 2_000))
    assert roomy == 8
    assert 1 <= tight < 8
    with pytest.raises(CallError, match="Raise --max-memory"):
        chunks_in_flight(core, n_workers=8, max_memory_mib=100)


def test_the_process_that_hands_chunks_out_counts_too() -> None:
    core = feature_set("core")
    assert chunks_in_flight(core, n_workers=1, max_memory_mib=500) == 1
    with pytest.raises(CallError, match="build with one worker"):
        chunks_in_flight(core, n_workers=2, max_memory_mib=500)


def test_without_bars_the_command_that_brings_them_is_named(warehouse: Warehouse) -> None:
    with pytest.raises(DataError, match="mmf ingest"):
        plan_build(warehouse, [replace(JOB, series=replace(SERIES, symbol="NONE"))], cut=CUT)


def test_no_jobs_cost_nothing(warehouse: Warehouse) -> None:
    plan = plan_build(warehouse, [])
    assert (plan.jobs, plan.seconds, plan.peak_mib) == ((), 0, 0)
