from pathlib import Path

import duckdb
import pytest

from tests.warehouse.frames import KEY, Clock, features, publish_bars
from warehouse import Warehouse
from warehouse.errors import CatalogError, NotFoundError, ReadOnlyError
from warehouse.export import export


def _export(warehouse: Warehouse, path: Path) -> str:
    with warehouse.pin() as snapshot:
        return export(snapshot, path, tag=warehouse.tag, lags=(1,))


def _ask(path: Path, query: str) -> list[tuple[object, ...]]:
    with duckdb.connect(path, read_only=True) as connection:
        return connection.sql(query).fetchall()


def test_an_export_is_read_by_any_client_and_keeps_its_snapshot(
    warehouse: Warehouse, tmp_path: Path, clock: Clock
) -> None:
    publish_bars(warehouse, 0, 3, price=1.0)
    commit = warehouse.begin()
    commit.write("features", KEY, features(range(3)), start=0, stop=3, version="core@v1", codec="features")
    commit.publish()
    path = tmp_path / "my export.duckdb"
    tag = _export(warehouse, path)
    publish_bars(warehouse, 0, 3, price=2.0)
    clock.advance(1000)
    warehouse.expire(0)
    warehouse.collect(grace_s=0)
    assert warehouse.tags() == {tag: 2}
    assert tag.startswith("export:my_export-")
    assert _ask(path, "select distinct symbol, close from bars") == [("BTCUSDT", 1.0)]
    assert _ask(path, "select count(f_0_lag_1) from features.core_lagged") == [(2,)]
    assert _ask(path, "select max(snapshot_id) from snapshots") == [(2,)]
    assert _ask(path, "select count(*) from gaps") == [(0,)]
    assert _ask(path, "select warehouse, snapshot_id, tag from warehouse_export") == [(str(warehouse.root), 2, tag)]


def test_an_export_again_moves_the_tag(warehouse: Warehouse, tmp_path: Path) -> None:
    path = tmp_path / "export.duckdb"
    publish_bars(warehouse, 0, 1)
    _export(warehouse, path)
    publish_bars(warehouse, 1, 2)
    tag = _export(warehouse, path)
    assert warehouse.tags() == {tag: 2}
    assert _ask(path, "select count(*) from bars") == [(2,)]
    assert _export(warehouse, tmp_path / "other" / ".." / "b.duckdb") != tag
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b.duckdb", "data", "export.duckdb"]


@pytest.mark.parametrize("kind", ["text", "duckdb"])
def test_a_file_of_others_is_not_overwritten(warehouse: Warehouse, tmp_path: Path, kind: str) -> None:
    path = tmp_path / "mine.duckdb"
    if kind == "text":
        path.write_text("mine")
    else:
        duckdb.connect(path).execute("create table songs as select 1").close()
    before = path.read_bytes()
    with pytest.raises(CatalogError, match="is not an export of a warehouse"):
        _export(warehouse, path)
    assert path.read_bytes() == before
    assert warehouse.tags() == {}


def test_a_folder_must_exist(warehouse: Warehouse, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="nowhere is not a directory"):
        _export(warehouse, tmp_path / "nowhere" / "export.duckdb")


def test_a_warehouse_open_for_reading_cannot_keep_the_snapshot_of_an_export(tmp_path: Path) -> None:
    Warehouse.open(tmp_path / "data", create=True).close()
    with Warehouse.open(tmp_path / "data", read_only=True) as warehouse, pytest.raises(ReadOnlyError):
        _export(warehouse, tmp_path / "export.duckdb")
    assert not (tmp_path / "export.duckdb").exists()
