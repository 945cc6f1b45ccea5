from collections.abc import Mapping
from pathlib import Path

import polars as pl
import pytest

from mmf.errors import DataError
from mmf.evaluation.replays import Replay
from mmf.features.registry import UserFeatures, feature_set
from mmf.pipeline.artifacts import save_run
from mmf.pipeline.build import build_features
from mmf.pipeline.ingest import ingest
from mmf.pipeline.replay import replay
from mmf.pipeline.state import resolve_state
from mmf.pipeline.train import train
from mmf.scheduler import SchedulerMemory
from tests.pipeline.finished_runs import COLUMNS, CONFIG, USER, ClosedSource, Place, finished, rewrite
from tests.pipeline.sources import SERIES, walk
from warehouse import Warehouse

MEMORY = SchedulerMemory((0.5, 0.9))  # so unstable that it asks for more effort
RESULTS = ["training rows", "judged rows", "selection", "refined rows", "effort", "thresholds", "predictions"]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Place:
    return finished(tmp_path_factory.mktemp("replayed") / "run", memory=MEMORY)


@pytest.fixture
def place(run: Place, tmp_path: Path) -> Place:
    """A copy to be tampered with."""
    return run.copy(tmp_path / "copy")


def done_again(place: Place, *, user: UserFeatures = USER) -> Replay:
    with place.opened() as warehouse:
        return replay(warehouse, place.folder, user=user)


def by_status(found: Replay) -> Mapping[str, list[str]]:
    statuses = ("same", "differs", "not compared")
    return {status: [line.what for line in found.lines if line.status == status] for status in statuses}


def detail(found: Replay, what: str) -> str:
    return next(line.detail for line in found.lines if line.what == what)


def parquet_files(place: Place) -> list[Path]:
    return sorted(place.root.rglob("*.parquet"))


def test_an_untouched_run_comes_out_the_same_though_bars_were_revised_since(place: Place) -> None:
    with place.opened() as warehouse:
        revised = walk(0, 2_710).with_columns(pl.col("close") * 1.0005)
        assert ingest(warehouse, ClosedSource((revised,)), SERIES).n_revised > 2_000
        build_features(warehouse, SERIES, feature_set("few", USER))
    before = parquet_files(place)
    found = done_again(place)
    assert found.answer == "same"
    assert [line.what for line in found.lines] == ["run card", "predictions file", "bars", "features", *RESULTS]
    assert found.causes == ()
    assert parquet_files(place) == before  # nothing was written


def test_a_refinery_that_was_taken_over_comes_out_the_same_where_it_is_fitted(place: Place) -> None:
    with place.opened() as warehouse:
        state = resolve_state(warehouse, SERIES, place.card["table_state"])
        result = train(warehouse, state, CONFIG, user=USER, artifacts=place.artifacts)
        assert result.refined.is_reused
        again = Place(place.root, save_run(warehouse, result, place.artifacts).run_id)
    assert done_again(again).answer == "same"


def test_without_what_the_scheduler_remembered_the_effort_is_another_one(place: Place) -> None:
    assert place.card["effort"]["epochs"] > 25
    place.write_card({"scheduler_memory": SchedulerMemory().as_dict()})
    found = done_again(place)
    assert {"run card", "effort"} <= set(by_status(found)["differs"])
    assert "scheduler_memory" in detail(found, "run card")
    effort = next(line for line in found.lines if line.what == "effort")
    assert effort.found == "240 estimators, 25 epochs"  # what the market alone asks for


def test_a_stored_feature_that_is_not_what_its_bars_give_is_named(place: Place) -> None:
    rewrite(place.stored_file("features", version="few@v1"), rsi_14=pl.col("rsi_14") + 1)
    found = done_again(place)
    assert by_status(found)["differs"] == ["features"]
    assert "1 of 8 stored columns are not what the bars give: rsi_14" in detail(found, "features")


def test_bars_that_were_altered_on_disk_are_found_and_change_all_that_follows(place: Place) -> None:
    rewrite(place.stored_file("bars", place=4), close=pl.col("close") * 1.01)
    found = done_again(place)
    assert found.answer == "differs"
    assert by_status(found)["differs"][:3] == ["bars", "features", "training rows"]
    assert "altered since they were committed: " in detail(found, "bars")


def test_tampered_predictions_are_found_and_named(place: Place) -> None:
    rewrite(place.folder / "predictions.parquet", probability=pl.col("probability") * 0.5 + 0.5)
    found = done_again(place)
    assert by_status(found)["differs"] == ["predictions file"]


def test_other_columns_than_the_card_says_are_named(place: Place) -> None:
    place.write_card({"config": place.card["config"] | {"lags": [1, 3]}})
    found = done_again(place)
    assert "config" in detail(found, "run card")
    assert "_lag_2" in detail(found, "selection").partition("only now")[0]
    assert "_lag_3" in detail(found, "selection").partition("only now")[2]


def test_a_snapshot_that_is_gone_leaves_what_the_folder_tells(place: Place) -> None:
    place.write_card({"table_state": "few@v1@S99", "environment": {"packages": {"polars": "1.0"}}})
    found = done_again(place)
    assert found.answer == "differs"  # the card is not the one that was recorded
    assert by_status(found)["same"] == ["predictions file"]
    assert by_status(found)["not compared"] == ["bars", "features", *RESULTS]
    assert any("S99" in cause for cause in found.causes)
    assert any(cause.startswith("polars was 1.0, here it is") for cause in found.causes)


def test_definitions_whose_code_is_gone_are_named_and_the_stored_features_used(place: Place) -> None:
    found = done_again(place, user=UserFeatures(None, (("few", (*COLUMNS, "rsi_21")),)))
    assert found.answer == "incomplete"
    assert by_status(found)["not compared"] == ["features"]
    assert "few@v1 was registered on" in detail(found, "features")
    assert "added since: rsi_21" in detail(found, "features")


def test_another_warehouse_than_the_runs_own_is_told(run: Place, tmp_path: Path) -> None:
    with Warehouse.open(tmp_path / "other", create=True) as other:
        found = replay(other, run.folder, user=USER)
    assert found.answer == "incomplete"
    assert "Was it trained in another? Name it: --warehouse DIR" in detail(found, "run card")


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"series": ["a", "b"]}, "trained on 2 series at once; only runs of one series"),
        ({"hashes": None}, "lacks hashes, so it cannot be done again"),
        ({"config": {"colour": "red"}}, "'colour', which this code does not know"),
    ],
)
def test_what_cannot_be_done_again_is_refused(place: Place, changed: dict, told: str) -> None:
    place.write_card(changed)
    with pytest.raises(DataError, match=told):
        done_again(place)
