"""Random histories of bars: what is computed, and that it equals a build in one go."""

from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given, settings
from hypothesis import strategies as st

from mmf.features.build import content_hashes
from mmf.pipeline.build import BuildReport, Job, build_many, stale_chunks
from tests.pipeline.small_builds import CUT, SERIES, SMALL, Bars, expected, files, put, read_of, stored
from tests.warehouse.frames import memory_folder
from warehouse import Warehouse

CHUNK = CUT.layout.chunk
N_NUMBERS = 5 * CHUNK

stretches = st.tuples(st.integers(0, N_NUMBERS - 1), st.integers(1, 90))
steps = st.one_of(
    st.tuples(st.just("put"), stretches),  # append, backfill, or fill a hole
    st.tuples(st.just("next"), st.integers(1, 12)),
    st.tuples(st.just("revise"), st.floats(0, 0.999)),
    st.tuples(st.just("restore"), st.floats(0, 0.999)),
    st.tuples(st.just("compact"), st.none()),
    st.tuples(st.just("nothing"), st.none()),
)


def changed(bars: Bars, step: tuple) -> dict[int, int]:
    """The bars after a step of a history."""
    match step:
        case "put", (start, count):
            return dict.fromkeys(range(start, min(start + count, N_NUMBERS)), 0) | dict(bars)
        case "next", count:
            return dict(bars) | dict.fromkeys(range(max(bars) + 1, max(bars) + 1 + count), 0)
        case ("revise" | "restore") as kind, share:
            number = sorted(bars)[int(share * len(bars))]
            return dict(bars) | {number: bars[number] + 1 if kind == "revise" else 0}
        case _:
            return dict(bars)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(stretches, st.lists(steps, min_size=1, max_size=8))
def test_any_history_gives_what_a_build_in_one_go_gives(first: tuple[int, int], history: list[tuple]) -> None:
    bars: Bars = changed({}, ("put", first))
    with (
        TemporaryDirectory(dir=memory_folder()) as folder,
        Warehouse.open(Path(folder) / "parts", create=True) as warehouse,
        Warehouse.open(Path(folder) / "whole", create=True) as fresh,
    ):
        put(warehouse, bars)
        build(warehouse)
        for step in history:
            before, bars = bars, changed(bars, step)
            with warehouse.pin() as snapshot:
                ends = [file.stop for file in files(snapshot)]
            put(warehouse, bars, compacts=step[0] == "compact")
            report = build(warehouse)
            check_computed(before, bars, report, ends)
            assert stored(warehouse).equals(expected(bars))
            check_layout(warehouse, bars)
        put(fresh, bars)
        build(fresh)
        assert content_hashes(stored(warehouse)) == content_hashes(stored(fresh))


def build(warehouse: Warehouse) -> BuildReport:
    return build_many(warehouse, [Job(SERIES, SMALL)], cut=CUT)[0]


def check_computed(before: Bars, after: Bars, report: BuildReport, ends: list[int]) -> None:
    """Exactly those units were computed whose read set is another."""
    newest = max(after) // CHUNK
    for chunk in range(newest + 1):
        was, now = read_of(before, chunk), read_of(after, chunk)
        computed = [unit for unit in report.computed if unit[0] // CHUNK == chunk]
        if was == now:
            assert not computed
            continue
        if chunk < newest:
            assert computed == [(chunk * CHUNK, (chunk + 1) * CHUNK)]
            continue
        first_changed = min(number for number, _ in set(was) ^ set(now))
        untouched = max([chunk * CHUNK, *(end for end in ends if chunk * CHUNK < end <= first_changed)])
        assert computed
        assert computed[0][0] >= untouched
        own = [number for number in after if number >= max(first_changed, chunk * CHUNK)]
        assert all(any(start <= number < stop for start, stop in computed) for number in own)


def check_layout(warehouse: Warehouse, bars: Bars) -> None:
    """Closed chunks lie in one file; the newest file covers a piece; nothing is stale."""
    newest = max(bars) // CHUNK
    with warehouse.pin() as snapshot:
        found = files(snapshot)
        closed = [file.start // CHUNK for file in found if file.start // CHUNK < newest]
        assert len(closed) == len(set(closed))
        assert found[-1].stop - found[-1].start <= CUT.layout.piece
        assert stale_chunks(warehouse, snapshot, SERIES, SMALL, "small@v1", start=0, cut=CUT) == 0
