import pytest

from mmf.errors import CallError
from mmf.pipeline.compare import compare_runs


def card(run_id: str, *, seed: int = 0, rows: str = "same", pr_auc: float = 0.5, **more: object) -> dict[str, object]:
    return {
        "run_id": run_id,
        "series": "bybit:linear:BTCUSDT:60",
        "config": {"seed": seed, "lags": [1, 2], "label": {"horizon": 36}},
        "hashes": {"judged_rows": rows},
        "scores": {"mixture": {"pr_auc": pr_auc}},
        **more,
    }


def test_only_settings_that_differ_are_shown_nested_ones_too() -> None:
    other = card("b", seed=1) | {"config": {"seed": 1, "lags": [1, 2], "label": {"horizon": 24}}}
    found = compare_runs([card("a"), other])
    assert found.config.rows() == [("seed", "0", "1"), ("label.horizon", "36", "24")]


def test_scores_stand_beside_each_other_and_gaps_stay_gaps() -> None:
    newer = card("b", pr_auc=0.6) | {"scores": {"mixture": {"pr_auc": 0.6}, "five features": {"pr_auc": 0.55}}}
    found = compare_runs([card("a"), newer])
    scores = {(model, score): values for model, score, *values in found.scores.iter_rows()}
    assert scores["mixture", "pr_auc"] == [0.5, 0.6]
    assert scores["five features", "pr_auc"] == [None, 0.55]
    assert scores["mixture", "brier"] == [None, None]


@pytest.mark.parametrize(("rows", "is_same"), [(("x", "x"), True), (("x", "y"), False), ((None, None), False)])
def test_scores_on_other_rows_are_said_not_to_compare(rows: tuple[str, str], is_same: bool) -> None:
    cards = [card(name, rows=hash_) for name, hash_ in zip("ab", rows, strict=True)]
    assert compare_runs(cards).is_same_rows is is_same


def test_older_cards_have_dashes_where_they_lack_something() -> None:
    verdict = {"answer": "edge", "performance": {"net_return": 0.123, "sharpe": 1.5, "n_trades": 40}}
    found = compare_runs([card("a"), card("b", verdict=verdict)])
    facts = {fact: values for fact, *values in found.facts.iter_rows()}
    assert facts["verdict"] == ["-", "edge"]
    assert facts["net return"] == ["-", "+12.3%"]
    assert facts["trades"] == ["-", "40"]
    assert facts["series"] == ["bybit:linear:BTCUSDT:60"] * 2


@pytest.mark.parametrize("names", [["a"], ["a", "a"], ["a", "b", "a"]])
def test_one_run_is_nothing_to_compare(names: list[str]) -> None:
    with pytest.raises(CallError, match="two different runs"):
        compare_runs([card(name) for name in names])
