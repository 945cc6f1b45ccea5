import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mmf.errors import LeakError
from mmf.pipeline.config import TrainConfig
from mmf.pipeline.refine import FOLDER, Refined, refine, save_refined
from mmf.pipeline.state import TableState
from mmf.rows import PHYSICS_TRIO, Rows, TrainingRows
from tests.pipeline.sources import SERIES

HOUR_MS = 3_600_000
N = 900
CONFIG = TrainConfig()
STATE = TableState(SERIES, "core@v1", 2, PHYSICS_TRIO, "0" * 64)


def training(seed: int = 0) -> TrainingRows:
    """Families of near copies, the first of which tells of the label."""
    rng = np.random.default_rng(seed)
    label = rng.integers(0, 2, N).astype(np.float64)
    causes = rng.normal(size=(N, 4))
    causes[:, 0] += label
    copies = np.repeat(causes, 5, axis=1) + 0.2 * rng.normal(size=(N, 20))
    x = np.column_stack([rng.random((N, 3)), copies]).astype(np.float32)
    open_time_ms = np.arange(N, dtype=np.int64) * HOUR_MS
    columns = (*PHYSICS_TRIO, *(f"c{i}" for i in range(20)))
    rows = Rows(open_time_ms, x, columns, label, open_time_ms + HOUR_MS)
    return TrainingRows.of(rows, known_before_ms=int(rows.label_end_ms[-1]))


ROWS = training()


@pytest.fixture(scope="module")
def artifacts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Artifacts of a run on `ROWS`."""
    root = tmp_path_factory.mktemp("artifacts")
    save_refined(refine(ROWS, ROWS.columns, STATE, CONFIG), root / FOLDER)
    return root


def again(artifacts: Path, rows: TrainingRows = ROWS, state: TableState = STATE, **options: bool) -> Refined:
    return refine(rows, rows.columns, state, CONFIG, artifacts=artifacts, **options)


def test_experts_read_the_trio_and_the_stable_latents(artifacts: Path) -> None:
    refined = refine(ROWS, ROWS.columns, STATE, CONFIG)
    assert refined.columns[:3] == PHYSICS_TRIO
    assert len(refined.columns) > 3
    applied = refined.apply(ROWS)
    assert refined.views["selected"] == refined.columns
    assert refined.views["latents"] == applied.columns
    assert set(refined.columns) < set(applied.columns)
    assert isinstance(applied, TrainingRows)
    assert np.array_equal(applied.x[:, :3], ROWS.x[:, :3])


def test_a_stored_refinery_of_the_same_rows_is_reused_and_gives_the_same_bits(artifacts: Path) -> None:
    fresh, reused = refine(ROWS, ROWS.columns, STATE, CONFIG), again(artifacts)
    assert (reused.is_reused, reused.why_not_reused) == (True, ())
    assert np.array_equal(reused.apply(ROWS).x, fresh.apply(ROWS).x, equal_nan=True)


@pytest.mark.parametrize(
    ("rows", "state", "reason"),
    [
        (ROWS, replace(STATE, snapshot=3), "fitted on table state core@v1@S2, this run reads core@v1@S3"),
        (ROWS, replace(STATE, definition_hash="1" * 64), "definitions of its features"),
        (training(1), STATE, "labels of its training rows"),
        (ROWS.take(np.arange(N - 9)), STATE, "training window"),
        (ROWS.select(ROWS.columns[:-1]), STATE, "its 20 columns"),
    ],
)
def test_a_refinery_of_anything_else_is_fitted_anew_and_the_reason_is_told(
    artifacts: Path, rows: TrainingRows, state: TableState, reason: str
) -> None:
    if "20 columns" in reason:
        reason = f"its {len(ROWS.columns)} columns"
    refined = again(artifacts, rows, state)
    assert not refined.is_reused
    assert reason in " ".join(refined.why_not_reused)


def test_a_new_fit_can_be_asked_for(artifacts: Path) -> None:
    assert again(artifacts, must_fit=True).why_not_reused == ("a new fit was asked for",)


def test_a_damaged_refinery_is_fitted_anew(artifacts: Path, tmp_path: Path) -> None:
    save_refined(refine(ROWS, ROWS.columns, STATE, CONFIG), tmp_path / FOLDER)
    manifest = tmp_path / FOLDER / "manifest.json"
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"foreign": 1}))
    refined = again(tmp_path)
    assert not refined.is_reused
    assert refined.flex is not None
    assert len(refined.why_not_reused) == 1


def test_without_artifacts_there_is_nothing_to_explain(tmp_path: Path) -> None:
    assert again(tmp_path / "none").why_not_reused == ()


def test_without_a_refinery_the_columns_stay_as_they_are() -> None:
    refined = refine(ROWS, ROWS.columns[:9], STATE, replace(CONFIG, use_tensor_flex=False))
    assert (refined.flex, refined.columns) == (None, ROWS.columns[:9])
    assert np.array_equal(refined.apply(ROWS).x, ROWS.x[:, :9])


def test_rows_that_were_not_admitted_to_training_raise() -> None:
    rows = Rows(ROWS.open_time_ms, ROWS.x, ROWS.columns, ROWS.label, ROWS.label_end_ms)
    with pytest.raises(LeakError, match="training rows only"):
        refine(rows, rows.columns, STATE, CONFIG)  # type: ignore[arg-type] - the point of the test
