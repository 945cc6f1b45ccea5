import json
from pathlib import Path

import pytest

from mmf.errors import CallError, DataError
from mmf.pipeline.reports import read_run, write_comparison, write_report
from tests.report.records import card, tables

NEWEST, OLDEST = "20260202T000000-bbbbbb", "20260101T000000-aaaaaa"


def stored(artifacts: Path, run_id: str, *, with_tables: bool = True) -> Path:
    folder = artifacts / "runs" / run_id
    (folder / "tables").mkdir(parents=True)
    (folder / "card.json").write_text(json.dumps(card(run_id)), encoding="utf-8")
    if with_tables:
        for name, frame in tables().items():
            place = folder if name == "predictions" else folder / "tables"
            frame.write_parquet(place / f"{name}.parquet")
    return folder


def test_a_report_lies_in_the_folder_of_its_run(tmp_path: Path) -> None:
    folder = stored(tmp_path, OLDEST)
    path, run = write_report(folder)
    assert path == folder / "report.html"
    assert set(run.tables) == set(tables())
    text = path.read_text(encoding="utf-8")
    assert "Inconclusive: so it is." in text
    assert "Equity and drawdown" in text
    assert [one.name for one in folder.glob(".*")] == []


def test_a_table_that_is_cut_off_costs_its_own_picture_only(tmp_path: Path) -> None:
    folder = stored(tmp_path, OLDEST)
    whole = (folder / "tables/drift.parquet").read_bytes()
    (folder / "tables/drift.parquet").write_bytes(whole[: len(whole) // 2])
    run = read_run(folder)
    assert set(run.unreadable) == {"drift"}
    assert "drift" not in run.tables
    assert "equity" in run.tables


def test_epochs_of_an_older_run_come_from_its_card(tmp_path: Path) -> None:
    folder = stored(tmp_path, OLDEST, with_tables=False)
    epochs = [{"expert": "cnn", "fit": "all rows", "epoch": 1, "loss": 0.6, "validation_loss": None}]
    (folder / "card.json").write_text(json.dumps(card(epochs=epochs)), encoding="utf-8")
    assert read_run(folder).tables["epochs"].to_dicts() == epochs


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"run_id": "x"}', "\x00"])
def test_what_is_no_card_is_refused(tmp_path: Path, content: str) -> None:
    folder = stored(tmp_path, OLDEST, with_tables=False)
    (folder / "card.json").write_text(content, encoding="utf-8")
    with pytest.raises(DataError, match="is no run card"):
        read_run(folder)


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(CallError, match=r"--output .*there is no folder"):
        write_report(stored(tmp_path, OLDEST, with_tables=False), tmp_path / "absent/report.html")


def test_two_runs_share_a_page(tmp_path: Path) -> None:
    folders = [stored(tmp_path, name) for name in (OLDEST, NEWEST)]
    path, runs = write_comparison(*folders, tmp_path / "both.html")
    assert [run.run_id for run in runs] == [OLDEST, NEWEST]
    assert f"B: run {NEWEST}" in path.read_text(encoding="utf-8")
