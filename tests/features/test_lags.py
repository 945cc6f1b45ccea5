import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmf.errors import CallError
from mmf.features.lags import LAGS, lag_columns, lag_name, lagged, split_lag
from mmf.features.registry import feature_set

FRAME = pl.DataFrame({"open_time": [1, 2, 4, 5], "a": [1.0, 2.0, None, 4.0], "b": [9.0, 8.0, 7.0, 6.0]})


def test_lags_count_stored_rows():
    got = lagged(FRAME, ["a", "b"], lags=[1, 3]).collect()

    assert got.columns == ["open_time", "a", "b", "a_lag_1", "a_lag_3", "b_lag_1", "b_lag_3"]
    assert got["a_lag_1"].to_list() == [None, 1.0, 2.0, None]
    assert got["b_lag_3"].to_list() == [None, None, None, 9.0]
    assert tuple(got.columns[1:]) == lag_columns(["a", "b"], [1, 3])


def test_core_has_seven_columns_for_each_feature():
    columns = feature_set("core").columns

    assert len(set(lag_columns(columns))) == 7 * len(columns)
    assert LAGS == (1, 2, 3, 5, 8, 13)


@given(st.sampled_from(feature_set("core").columns), st.integers(1, 5_000))
def test_a_lag_name_splits_into_its_parts(column: str, lag: int):
    assert split_lag(lag_name(column, lag)) == (column, lag)


@pytest.mark.parametrize("name", ["rsi_14", "close", "x_lag_0", "x_lag_", "_lag_3", "x_lag_03"])
def test_other_names_have_no_lag(name: str):
    assert split_lag(name) == (name, 0)


@pytest.mark.parametrize("lag", [0, -1])
def test_a_lag_looks_back(lag: int):
    with pytest.raises(CallError, match="does not look back"):
        lag_name("rsi_14", lag)


def test_only_the_columns_asked_for_are_read(tmp_path):
    FRAME.write_parquet(tmp_path / "t.parquet")

    plan = lagged(pl.scan_parquet(tmp_path / "t.parquet"), ["a", "b"]).select("a_lag_2").explain()

    assert "PROJECT 1/3 COLUMNS" in plan
    assert "lag_13" not in plan


def test_lags_of_several_series_in_one_frame_never_read_across_them():
    frame = pl.DataFrame(
        {"symbol": ["B", "A", "B", "A", "A"], "open_time": [2, 1, 1, 3, 2], "a": [20.0, 1.0, 10.0, 3.0, 2.0]}
    )

    got = lagged(frame, ["a"], lags=[1, 2], by=["symbol"]).collect()

    assert got["a_lag_1"].to_list() == [10.0, None, None, 2.0, 1.0]
    assert got["a_lag_2"].to_list() == [None, None, None, 1.0, None]
