from datetime import UTC, datetime

import numpy as np
import polars as pl
import pytest

from mmf.bars import Series
from mmf.errors import CallError, DataError
from mmf.pipeline.state import resolve_state
from mmf.pipeline.versions import compare_versions, list_versions
from tests.pipeline.feature_tables import FEATURES, publish, table
from warehouse import SeriesKey, Warehouse

BTC = Series("bybit", "linear", "BTCUSDT", "60")
NUMBERS = list(range(100, 160))
TABLE = table(BTC, NUMBERS)


def definitions(**hashes: str) -> list[dict[str, str]]:
    return [{"name": name, "hash": hash_} for name, hash_ in hashes.items()]


def register(warehouse: Warehouse, hash_: str, **hashes: str) -> None:
    warehouse.register_version("core", hash_, definitions(**hashes))


def hour(number: int) -> datetime:
    return datetime.fromtimestamp(number * 3_600, tz=UTC)


def changed(row: int, column: str, value: float | None) -> pl.DataFrame:
    is_row = pl.int_range(pl.len()) == row
    return TABLE.with_columns(pl.when(is_row).then(pl.lit(value, pl.Float32)).otherwise(column).alias(column))


@pytest.fixture
def first(warehouse: Warehouse) -> Warehouse:
    register(warehouse, "one", **dict.fromkeys(FEATURES, "x"))
    publish(warehouse, BTC, TABLE)
    return warehouse


def test_a_state_equals_itself(first: Warehouse) -> None:
    found = compare_versions(first, BTC, "core@v1", "core@v1@S1")
    assert found.is_equal
    assert (found.n_rows, found.n_only_a, found.n_only_b) == (len(NUMBERS), 0, 0)
    assert found.columns["column"].to_list() == list(FEATURES)
    assert found.columns["n_differing"].sum() == 0
    assert found.columns["max_abs"].null_count() == len(FEATURES)


def test_states_of_two_snapshots_differ_by_their_rows(first: Warehouse) -> None:
    moved = changed(8, "f_1", 9.0).filter(pl.int_range(pl.len()) != 3)
    publish(first, BTC, pl.concat([moved, table(BTC, [170, 171])]))
    found = compare_versions(first, BTC, "core@v1@S1", "core")
    assert (str(found.a), str(found.b)) == ("core@v1@S1", "core@v1@S2")
    assert (found.n_rows, found.n_only_a, found.n_only_b) == (59, 1, 2)
    assert not found.is_equal
    differing = found.columns.filter(pl.col("n_differing") > 0).row(0, named=True)
    old = TABLE["f_1"].to_numpy().astype(float)
    rest = np.delete(old, 3)
    assert differing == {
        "column": "f_1",
        "n_differing": 1,
        "n_undefined": 0,
        "max_abs": pytest.approx(9.0 - old[8]),
        "max_relative": pytest.approx((9.0 - old[8]) / np.sqrt(np.nanmean(rest**2))),
        "first_open_time": hour(108),
    }


@pytest.mark.parametrize(("before", "after"), [(0.25, None), (None, 0.25)])
def test_a_value_that_becomes_undefined_differs(
    warehouse: Warehouse, before: float | None, after: float | None
) -> None:
    register(warehouse, "one", **dict.fromkeys(FEATURES, "x"))
    for value in (before, after):
        publish(warehouse, BTC, changed(20, "f_2", value))
    row = compare_versions(warehouse, BTC, "core@v1@S1", "core@v1@S2").columns.row(2, named=True)
    assert (row["n_differing"], row["n_undefined"], row["max_abs"]) == (1, 1, None)
    assert row["first_open_time"] == hour(120)


def test_versions_differ_by_definition(first: Warehouse) -> None:
    register(first, "two", f_1="x", f_0="y", f_3="x", new="z")
    other = table(BTC, NUMBERS, features=("f_1", "f_0", "f_3", "new")).with_columns(TABLE["f_1"], TABLE["f_3"])
    publish(first, BTC, other, version="core@v2")
    found = compare_versions(first, BTC, "core@v1", "core@v2")
    assert (found.added, found.removed, found.changed) == (["new"], ["f_2"], ["f_0"])
    assert found.columns.select("column", pl.col("n_differing") > 0).rows() == [
        ("f_0", True),
        ("f_1", False),
        ("f_3", False),
    ]


def test_a_column_of_zeros_has_no_scale(warehouse: Warehouse) -> None:
    register(warehouse, "one", **dict.fromkeys(FEATURES, "x"))
    for value in (0.0, 1.0):
        publish(warehouse, BTC, TABLE.with_columns(f_0=pl.lit(value, pl.Float32)))
    row = compare_versions(warehouse, BTC, "core@v1@S1", "core@v1@S2").columns.row(0, named=True)
    assert (row["n_differing"], row["max_abs"], row["max_relative"]) == (len(NUMBERS), 1.0, None)


def test_bits_are_compared(warehouse: Warehouse) -> None:
    register(warehouse, "one", **dict.fromkeys(FEATURES, "x"))
    for value in (0.0, -0.0):
        publish(warehouse, BTC, TABLE.with_columns(f_0=pl.lit(value, pl.Float32)))
    row = compare_versions(warehouse, BTC, "core@v1@S1", "core@v1@S2").columns.row(0, named=True)
    assert (row["n_differing"], row["max_abs"]) == (len(NUMBERS), 0.0)


def test_the_snapshot_of_a_text_without_one_may_be_given(first: Warehouse) -> None:
    publish(first, BTC, changed(0, "f_0", 5.0))
    assert compare_versions(first, BTC, "core", "core@v1@S1", as_of=1).is_equal
    assert not compare_versions(first, BTC, "core", "core@v1@S1").is_equal


def test_what_is_not_stored_is_named(first: Warehouse) -> None:
    with pytest.raises(DataError, match=r"S1 holds no core@v2 of bybit:linear:BTCUSDT:60\. Build it with"):
        compare_versions(first, BTC, "core@v1", "core@v2")
    with pytest.raises(CallError, match="'@v2' names no feature table"):
        compare_versions(first, BTC, "core@v1", "@v2")


def test_versions_are_listed_with_what_is_stored_of_them(first: Warehouse) -> None:
    register(first, "two", f_0="y")
    eth = Series("bybit", "linear", "ETHUSDT", "60")
    publish(first, eth, TABLE)
    first.register_version("other", "three", definitions(a="x"), packages={"numpy": "2.4"})
    listed = list_versions(first)
    assert [(one.version.name, one.version.predecessor, one.n_rows) for one in listed] == [
        ("core@v1", None, 2 * len(NUMBERS)),
        ("core@v2", "core@v1", 0),
        ("other@v1", None, 0),
    ]
    assert listed[0].series == (SeriesKey(*BTC.key), SeriesKey(*eth.key))
    assert listed[0].n_bytes == first.disk_bytes("features")
    assert listed[2].version.packages == {"numpy": "2.4"}
    assert [one.version.name for one in list_versions(first, "other")] == ["other@v1"]
    assert list_versions(first, as_of=1)[0].n_rows == len(NUMBERS)
    assert not any(one.is_current for one in listed)


def test_a_pin_is_kept_while_others_build_on(first: Warehouse) -> None:
    publish(first, BTC, TABLE[:40], version="core@v2")
    register(first, "two", f_0="y")
    assert str(resolve_state(first, BTC, "core")) == "core@v2@S2"
    assert str(resolve_state(first, BTC, "core@v1")) == "core@v1@S2"
    assert str(resolve_state(first, BTC, "core", as_of="S1")) == "core@v1@S1"
    assert str(resolve_state(first, BTC, "core@v1@S1")) == "core@v1@S1"
