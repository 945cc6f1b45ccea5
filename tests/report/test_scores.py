import polars as pl
import pytest
from scipy.stats import binomtest

from mmf.report.scores import probability_charts, reliability_charts, score_charts
from tests.report.records import MODELS, TRADES, card, tables


def test_scores_stand_below_each_other_with_their_intervals_and_a_coin() -> None:
    (chart,) = score_charts(tables()["score_intervals"], card()["scores"])
    points, coin = chart.figure.data[:2]
    assert list(points.y) == list(MODELS[::-1])
    assert list(points.error_x.array) == pytest.approx([0.15] * 5)
    assert list(points.error_x.arrayminus) == pytest.approx([0.1] * 5)
    assert list(coin.x) == [0.4] * 5
    roc, half = chart.figure.data[2:4]
    assert list(roc.error_x.array) == [0] * 5  # no interval of this score
    assert set(half.x) == {0.5}
    assert chart.figure.data[5].x[0] == pytest.approx(0.24)  # Brier of always saying the base rate


def test_a_score_that_is_undefined_is_left_out() -> None:
    scores = card()["scores"]
    scores["cnn"] = scores["cnn"] | {"pr_auc": None}
    assert "cnn" not in score_charts(None, scores)[0].figure.data[0].y


def test_reliability_has_the_intervals_of_as_many_rows_as_are_independent() -> None:
    table = pl.DataFrame({"mean_predicted": [0.3, 0.8], "observed_rate": [0.25, 0.5], "count": [720, 360]})
    points, ideal, counts = reliability_charts(table, horizon=36)[0].figure.data
    truth = [binomtest(k, n).proportion_ci(0.95, method="wilson") for k, n in ((5, 20), (5, 10))]
    assert list(points.error_y.array) == pytest.approx([truth[0].high - 0.25, truth[1].high - 0.5], abs=1e-4)
    assert list(points.error_y.arrayminus) == pytest.approx([0.25 - truth[0].low, 0.5 - truth[1].low], abs=1e-4)
    assert list(ideal.x) == list(ideal.y)
    assert list(counts.y) == [720, 360]


def test_reliability_without_rows_is_not_drawn() -> None:
    assert reliability_charts(pl.DataFrame(), horizon=36) == []


def test_probability_is_drawn_with_threshold_and_entries() -> None:
    (chart,) = probability_charts(tables()["predictions"], 0.55, TRADES)
    drawn = {trace.name: trace for trace in chart.figure.data}
    assert list(drawn["threshold"].y) == [0.55, 0.55]
    assert list(drawn["entry"].y) == [100.0, 101.0, 99.0]
    assert drawn["close"].yaxis == "y2"


def test_each_symbol_has_a_picture_of_its_own() -> None:
    rows = tables()["predictions"]
    both = pl.concat([rows.with_columns(symbol=pl.lit(name)) for name in ("A", "B")]).sort("open_time", "symbol")
    trades = TRADES.with_columns(symbol=pl.Series(["A", "B", "A"]))
    charts = probability_charts(both, None, trades)
    assert [chart.title for chart in charts] == ["Probability over time: A", "Probability over time: B"]
    assert [len(chart.figure.data[-1].x) for chart in charts] == [2, 1]
