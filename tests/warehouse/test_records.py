from datetime import UTC, datetime

import pytest

from tests.warehouse.frames import START_MS, Clock, publish_bars
from warehouse import Warehouse
from warehouse.errors import InvalidNameError, NotFoundError


def _save(warehouse: Warehouse, run_id: str, *, status: str = "done", table_state: str = "core@v1@S1") -> None:
    warehouse.save_run(
        run_id, kind="run", status=status, table_state=table_state, config={"lags": [1, 2]}, card={"auc": 0.5}
    )


def test_the_same_definitions_are_the_same_version(warehouse: Warehouse) -> None:
    assert warehouse.register_version("core", "aa", [{"name": "rsi_14"}]) == 1
    assert warehouse.register_version("core", "bb", [{"name": "rsi_13"}]) == 2
    assert warehouse.register_version("other", "aa", []) == 1
    assert warehouse.register_version("core", "aa", [{"name": "rsi_14"}]) == 1
    assert [version.name for version in warehouse.versions()] == ["core@v1", "core@v2", "other@v1"]
    first = warehouse.versions("core")[0]
    assert (first.definition_hash, first.definitions) == ("aa", [{"name": "rsi_14"}])
    assert first.created_at == datetime.fromtimestamp(START_MS / 1000, tz=UTC)
    assert warehouse.versions("none") == []


def test_a_set_is_named_strictly(warehouse: Warehouse) -> None:
    with pytest.raises(InvalidNameError, match="feature set"):
        warehouse.register_version('core"; drop', "aa", [])


def test_a_run_is_updated_in_place(warehouse: Warehouse, clock: Clock) -> None:
    publish_bars(warehouse, 0, 1)
    _save(warehouse, "a", status="running")
    clock.advance(5)
    _save(warehouse, "b")
    _save(warehouse, "a")
    run = warehouse.run("a")
    assert (run.status, run.config, run.card) == ("done", {"lags": [1, 2]}, {"auc": 0.5})
    assert (run.updated_at - run.created_at).total_seconds() == 5
    assert [run.run_id for run in warehouse.runs()] == ["b", "a"]


def test_an_unknown_run_is_said(warehouse: Warehouse) -> None:
    with pytest.raises(NotFoundError, match="no run 'zzz'"):
        warehouse.run("zzz")


def test_runs_and_tags_name_only_snapshots_that_exist(warehouse: Warehouse) -> None:
    with pytest.raises(NotFoundError, match="run a names S1, which"):
        _save(warehouse, "a")
    with pytest.raises(NotFoundError, match="tag t names S7"):
        warehouse.tag("t", 7)
    _save(warehouse, "a", table_state="")
    assert warehouse.run("a").table_state == ""


def test_a_tag_moves(warehouse: Warehouse) -> None:
    publish_bars(warehouse, 0, 1)
    warehouse.tag("paper", 0)
    warehouse.tag("paper", 1)
    assert warehouse.tags() == {"paper": 1}
    with pytest.raises(InvalidNameError):
        warehouse.tag("a b", 1)
