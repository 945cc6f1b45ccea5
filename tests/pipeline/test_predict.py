import json
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from mmf.errors import CallError, DataError
from mmf.features.registry import feature_set
from mmf.pipeline.artifacts import RunArtifacts
from mmf.pipeline.build import build_features
from mmf.pipeline.config import TrainConfig
from mmf.pipeline.ingest import ingest
from mmf.pipeline.predict import LoadedRun, predict
from mmf.pipeline.run import run
from mmf.pipeline.state import resolve_state
from tests.pipeline.sources import SERIES, ListSource, walk
from warehouse import Warehouse

N_BARS = 2_700
HOLE = 2_500
CORE = feature_set("core")


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Warehouse, RunArtifacts]]:
    folder = tmp_path_factory.mktemp("predicted")
    with Warehouse.open(folder / "w", create=True) as warehouse:
        bars = walk(0, N_BARS).filter(~pl.int_range(pl.len()).is_between(HOLE, HOLE + 40))
        ingest(warehouse, ListSource((bars,)), SERIES)
        build_features(warehouse, SERIES, CORE)
        _, saved = run(
            warehouse, resolve_state(warehouse, SERIES, "core"), TrainConfig(days=None), artifacts=folder / "artifacts"
        )
        yield warehouse, saved


@pytest.fixture(scope="module")
def loaded(stored: tuple[Warehouse, RunArtifacts]) -> LoadedRun:
    return LoadedRun.load(stored[1].folder)


def said(warehouse: Warehouse, loaded: LoadedRun, **asked: object) -> pl.DataFrame:
    with warehouse.pin() as snapshot:
        return predict(snapshot, loaded, **asked)


def judged(saved: RunArtifacts) -> pl.DataFrame:
    return pl.read_parquet(saved.folder / "predictions.parquet").drop("label")


def alike(ours: pl.DataFrame, theirs: pl.DataFrame) -> None:
    """Convolutions over stretches of other lengths differ in the last bits of float32."""
    columns = [name for name in theirs.columns if name in ours.columns]
    assert len(columns) == len(theirs.columns)
    assert_frame_equal(ours.select(columns), theirs, rel_tol=1e-5, abs_tol=1e-6)


def test_a_range_is_what_the_run_itself_predicted(stored: tuple[Warehouse, RunArtifacts], loaded: LoadedRun) -> None:
    warehouse, saved = stored
    expected = judged(saved)
    found = said(warehouse, loaded, start=expected["open_time"][0])
    alike(found, expected)
    assert (found["is_long"] == (found["probability"] > saved.content["thresholds"]["mixture"])).all()
    assert found.columns[:4] == ["open_time", "symbol", "close", "probability"]


@pytest.mark.parametrize("last", [1, 3, 200])
def test_the_newest_bars_are_those_of_the_range_whatever_holes_lie_before(
    stored: tuple[Warehouse, RunArtifacts], loaded: LoadedRun, last: int
) -> None:
    warehouse, saved = stored
    alike(said(warehouse, loaded, last=last), judged(saved).tail(last))


def test_each_bar_alone_is_what_it_is_among_others(stored: tuple[Warehouse, RunArtifacts], loaded: LoadedRun) -> None:
    warehouse, saved = stored
    expected = judged(saved)
    for place in (0, 120, expected.height - 1):
        time = expected["open_time"][place]
        alike(said(warehouse, loaded, start=time, stop=time + timedelta(hours=1)), expected[place : place + 1])


def test_the_first_bars_are_marked_as_padded(stored: tuple[Warehouse, RunArtifacts], loaded: LoadedRun) -> None:
    warehouse, _ = stored
    times = walk(0, N_BARS)["open_time"]
    found = said(warehouse, loaded, start=times[0], stop=times[400])
    assert found["is_padded"].sum() == loaded.reach
    assert not found["is_warm"].any()


def test_a_new_bar_is_predicted_without_training_anything(
    stored: tuple[Warehouse, RunArtifacts], loaded: LoadedRun
) -> None:
    warehouse, saved = stored
    ingest(warehouse, ListSource((walk(N_BARS, 2),)), SERIES)
    build_features(warehouse, SERIES, CORE)
    found = said(warehouse, loaded, last=3)
    assert found["open_time"].to_list() == walk(N_BARS - 1, 3)["open_time"].to_list()
    alike(found[:1], judged(saved).tail(1))


def test_impossible_ranges_are_refused(stored: tuple[Warehouse, RunArtifacts], loaded: LoadedRun) -> None:
    warehouse, _ = stored
    first = datetime(2030, 1, 1, tzinfo=UTC)
    with pytest.raises(CallError, match="ask for one bar at least"):
        said(warehouse, loaded, last=0)
    with pytest.raises(CallError, match="ask for one bar at least"):
        said(warehouse, loaded, start=first, stop=first)
    with pytest.raises(DataError, match="has no bar from 2030"):
        said(warehouse, loaded, start=first)


def test_a_run_that_was_tampered_with_is_refused(stored: tuple[Warehouse, RunArtifacts], tmp_path: Path) -> None:
    folder = tmp_path / "run"
    shutil.copytree(stored[1].folder, folder)
    card = json.loads((folder / "card.json").read_text())
    (folder / "card.json").write_text(json.dumps(card | {"run_id": "another"}))
    with pytest.raises(DataError, match="belongs to another run"):
        LoadedRun.load(folder)
    (folder / "card.json").write_text("[]")
    with pytest.raises(DataError, match="no run whose card is readable"):
        LoadedRun.load(folder)
    (folder / "card.json").write_text(json.dumps(card))
    (folder / "card.json").write_text(json.dumps(card | {"definition_hash": "0" * 64}))
    with pytest.raises(DataError, match=r"model in .* belongs to another run"):
        LoadedRun.load(folder)
    (folder / "card.json").write_text(json.dumps(card | {"table_state": "core@v1@S99"}))
    with pytest.raises(DataError, match=r"refinery in .* belongs to another run"):
        LoadedRun.load(folder)
    (folder / "card.json").write_text(json.dumps(card))
    assert LoadedRun.load(folder).threshold == card["thresholds"]["mixture"]
    model = next((folder / "model").rglob("*gate*.safetensors"))
    model.write_bytes(model.read_bytes()[:-1] + b"x")
    with pytest.raises(DataError, match="was altered"):
        LoadedRun.load(folder)


def test_a_model_brought_to_another_warehouse_finds_its_definitions_under_their_number_there(
    loaded: LoadedRun, tmp_path: Path
) -> None:
    with Warehouse.open(tmp_path / "w", create=True) as other:
        ingest(other, ListSource((walk(0, 700),)), SERIES)
        with pytest.raises(DataError, match=r"this warehouse has none\. Run: mmf features build"):
            loaded.named_by(other)
        other.register_version("core", "0" * 64, [])  # other definitions have the number 1 here
        build_features(other, SERIES, CORE)
        here = loaded.named_by(other)
        assert (loaded.version, here.version) == ("core@v1", "core@v2")
        assert said(other, here, last=2)["open_time"].to_list() == walk(698, 2)["open_time"].to_list()
