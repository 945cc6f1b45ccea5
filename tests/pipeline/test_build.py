import itertools

import polars as pl
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from mmf.bars import CHUNK_BARS, Series
from mmf.errors import DataError
from mmf.features.build import content_hashes
from mmf.features.registry import feature_set
from mmf.pipeline.build import BuildReport, build_features
from mmf.pipeline.ingest import ingest
from tests.pipeline.sources import SERIES, ListSource, walk
from warehouse import SeriesKey, Warehouse

KEY = SeriesKey(*SERIES.key)
CORE = feature_set("core")


def build(warehouse: Warehouse, *frames: pl.DataFrame) -> BuildReport:
    ingest(warehouse, ListSource(frames), SERIES)
    return build_features(warehouse, SERIES, CORE)


def table(warehouse: Warehouse, report: BuildReport) -> pl.DataFrame:
    with warehouse.pin(report.snapshot) as snapshot:
        scan = snapshot.scan("features", KEY, version=report.version)
        return scan.select("open_time", *CORE.columns, "missing_bars", "is_warm").collect()


def test_one_row_a_bar_in_order(warehouse: Warehouse) -> None:
    report = build(warehouse, walk(0, 900))
    assert table(warehouse, report)["open_time"].equals(walk(0, 900)["open_time"])
    assert report.state == f"core@v1@S{report.snapshot}"


def test_building_again_computes_nothing(warehouse: Warehouse) -> None:
    first = build(warehouse, walk(0, 900))
    again = build_features(warehouse, SERIES, CORE)
    assert (first.n_computed, again.n_computed) == (1, 0)
    assert again.snapshot == first.snapshot


def test_a_new_bar_leaves_most_pieces_as_they_are(warehouse: Warehouse) -> None:
    first = build(warehouse, walk(0, 900))
    with warehouse.pin() as snapshot:
        before = {file.path for file in snapshot.files("features", KEY, version=first.version)}
    build(warehouse, walk(900, 1))
    with warehouse.pin() as snapshot:
        after = {file.path for file in snapshot.files("features", KEY, version=first.version)}
    assert len(before) == 2  # the full pieces, and the newest
    assert len(after - before) == 1


def test_closed_chunks_lie_in_one_file_and_are_not_computed_again(warehouse: Warehouse) -> None:
    build(warehouse, walk(CHUNK_BARS - 700, 700))
    report = build(warehouse, walk(CHUNK_BARS, 300))
    assert report.n_computed == 1  # the open chunk; the closed one is only joined
    with warehouse.pin() as snapshot:
        files = snapshot.files("features", KEY, version=report.version)
    assert [file.n_rows for file in files] == [700, 256, 44]
    assert build_features(warehouse, SERIES, CORE).n_computed == 0


def test_an_interrupted_build_resumes(warehouse: Warehouse) -> None:
    ingest(warehouse, ListSource((walk(0, 2 * CHUNK_BARS + 100),)), SERIES)

    def interrupt(done: int, total: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build_features(warehouse, SERIES, CORE, on_chunk=interrupt)
    with warehouse.pin() as snapshot:
        assert not snapshot.files("features", KEY, version="core@v1")  # no reader sees half a version
    assert build_features(warehouse, SERIES, CORE).n_computed == 1


def test_series_with_the_same_bars_keep_files_of_their_own(warehouse: Warehouse) -> None:
    twin = Series("simulated", "linear", "TWIN", "60")
    build(warehouse, walk(0, 900))
    ingest(warehouse, ListSource((walk(0, 900),)), twin)
    report = build_features(warehouse, twin, CORE)
    with warehouse.pin() as snapshot:
        rows = [
            sum(file.n_rows for file in snapshot.files("features", SeriesKey(*series.key), version=report.version))
            for series in (SERIES, twin)
        ]
    assert rows == [900, 900]


def test_without_bars_the_command_that_brings_them_is_named(warehouse: Warehouse) -> None:
    with pytest.raises(DataError, match="mmf ingest"):
        build_features(warehouse, SERIES, CORE)


HISTORY = walk(0, CHUNK_BARS + 6_000)
cuts = st.lists(st.integers(1, HISTORY.height - 1), min_size=1, max_size=3, unique=True)


@hypothesis_settings(max_examples=8)
@given(cuts, st.booleans())
def test_incremental_equals_full(tmp_path_factory: pytest.TempPathFactory, cuts: list[int], backwards: bool) -> None:
    edges = [0, *sorted(cuts), HISTORY.height]
    parts = [HISTORY[a:b] for a, b in itertools.pairwise(edges)]
    if backwards:
        parts.reverse()
    folder = tmp_path_factory.mktemp("incremental")
    with Warehouse.open(folder / "parts", create=True) as opened:
        report = [build(opened, part) for part in parts][-1]
        incremental = content_hashes(table(opened, report))
    with Warehouse.open(folder / "whole", create=True) as opened:
        full = content_hashes(table(opened, build(opened, HISTORY)))
    assert incremental == full
