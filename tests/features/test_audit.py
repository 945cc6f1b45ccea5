import numpy as np
import polars as pl
import pytest

from mmf.errors import DataError
from mmf.features.audit import causality, mutated, reach
from mmf.features.kernels.smoothing import smoothed
from mmf.features.record import Computation, Feature
from mmf.features.registry import FeatureSet, feature_set
from tests.reference.bars import HOUR, bars_of_close, walk

CORE = feature_set("core")
BARS = bars_of_close(walk(400, seed=9))


def from_tomorrow() -> dict[str, pl.Expr]:
    return {"suspect": pl.col("close").shift(-1)}


def centred() -> dict[str, pl.Expr]:
    return {"suspect": pl.col("close").rolling_mean(5, center=True)}


def of_all_rows() -> dict[str, pl.Expr]:
    return {"suspect": pl.col("close") / pl.col("close").mean()}


def deaf() -> dict[str, pl.Expr]:
    return {"suspect": pl.col("close").shift(1)}


def of_five() -> dict[str, pl.Expr]:
    return {"suspect": pl.col("close").rolling_max(5) - pl.col("close").rolling_min(5)}


def slow_mean(close: np.ndarray) -> dict[str, np.ndarray]:
    return {"suspect": smoothed(close, np.array([5]), np.array([0.2]), 0)[0]}


def suspect(computation: Computation, **declared: int) -> FeatureSet:
    feature = Feature("suspect", "test", "price", "Suspect.", "none", "never", computation, **declared)
    return FeatureSet("suspects", (feature,))


@pytest.mark.parametrize("function", [from_tomorrow, centred, of_all_rows])
def test_a_look_ahead_is_seen(function):
    found = causality(suspect(Computation.expressions(function, "close"), lookback=4), BARS, interval=HOUR)

    row = found.row(by_predicate=pl.col("column") == "suspect", named=True)
    assert row["leak_rows"] > 0
    assert not row["is_causal"]


def test_a_column_that_ignores_its_own_bar_is_seen():
    found = causality(suspect(Computation.expressions(deaf, "close"), lookback=1), BARS, interval=HOUR)

    assert found.row(0) == ("suspect", 0, False, False)


@pytest.mark.parametrize(("lookback", "is_kept"), [(3, False), (4, True), (5, False)])
def test_a_lookback_must_be_exact(lookback: int, is_kept: bool):
    found = reach(suspect(Computation.expressions(of_five, "close"), lookback=lookback), BARS)

    assert found.row(0) == ("suspect", "lookback", lookback, 4, is_kept, 5)


@pytest.mark.parametrize(("memory", "is_kept"), [(40, False), (100, True)])
def test_a_memory_must_suffice(memory: int, is_kept: bool):
    found = reach(suspect(Computation.kernel(slow_mean, "close"), memory=memory), BARS).row(0, named=True)

    # 0.2 * 0.8^n falls under 2^-24 after 68 bars
    assert 65 <= found["measured"] <= 72
    assert found["is_kept"] is is_kept


def test_too_few_bars_are_refused():
    with pytest.raises(DataError, match="needs 36 bars"):
        reach(suspect(Computation.expressions(of_five, "close"), lookback=4), BARS[:35])


@pytest.mark.parametrize("downwards", [False, True])
def test_a_mutated_bar_is_still_a_bar(downwards: bool):
    bars = mutated(BARS, 10, 12, downwards=downwards)

    for name in ("open", "high", "low", "close", "volume", "turnover"):
        assert np.flatnonzero(bars[name] != BARS[name]).tolist() == [10, 11], name
    assert bars.select((pl.col("low") <= pl.min_horizontal("open", "close")).all()).item()
    assert bars.select((pl.col("high") >= pl.max_horizontal("open", "close")).all()).item()
    assert ((bars["close"] > BARS["close"]) == (not downwards))[10:12].all()


def rises() -> dict[str, pl.Expr]:
    return {"suspect": (pl.col("close") > 1.7 * pl.col("close").shift(7)).cast(pl.Float64) + pl.col("open") * 0}


def test_a_bar_that_matters_only_when_it_moves_down_is_seen():
    found = reach(suspect(Computation.expressions(rises, "close", "open"), lookback=7), BARS)

    assert found.row(0)[2:4] == (7, 7)


@pytest.fixture(scope="module", params=["walk", "binance_spot_BTCUSDT_1m"])
def audited(request) -> pl.DataFrame:
    n = 3 * CORE.memory + 24
    return (
        bars_of_close(walk(n, seed=10))
        if request.param == "walk"
        else request.getfixturevalue("real")(request.param, n)
    )


def test_core_is_causal(audited: pl.DataFrame):
    found = causality(CORE, audited, interval=HOUR)

    assert found["column"].to_list() == [*CORE.columns, "missing_bars", "is_warm"]
    assert found.filter(~pl.col("is_causal")).rows() == []


def test_core_reaches_as_far_back_as_it_declares(audited: pl.DataFrame):
    found = reach(CORE, audited)

    assert found.filter(~pl.col("is_kept")).rows() == []
