import sqlite3
from pathlib import Path

import pytest

import sql
from tests.warehouse.frames import closes, publish_bars
from warehouse import Warehouse
from warehouse.catalog import CATALOG_NAME
from warehouse.database import APPLICATION_ID
from warehouse.errors import CatalogError, InvalidNameError, NotFoundError, WarehouseError


def _run(path: Path, *statements: str) -> None:
    connection = sqlite3.connect(path, isolation_level=None)
    for statement in statements:
        connection.execute(statement)
    connection.close()


def _back_to_the_first_schema(path: Path) -> None:
    """Write the catalog anew with the columns that the first schema had."""
    newer = path.rename(path.with_suffix(".newer"))
    connection = sqlite3.connect(path, isolation_level=None)
    connection.executescript(sql.read("schema/001_catalog"))
    tables = [row[0] for row in connection.execute("select name from sqlite_master where type = 'table'")]
    connection.execute("attach ? as newer", (str(newer),))
    for table in tables:
        columns = ", ".join(row[1] for row in connection.execute(f"pragma main.table_info({table})"))
        connection.execute(f"insert into main.{table} ({columns}) select {columns} from newer.{table}")
    connection.close()
    newer.unlink()
    _run(
        path,
        "delete from migrations where number > 1",
        "pragma user_version = 1",
        f"pragma application_id = {APPLICATION_ID}",
    )


def test_what_does_not_exist_is_named_with_the_command_that_creates_it(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=r"no warehouse at .*nothing.*mmf ingest"):
        Warehouse.open(tmp_path / "nothing")
    assert list(tmp_path.iterdir()) == []


def test_create_makes_an_empty_state_and_opening_twice_changes_nothing(tmp_path: Path) -> None:
    for _ in range(2):
        with Warehouse.open(tmp_path / "a" / "b", create=True) as warehouse, warehouse.pin() as snapshot:
            assert (snapshot.id, snapshot.files("bars"), warehouse.series()) == (0, [], [])
            assert [info.message for info in warehouse.snapshots()] == ["created"]


def test_a_file_is_not_a_directory(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("")
    with pytest.raises(CatalogError, match="is not a directory"):
        Warehouse.open(path, create=True)


@pytest.mark.parametrize("create", [False, True])
def test_a_directory_of_others_is_left_alone(tmp_path: Path, create: bool) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(CatalogError, match=r"is not a warehouse: it holds files"):
        Warehouse.open(tmp_path, create=create)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


@pytest.mark.parametrize("read_only", [None, True])
def test_a_catalog_that_is_no_database_is_said_to_be_damaged(tmp_path: Path, read_only: bool | None) -> None:
    (tmp_path / CATALOG_NAME).write_bytes(b"not a database at all" * 1000)
    with pytest.raises(CatalogError, match="is damaged"):
        Warehouse.open(tmp_path, read_only=read_only)


def test_a_page_damaged_in_the_middle_is_said_when_it_is_read(tmp_path: Path) -> None:
    with Warehouse.open(tmp_path, create=True) as warehouse:
        publish_bars(warehouse, 0, 1)
    data = bytearray((tmp_path / CATALOG_NAME).read_bytes())
    data[4096:] = bytes(len(data) - 4096)
    (tmp_path / CATALOG_NAME).write_bytes(data)
    with pytest.raises(CatalogError, match="is damaged"):
        Warehouse.open(tmp_path)


@pytest.mark.parametrize("read_only", [None, True])
def test_a_database_of_another_program_is_not_touched(tmp_path: Path, read_only: bool | None) -> None:
    _run(tmp_path / CATALOG_NAME, "create table songs (title text)")
    with pytest.raises(CatalogError, match="is not the catalog of a warehouse"):
        Warehouse.open(tmp_path, create=True, read_only=read_only)


@pytest.mark.parametrize("read_only", [None, True])
def test_a_newer_schema_asks_for_a_newer_version(tmp_path: Path, read_only: bool | None) -> None:
    Warehouse.open(tmp_path, create=True).close()
    _run(tmp_path / CATALOG_NAME, "pragma user_version = 99")
    with pytest.raises(CatalogError, match=rf"schema 99, and this code knows 1 to {len(sql.names('schema'))}\."):
        Warehouse.open(tmp_path, read_only=read_only)


def test_a_creation_that_was_cut_short_is_finished(tmp_path: Path) -> None:
    (tmp_path / CATALOG_NAME).touch()
    with Warehouse.open(tmp_path) as warehouse:
        assert publish_bars(warehouse, 0, 1) == 1


def test_an_emptied_catalog_beside_data_is_not_taken_for_a_new_one(tmp_path: Path) -> None:
    with Warehouse.open(tmp_path, create=True) as warehouse:
        publish_bars(warehouse, 0, 1)
    (tmp_path / CATALOG_NAME).write_bytes(b"")
    with pytest.raises(CatalogError, match="has lost its content"):
        Warehouse.open(tmp_path, create=True)


@pytest.mark.parametrize("character", "=*?[]")
def test_a_path_that_parquet_readers_misread_is_refused(tmp_path: Path, character: str) -> None:
    with pytest.raises(InvalidNameError, match="take for a pattern or a partition"):
        Warehouse.open(tmp_path / f"x{character}y", create=True)


def test_migrations_are_recorded_and_applied_once(tmp_path: Path) -> None:
    for _ in range(2):
        with Warehouse.open(tmp_path, create=True) as warehouse:
            rows = warehouse.database.rows("select number, name from migrations")
            assert [tuple(row) for row in rows] == list(enumerate(sql.names("schema"), start=1))


def test_a_catalog_of_the_first_schema_is_brought_up_to_date(tmp_path: Path) -> None:
    with Warehouse.open(tmp_path, create=True) as warehouse:
        publish_bars(warehouse, 0, 2, price=3.0)
    _back_to_the_first_schema(tmp_path / CATALOG_NAME)
    with Warehouse.open(tmp_path) as warehouse, warehouse.pin() as snapshot:
        assert closes(snapshot) == [3.0, 3.0]
        assert [row[0] for row in warehouse.database.rows("select count(*) from absences")] == [0]


def test_every_error_is_of_one_family(tmp_path: Path) -> None:
    with pytest.raises(WarehouseError):
        Warehouse.open(tmp_path / "nothing")


def test_an_apostrophe_in_the_path_is_no_matter(tmp_path: Path) -> None:
    with Warehouse.open(tmp_path / "o'brien's data", create=True) as warehouse:
        publish_bars(warehouse, 0, 2, price=3.0)
        with warehouse.pin() as snapshot:
            assert closes(snapshot) == [3.0, 3.0]
