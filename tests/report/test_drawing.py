from datetime import UTC, datetime

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmf.report.drawing import block_means, by_symbol, histogram, instants, numbers, stacked, thin


@given(st.integers(50, 400), st.integers(0, 2**32 - 1), st.integers(20, 60))
def test_a_thinned_line_keeps_its_ends_and_every_extreme(n: int, seed: int, n_points: int) -> None:
    rng = np.random.default_rng(seed)
    frame = pl.DataFrame({"row": range(n), "a": rng.normal(size=n), "b": rng.normal(size=n)})
    thinned = thin(frame, ["a", "b"], n_points=n_points)
    assert thinned.height <= min(n, n_points + 1)
    assert thinned["row"].is_sorted()
    assert thinned["row"][0] == 0
    assert thinned["row"][-1] == n - 1
    for column in ("a", "b"):
        assert (thinned[column].min(), thinned[column].max()) == (frame[column].min(), frame[column].max())


def test_one_spike_of_one_bar_survives() -> None:
    values = np.zeros(100_000)
    values[54_321] = 1.0
    assert thin(pl.DataFrame({"x": values}), ["x"])["x"].max() == 1.0


@pytest.mark.parametrize("hole", [None, float("nan")])
def test_what_is_not_known_is_no_extreme(hole: float | None) -> None:
    frame = pl.DataFrame({"x": [hole] * 500 + [1.0, 3.0, 2.0] * 100 + [hole] * 200}, schema={"x": pl.Float64})
    thinned = thin(frame, ["x"], n_points=30)["x"].fill_nan(None).drop_nulls()
    assert (thinned.min(), thinned.max()) == (1.0, 3.0)


def test_means_of_blocks() -> None:
    times = [datetime(2024, 1, 1, hour, tzinfo=UTC) for hour in range(5)]
    frame = pl.DataFrame({"open_time": times, "x": [1.0, 3.0, 5.0, None, 7.0]})
    means = block_means(frame, ["x"], n_points=3)
    assert means["x"].to_list() == [2.0, 5.0, 7.0]
    assert instants(means["open_time"]) == ["2024-01-01 00:00", "2024-01-01 02:00", "2024-01-01 04:00"]


def test_numbers_are_short_and_nan_is_null() -> None:
    assert numbers(pl.Series([0.123456789, float("nan"), None, 1234567.0])) == [0.12346, None, None, 1234600.0]


def test_a_histogram_counts_all_and_reaches_to_its_mark() -> None:
    bars, mark = histogram(np.array([0.0, 0.1, 0.2, np.nan]), 5.0, name="n", colour="red", marked="here")
    assert sum(bars.y) == 3
    assert max(bars.x) + bars.width[0] / 2 > 5.0
    assert list(mark.x) == [5.0, 5.0]


def test_equal_values_make_a_histogram_too() -> None:
    (bars,) = histogram(np.full(40, 0.25), None, name="n", colour="red", marked="")
    assert sum(bars.y) == 40


def test_rows_of_a_layout_do_not_overlap() -> None:
    layout = stacked([2, 1, 1], ["a", "b", "c"], yaxis2={"tickformat": ".0%"})
    spans = [layout[name]["domain"] for name in ("yaxis3", "yaxis2", "yaxis")]
    flat = [edge for span in spans for edge in span]
    assert flat == sorted(flat)
    assert (flat[0], flat[-1]) == (pytest.approx(0, abs=1e-3), 1)
    assert layout["yaxis2"]["tickformat"] == ".0%"
    assert layout["xaxis"] == {"anchor": "y3"}


def test_symbols_are_parted_only_where_there_are_several() -> None:
    frame = pl.DataFrame({"symbol": ["A", "B", "A"], "x": [1, 2, 3]})
    assert [(name, rows["x"].to_list()) for name, rows in by_symbol(frame)] == [("A", [1, 3]), ("B", [2])]
    assert by_symbol(frame.filter(pl.col("symbol") == "A"))[0][0] == ""
    assert by_symbol(frame.drop("symbol"))[0][0] == ""
