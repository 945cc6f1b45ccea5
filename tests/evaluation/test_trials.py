from datetime import UTC, datetime

import numpy as np
import polars as pl
import pytest

from mmf.evaluation.sharpe import overfitting_probability
from mmf.evaluation.trials import TRIAL_SCHEMA, Ledger, overfitting, sharpe_variance

N = 400
TIMES = pl.datetime_range(
    datetime(2024, 1, 1, tzinfo=UTC), interval="1h", eager=True, time_unit="ms", end=datetime(2024, 2, 1, tzinfo=UTC)
)[:N]


def path(returns: np.ndarray) -> pl.DataFrame:
    return pl.DataFrame({"open_time": TIMES[: len(returns)], "equity": np.exp(np.cumsum(returns))})


def of_run(run_id: str, returns: np.ndarray) -> pl.DataFrame:
    return path(returns).select(pl.lit(run_id).alias("run_id"), pl.all())


def trial(run_id: str, predictions: str | None, traded: str | None = "plain") -> tuple[object, ...]:
    return run_id, "2026-01-01T00:00:00Z", predictions, traded, 0.5, 0.1, None


def test_a_run_repeated_is_no_new_trial() -> None:
    rows = [trial("a", "one"), trial("b", "two"), trial("c", "one"), trial("d", None), trial("e", "this")]
    ledger = Ledger(pl.DataFrame(rows, schema=TRIAL_SCHEMA, orient="row"))
    assert ledger.others("this", "plain")["run_id"].to_list() == ["a", "b", "d"]


def test_the_same_predictions_traded_otherwise_are_a_trial() -> None:
    rows = [
        trial("a", "this", "barriers"),
        trial("b", "this"),
        trial("c", "this", "barriers"),
        trial("old", "this", None),
        trial("d", "one", "barriers"),
        trial("e", "one"),
    ]
    ledger = Ledger(pl.DataFrame(rows, schema=TRIAL_SCHEMA, orient="row"))
    assert ledger.others("this", "plain")["run_id"].to_list() == ["a", "d", "e"]
    assert ledger.others("this", None)["run_id"].to_list() == ["d", "e"]


def test_the_variance_of_the_ratios_is_that_of_one_bar() -> None:
    sharpes = pl.Series([1.0, 2.0, None, 4.0])
    expected = np.var(np.array([1.0, 2.0, 4.0]) / np.sqrt(8_766), ddof=1)
    assert sharpe_variance(sharpes, per_year=8_766.0) == pytest.approx(expected)
    assert sharpe_variance(sharpes[:3], per_year=8_766.0) is None


def test_overfitting_compares_trials_on_the_bars_they_share() -> None:
    rng = np.random.default_rng(0)
    returns = rng.normal(0, 0.01, (N, 4))
    others = pl.concat([of_run(name, returns[:, i]) for i, name in ((1, "a"), (2, "b"), (3, "elsewhere"))])
    others = others.filter((pl.col("run_id") != "elsewhere") | (pl.col("open_time") < TIMES[N // 2]))
    found = overfitting(path(returns[:, 0]), others, run_ids=["a", "b", "elsewhere"])
    assert found == pytest.approx(overfitting_probability(returns[1:, :3]))
    assert overfitting(path(returns[:, 0]), others, run_ids=["elsewhere"]) is None


def test_a_trial_that_is_better_throughout_is_not_overfitted() -> None:
    rng = np.random.default_rng(1)
    others = of_run("noise", rng.normal(0, 0.01, N))
    assert overfitting(path(rng.normal(0.01, 0.01, N)), others, run_ids=["noise"]) == 0.0
