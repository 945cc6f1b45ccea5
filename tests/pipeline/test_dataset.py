"""Learning rows with features of a longer interval beside their own."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from mmf.bars import BAR_SCHEMA, Series
from mmf.errors import CallError, DataError
from mmf.features.registry import feature_set
from mmf.pipeline.build import build_features
from mmf.pipeline.config import TrainConfig
from mmf.pipeline.dataset import FIRST_DEFINED, _labelled, load_dataset
from mmf.pipeline.ingest import ingest
from mmf.pipeline.prepare import prepare
from mmf.pipeline.scan import scan_features
from mmf.pipeline.state import resolve_state
from tests.pipeline.sources import SERIES, ListSource, walk
from warehouse import Warehouse

CORE = feature_set("core")
LONGER = replace(SERIES, interval="240")
CONFIG = TrainConfig(days=None, context=("240",))
N_BARS = 6_000
ARGUMENTS = {"version": "core@v1", "base_columns": CORE.columns, "label": CONFIG.label, "context": ("240",)}


def longer_walk(first: int, count: int) -> pl.DataFrame:
    times = pl.Series("open_time", np.arange(first, first + count) * LONGER.grid.ms).cast(BAR_SCHEMA["open_time"])
    return walk(first, count, seed=2).with_columns(times)


def fill(warehouse: Warehouse, series: Series, bars: pl.DataFrame) -> None:
    ingest(warehouse, ListSource((bars,)), series)
    build_features(warehouse, series, CORE)


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Warehouse]:
    with Warehouse.open(tmp_path_factory.mktemp("context") / "w", create=True) as warehouse:
        fill(warehouse, SERIES, walk(0, N_BARS))
        fill(warehouse, LONGER, longer_walk(0, N_BARS // 4))
        yield warehouse


def test_context_columns_stand_behind_the_lags(filled: Warehouse) -> None:
    with filled.pin() as snapshot:
        dataset = load_dataset(snapshot, SERIES, **ARGUMENTS)
        columns = tuple(f"{name}_ctx_240" for name in CORE.columns)
        whole = scan_features(snapshot, SERIES, "core", columns=columns).collect()
    n_base = 7 * len(CORE.columns)
    assert dataset.rows.columns[n_base:] == columns
    expected = whole.tail(len(dataset.rows)).select(pl.col(columns).fill_null(np.nan)).to_numpy(order="c")
    assert dataset.rows.x[:, n_base:].tobytes() == expected.tobytes()
    assert np.isfinite(dataset.rows.x[0, n_base:]).mean() > 0.9


def test_rows_begin_where_most_context_columns_do(filled: Warehouse) -> None:
    with filled.pin() as snapshot:
        rows = load_dataset(snapshot, SERIES, **ARGUMENTS).rows
    closes_ms = rows.open_time_ms[0] + SERIES.grid.ms
    assert closes_ms == LONGER.grid.open_time_ms(FIRST_DEFINED) + LONGER.grid.ms


def test_rows_are_cold_until_the_context_is_warm(filled: Warehouse) -> None:
    with filled.pin() as snapshot:
        with_context = load_dataset(snapshot, SERIES, **ARGUMENTS)
        without = load_dataset(snapshot, SERIES, **ARGUMENTS | {"context": ()})
    warm_from_ms = (CORE.memory + 1) * LONGER.grid.ms - SERIES.grid.ms
    assert with_context.n_cold == (with_context.rows.open_time_ms < warm_from_ms).sum()
    assert without.n_cold == CORE.memory + 13 - 413 < len(without.rows)


def test_without_the_longer_table_the_build_is_named(
    tmp_path_factory: pytest.TempPathFactory, filled: Warehouse
) -> None:
    with filled.pin() as snapshot, pytest.raises(DataError, match="mmf features build simulated:linear:BTCUSDT:D"):
        load_dataset(snapshot, SERIES, **ARGUMENTS | {"context": ("D",)})


def test_a_context_older_than_its_bars_is_refused(filled: Warehouse) -> None:
    state = resolve_state(filled, SERIES, "core")
    assert len(prepare(filled, state, CONFIG).training) > 0
    ingest(filled, ListSource((longer_walk(N_BARS // 4, 3),)), LONGER)
    later = resolve_state(filled, SERIES, "core")
    with pytest.raises(DataError, match=r"of simulated:linear:BTCUSDT:240 is older than its bars.*mmf features build"):
        prepare(filled, later, CONFIG)
    assert len(prepare(filled, later, replace(CONFIG, context=())).training) > 0  # nothing else is
    assert len(prepare(filled, state, CONFIG).training) > 0  # the older state is still what it was


@pytest.mark.parametrize(
    ("context", "message"), [(("240", "4h"), "names an interval twice"), (("7",), "interval '7' is unknown")]
)
def test_contexts_are_distinct_intervals(context: tuple[str, ...], message: str) -> None:
    with pytest.raises(CallError, match=message):
        TrainConfig(context=context)


def test_a_feature_named_like_a_column_of_the_labels_is_refused() -> None:
    """Else it would stand where the purge looks for the label's end."""
    bars = walk(0, 60)
    features = bars.select("open_time", pl.col("close").alias("label_end"))
    with pytest.raises(DataError, match="a feature is called 'label_end'"):
        _labelled(bars, features, SERIES, CONFIG.label)


def test_a_set_means_the_version_that_the_code_at_hand_computes(tmp_path: Path) -> None:
    with Warehouse.open(tmp_path / "w", create=True) as warehouse:
        fill(warehouse, SERIES, walk(0, 400))
        old = resolve_state(warehouse, SERIES, "core")
        number = warehouse.register_version("core", "f" * 64, [{"name": "close_2", "hash": "0" * 64}])
        commit = warehouse.begin("a later version")
        rows = walk(0, 400).select("open_time", pl.col("close").cast(pl.Float32).alias("close_2"))
        commit.write("features", SERIES.key, rows, start=0, stop=400, version=f"core@v{number}", codec="features")
        commit.record("feature_turns", series=SERIES.key, version=f"core@v{number}")
        commit.publish()
        assert resolve_state(warehouse, SERIES, "core").version == "core@v2"
        assert resolve_state(warehouse, SERIES, "core", prefer=old.definition_hash).version == "core@v1"
        assert resolve_state(warehouse, SERIES, "core@v2", prefer=old.definition_hash).version == "core@v2"
        assert resolve_state(warehouse, SERIES, "core", prefer="0" * 64).version == "core@v2"
