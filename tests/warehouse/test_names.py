import pytest

from tests.warehouse.frames import KEY, bars
from warehouse import Warehouse
from warehouse.errors import InvalidNameError
from warehouse.names import checked_key, checked_set, checked_table, checked_tag, checked_version

HOSTILE = ["", "..", "../x", "a/b", "a b", "a'b", 'a"b', "a;drop", "a\x00b", "a\n", "=", "é"]


@pytest.mark.parametrize("name", [*HOSTILE, "Bars", "9bars", "locks", "x" * 80])
def test_a_table_name_is_strict(name: str) -> None:
    with pytest.raises(InvalidNameError):
        checked_table(name)


@pytest.mark.parametrize("name", [*HOSTILE[1:], "core", "core@v0", "core@v1/..", "core@v1\n"])
def test_a_version_is_strict(name: str) -> None:
    with pytest.raises(InvalidNameError):
        checked_version(name)


@pytest.mark.parametrize("name", [*HOSTILE, "core_lagged", "Core"])
def test_a_feature_set_is_strict(name: str) -> None:
    with pytest.raises(InvalidNameError):
        checked_set(name)


@pytest.mark.parametrize("name", [*HOSTILE, "-x", "x" * 300])
def test_a_tag_is_strict(name: str) -> None:
    with pytest.raises(InvalidNameError):
        checked_tag(name)


@pytest.mark.parametrize("place", range(4))
@pytest.mark.parametrize("part", [*HOSTILE, "x%2Fy"])
def test_each_part_of_a_key_is_strict(place: int, part: str) -> None:
    parts = list(KEY)
    parts[place] = part
    with pytest.raises(InvalidNameError):
        checked_key(tuple(parts))


def test_a_key_has_four_parts() -> None:
    with pytest.raises(InvalidNameError, match="3 parts"):
        checked_key(("bybit", "linear", "BTCUSDT"))


def test_no_file_leaves_the_warehouse(warehouse: Warehouse) -> None:
    before = sorted(warehouse.root.parent.rglob("*"))
    for table, key, version in (("../x", KEY, ""), ("bars", ("..", "a", "B", "60"), ""), ("bars", KEY, "../x")):
        with pytest.raises(InvalidNameError):
            warehouse.begin().write(table, key, bars(range(1)), start=0, stop=1, version=version)
    assert sorted(warehouse.root.parent.rglob("*")) == before
