import re
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from mmf.bars import Series
from mmf.features.registry import FeatureSet, feature_set
from mmf.pipeline.lineage import changed_definitions, code_matches, needed_code, register, registered
from tests.pipeline.feature_tables import publish, table
from warehouse import SeriesKey, Version, Warehouse

CORE = feature_set("core")


def newest(warehouse: Warehouse) -> Version:
    return warehouse.versions()[-1]


def test_the_same_definitions_are_the_same_version(warehouse: Warehouse) -> None:
    assert [register(warehouse, CORE), register(warehouse, CORE)] == ["core@v1", "core@v1"]
    assert len(warehouse.versions()) == 1


def test_a_version_tells_what_registered_it(warehouse: Warehouse) -> None:
    register(warehouse, CORE)
    version = newest(warehouse)
    assert {"numpy", "polars", "numba", "llvmlite"} <= set(version.packages)
    assert version.definition_hash == CORE.definition_hash
    assert version.definitions == CORE.definitions()
    assert version.predecessor is None


def test_other_definitions_are_the_next_version_for_good(warehouse: Warehouse) -> None:
    register(warehouse, CORE)
    first = newest(warehouse)
    smaller = FeatureSet("core", CORE.features[1:])
    assert register(warehouse, smaller) == "core@v2"
    assert newest(warehouse).predecessor == "core@v1"
    assert register(warehouse, CORE) == "core@v1"  # the code is back, and so is its version
    assert warehouse.versions()[0] == first


def test_the_code_at_hand_is_that_of_its_own_version_alone(warehouse: Warehouse) -> None:
    register(warehouse, CORE)
    register(warehouse, FeatureSet("core", CORE.features[1:]))
    assert [code_matches(version) for version in warehouse.versions()] == [True, False]


def test_a_version_of_a_set_that_is_gone_has_no_code(warehouse: Warehouse) -> None:
    register(warehouse, FeatureSet("gone", CORE.features))
    assert not code_matches(newest(warehouse))
    assert "there is no feature set gone now" in needed_code(newest(warehouse))


def test_the_code_that_a_version_needs_is_said(warehouse: Warehouse) -> None:
    register(warehouse, FeatureSet("core", (*CORE.features[1:], replace(CORE.features[0], name="mine"))))
    said = needed_code(newest(warehouse))
    assert re.match(r"core@v1 was registered on \d{4}-\d\d-\d\d \d\d:\d\d UTC by .*numpy \d", said)
    assert "added since: log_return" in said
    assert "removed since: mine" in said


def test_many_changes_are_cut_short(warehouse: Warehouse) -> None:
    register(warehouse, FeatureSet("core", CORE.features[:2]))
    assert re.search(r"added since: (\w+, ){4}\w+ and \d+ more", needed_code(newest(warehouse)))


def test_another_order_is_another_version(warehouse: Warehouse) -> None:
    register(warehouse, FeatureSet("core", CORE.features[::-1]))
    assert "its columns stand in another order" in needed_code(newest(warehouse))


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ({"a": "1"}, {"a": "1"}, ([], [], [])),
        ({"a": "1", "b": "1"}, {"b": "2", "c": "1"}, (["c"], ["a"], ["b"])),
    ],
)
def test_definitions_are_compared_by_hash(old: dict, new: dict, expected: tuple) -> None:
    found = changed_definitions(*([{"name": n, "hash": h} for n, h in part.items()] for part in (old, new)))
    assert tuple(found.values()) == expected


def failing(warehouse: Warehouse, *sets: FeatureSet, meanwhile: Callable[[], object] = lambda: None) -> None:
    with registered(warehouse, sets) as names:
        assert names == [f"core@v{number}" for number in range(1, len(sets) + 1)]
        meanwhile()
        raise ZeroDivisionError


def test_a_build_that_fails_before_its_first_chunk_uses_up_no_number(warehouse: Warehouse) -> None:
    register(warehouse, CORE)
    other = FeatureSet("core", CORE.features[1:])
    with pytest.raises(ZeroDivisionError):
        failing(warehouse, CORE, other)
    assert [version.name for version in warehouse.versions()] == ["core@v1"]
    with registered(warehouse, [other]) as names:
        assert names == ["core@v2"]
    assert len(warehouse.versions()) == 2


def test_a_version_with_rows_stays_whatever_fails(warehouse: Warehouse) -> None:
    series = Series("simulated", "linear", "BTCUSDT", "60")
    with pytest.raises(ZeroDivisionError):
        failing(warehouse, CORE, meanwhile=lambda: publish(warehouse, series, table(series, range(20))))
    assert [version.name for version in warehouse.versions()] == ["core@v1"]


def test_versions_that_fail_together_are_all_taken_back(warehouse: Warehouse) -> None:
    with pytest.raises(ZeroDivisionError):
        failing(warehouse, CORE, FeatureSet("core", CORE.features[1:]))
    assert not warehouse.versions()


def test_a_version_that_another_build_is_about_to_write_stays(tmp_path: Path) -> None:
    with (
        Warehouse.open(tmp_path / "w", create=True) as ours,
        Warehouse.open(tmp_path / "w") as theirs,
        ExitStack() as held,
    ):
        with pytest.raises(ZeroDivisionError):
            failing(theirs, CORE, meanwhile=lambda: held.enter_context(registered(ours, [CORE])))
        assert newest(ours).name == "core@v1"


def test_the_number_that_is_free_again_may_have_other_columns(warehouse: Warehouse) -> None:
    series = Series("simulated", "linear", "BTCUSDT", "60")
    frame = table(series, range(20))

    def declare() -> None:
        warehouse.begin().declare("features", SeriesKey(*series.key), frame.drop("f_0"), version="core@v1")

    with pytest.raises(ZeroDivisionError):
        failing(warehouse, CORE, meanwhile=declare)
    publish(warehouse, series, frame)
    with warehouse.pin() as snapshot:
        assert "f_0" in snapshot.scan("features", SeriesKey(*series.key), version="core@v1").collect().columns
