import polars as pl
import pytest

from mmf.report.inside import drift_charts, epoch_charts, gate_charts, uplift_charts
from tests.report.records import card, tables


def test_shares_are_stacked_above_the_trio_and_the_price() -> None:
    rows = tables()
    (chart,) = gate_charts(rows["predictions"], rows["market"])
    drawn = {trace.name: trace for trace in chart.figure.data}
    assert list(drawn) == ["trend", "cnn", "hurst_200", "entropy_200", "fdi_200", "close"]
    assert [drawn[name].stackgroup for name in ("trend", "cnn")] == ["shares", "shares"]
    assert [drawn[name].yaxis for name in ("hurst_200", "entropy_200", "fdi_200", "close")] == ["y2", "y3", "y4", "y5"]
    sums = [a + b for a, b in zip(drawn["trend"].y, drawn["cnn"].y, strict=True)]
    assert sums == pytest.approx([1.0] * len(sums), abs=1e-4)


def test_a_run_without_the_trio_shows_shares_and_price() -> None:
    (chart,) = gate_charts(tables()["predictions"], None)
    assert [trace.name for trace in chart.figure.data] == ["trend", "cnn", "close"]
    assert chart.figure.data[-1].yaxis == "y2"
    assert gate_charts(tables()["predictions"].select("open_time", "close"), None) == []


def test_long_stretches_of_shares_are_means_that_the_caption_owns_up_to() -> None:
    rows = tables()["predictions"]
    long = pl.concat([rows.with_columns(pl.col("open_time").dt.offset_by(f"{10 * i}d")) for i in range(5)])
    (chart,) = gate_charts(long, None)
    assert len(chart.figure.data[0].x) == 400
    assert "means over 3 bars" in chart.caption


def test_experts_are_told_by_what_they_are_worth() -> None:
    (chart,) = uplift_charts(card()["switched_off"])
    points = chart.figure.data[0]
    assert list(points.y) == ["cnn", "trend"]
    assert list(points.error_x.array) == pytest.approx([0.02, 0.03])
    assert list(points.error_x.arrayminus) == pytest.approx([0.01, 0.03])
    assert uplift_charts([]) == []


def test_learning_curves_leave_out_what_was_not_measured() -> None:
    (chart,) = epoch_charts(tables()["epochs"])
    drawn = {trace.name: trace for trace in chart.figure.data}
    assert chart.title == "Learning curve: cnn"
    assert list(drawn["validation"].y) == [0.68, 0.67, 0.8]
    assert list(drawn["final fit on all rows"].x) == [1]


def test_the_column_that_moved_most_is_on_top() -> None:
    (chart,) = drift_charts(tables()["drift"], {"rsi_14": "roc_5"})
    bars = chart.figure.data[0]
    assert list(bars.y) == ["rsi_14 (roc_5)", "hurst_200"]
    assert [tuple(row) for row in bars.customdata] == [(0.1, 0.1), (0.3, pytest.approx(2.0))]
    assert drift_charts(tables()["drift"].clear(), {}) == []
