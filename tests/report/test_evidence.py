import polars as pl

from mmf.report.evidence import combination_charts, fold_charts, noise_floor_charts, trial_charts
from tests.report.records import tables


def named(chart) -> dict:
    return {trace.name: trace for trace in chart.figure.data}


def test_folds_show_scores_above_returns() -> None:
    (chart,) = fold_charts(tables()["folds"])
    drawn = named(chart)
    assert list(drawn["mixture"].y) == [0.4, 0.5]
    assert drawn["net return"].yaxis == "y2"
    assert "1 of 2 folds gained" in chart.caption
    assert fold_charts(tables()["folds"].clear()) == []


def test_combinations_are_marked_with_the_coin() -> None:
    (chart,) = combination_charts(tables()["combinations"])
    assert sum(named(chart)["combinations"].y) == 4
    assert combination_charts(pl.DataFrame({"pr_auc": []}, schema={"pr_auc": pl.Float64})) == []


def test_the_run_is_placed_among_markets_of_noise() -> None:
    (chart,) = noise_floor_charts(tables()["noise_floor"], {"roc_auc": 0.55, "pr_auc": 0.1})
    drawn = named(chart)
    assert (sum(drawn["martingale market"].y), sum(drawn["iid market"].y)) == (2, 2)
    assert list(drawn["this run"].x) == [0.55, 0.55]
    assert "above 75% of them" in chart.caption
    assert noise_floor_charts(tables()["noise_floor"].clear(), {}) == []


def test_noise_is_shown_where_the_run_has_no_score() -> None:
    (chart,) = noise_floor_charts(tables()["noise_floor"], {"roc_auc": None})
    assert "this run" not in named(chart)


def test_this_run_is_marked_among_the_trials() -> None:
    trials = tables()["trials"]
    (chart,) = trial_charts(trials, "20260101T000000-aaaaaa")
    assert list(chart.figure.data[0].marker.symbol) == ["circle", "diamond"]
    assert "All 2 trainings" in chart.caption
    assert list(trial_charts(trials.with_columns(net_return=pl.lit(None)), "x")[0].figure.data[0].y) == [0.41, 0.45]
    assert trial_charts(trials.clear(), "x") == []
