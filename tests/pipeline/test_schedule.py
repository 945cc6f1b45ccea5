import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from mmf.errors import DataError
from mmf.features.registry import feature_set
from mmf.pipeline.artifacts import RunArtifacts
from mmf.pipeline.build import build_features
from mmf.pipeline.config import TrainConfig
from mmf.pipeline.ingest import ingest
from mmf.pipeline.predict import LoadedRun
from mmf.pipeline.run import run
from mmf.pipeline.schedule import FOLDER, Advice, advise, read_memory, remember
from mmf.pipeline.stages import RunResult
from mmf.pipeline.state import resolve_state
from tests.pipeline.sources import SERIES, ListSource, walk
from warehouse import Warehouse

N_BARS = 6_500  # 30 horizons of judged rows, which a rolling Sharpe ratio needs
CONFIG = TrainConfig(days=None, experts=("range", "stress"))


@dataclass
class Trained:
    warehouse: Warehouse
    artifacts: Path
    result: RunResult
    saved: RunArtifacts

    def asked(self, config: TrainConfig = CONFIG) -> Advice:
        state = resolve_state(self.warehouse, SERIES, "core")
        return advise(self.warehouse, state, config, artifacts=self.artifacts)

    @property
    def file(self) -> Path:
        (path,) = (self.artifacts / FOLDER).glob("*.json")
        return path


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trained]:
    folder = tmp_path_factory.mktemp("scheduled")
    with Warehouse.open(folder / "w", create=True) as warehouse:
        ingest(warehouse, ListSource((walk(0, N_BARS),)), SERIES)
        build_features(warehouse, SERIES, feature_set("core"))
        state = resolve_state(warehouse, SERIES, "core")
        found = Trained(warehouse, folder / "artifacts", None, None)
        assert found.asked().reasons == ("no run with this configuration yet",)
        found.result, found.saved = run(warehouse, state, CONFIG, artifacts=found.artifacts)
        yield found


def test_what_was_just_trained_is_not_due(trained: Trained) -> None:
    advice = trained.asked()
    assert not advice.is_due
    assert advice.run_id == trained.saved.run_id
    assert "rolling Sharpe ratio is at" in advice.reasons[0]
    assert advice.reasons[1] == f"0 bars have come since {trained.saved.run_id}"


def test_the_seed_is_no_other_configuration_and_all_else_is(trained: Trained) -> None:
    assert not trained.asked(replace(CONFIG, seed=5)).is_due
    other = replace(CONFIG, test_share=0.3)
    assert trained.asked(other) == Advice(is_due=True, reasons=("no run with this configuration yet",))
    for path in (trained.artifacts / FOLDER).glob("*.json"):
        if json.loads(path.read_text())["memory"]["reference_sharpe"] is None:
            path.unlink()  # that of the other configuration


def test_new_bars_are_judged_and_a_fallen_ratio_makes_it_due(trained: Trained) -> None:
    ingest(trained.warehouse, ListSource((walk(N_BARS, 10),)), SERIES)
    build_features(trained.warehouse, SERIES, feature_set("core"))
    assert trained.asked().reasons[1].startswith("10 bars have come")
    content = json.loads(trained.file.read_text())
    reference = content["memory"]["reference_sharpe"]
    content["memory"]["reference_sharpe"] = reference + 2 * abs(reference) + 1
    trained.file.write_text(json.dumps(content))
    advice = trained.asked()
    assert advice.is_due
    assert "is down to" in advice.reasons[0]
    content["memory"]["reference_sharpe"] = reference
    trained.file.write_text(json.dumps(content))


def test_memory_and_reasons_survive_on_disk(trained: Trained) -> None:
    memory = read_memory(trained.artifacts, [SERIES], CONFIG)
    assert memory.validation_losses == (trained.result.judged.scores["mixture"].log_loss,)
    assert memory.reference_sharpe is not None
    log = json.loads(trained.file.read_text())["log"]
    assert [line["is_due"] for line in log[:2]] == [True, True]
    assert log[0]["reasons"] == ["no run with this configuration yet"]
    assert all(line["at"].endswith("Z") for line in log)


def test_losses_are_remembered_and_the_oldest_forgotten(trained: Trained) -> None:
    before = trained.file.read_text()
    for _ in range(8):
        memory = remember(trained.artifacts, trained.result, trained.saved.run_id)
    assert len(memory.validation_losses) == 6
    trained.file.write_text(before)


@pytest.mark.parametrize(
    ("run_id", "reference"),
    [(None, None), ("20200101T000000-abcdef", 99.0)],
    ids=["there was none yet", "it was another model's: the run was recorded and not remembered"],
)
def test_a_reference_that_is_not_the_models_own_is_measured_again(
    trained: Trained, run_id: str | None, reference: float | None
) -> None:
    before = trained.file.read_text()
    content = json.loads(before)
    content["run_id"] = run_id or content["run_id"]
    own, content["memory"]["reference_sharpe"] = content["memory"]["reference_sharpe"], reference
    trained.file.write_text(json.dumps(content))
    advice = trained.asked()
    trained.file.write_text(before)
    assert not advice.is_due
    assert f"(it was {own:.3f})" in advice.reasons[0]


def test_an_answer_does_not_undo_what_a_training_told_meanwhile(
    trained: Trained, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = trained.file.read_text()
    content = json.loads(before)
    content["memory"]["validation_losses"] = [0.1, 0.2]

    def at_last(path: Path) -> LoadedRun:
        trained.file.write_text(json.dumps(content))  # as a training does that ends now
        return load(path)

    load = LoadedRun.load
    monkeypatch.setattr(LoadedRun, "load", at_last)
    trained.asked()
    told = read_memory(trained.artifacts, [SERIES], CONFIG)
    trained.file.write_text(before)
    assert told.validation_losses == (0.1, 0.2)


def test_a_model_that_is_gone_is_due(trained: Trained) -> None:
    folder = trained.saved.folder
    aside = folder.with_name("aside")
    folder.rename(aside)
    advice = trained.asked()
    aside.rename(folder)
    assert advice.is_due
    assert "its model cannot be read" in advice.reasons[0]


@pytest.mark.parametrize("content", ["", "[]", '{"memory": {}, "log": []}', '{"memory": {"x": 1}, "log": []}'])
def test_a_memory_that_is_not_readable_says_what_to_do(trained: Trained, content: str) -> None:
    before = trained.file.read_text()
    trained.file.write_text(content)
    try:
        with pytest.raises(DataError, match=r"scheduler's memory.*Delete it and train"):
            trained.asked()
    finally:
        trained.file.write_text(before)
