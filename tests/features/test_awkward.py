import numpy as np
import polars as pl
import pytest

from mmf.features.audit_report import Effort, audit_features
from mmf.features.awkward import plant_awkward
from mmf.features.record import Computation, Feature
from mmf.features.registry import FeatureSet
from tests.reference.bars import HOUR, bars_of_close, walk

BARS = bars_of_close(walk(2_400, seed=8))


def test_every_kind_is_planted_and_the_rest_stays_a_bar() -> None:
    planted, places = plant_awkward(BARS, seed=0)
    assert len(places) == 16
    flat = (planted["high"] == planted["low"]).sum()
    assert flat >= 12
    assert (planted["volume"] == 0).sum() == 12
    factor = (planted["close"] / BARS["close"]).to_numpy()
    assert (np.abs(np.diff(np.log(factor))) > 0.05).sum() == 4
    assert ((planted["low"] <= planted["close"]) & (planted["close"] <= planted["high"])).all()


def flat_filled() -> dict[str, pl.Expr]:
    span = pl.col("high") - pl.col("low")
    place = pl.when(span > 0).then((pl.col("close") - pl.col("low")) / span).otherwise(None)
    return {"subject": place.backward_fill()}


def silence_filled() -> dict[str, pl.Expr]:
    return {"subject": pl.when(pl.col("volume") > 0).then(pl.col("volume")).otherwise(None).backward_fill()}


def next_after_jumps() -> dict[str, pl.Expr]:
    change = pl.col("close").log().diff()
    return {"subject": pl.when(change.abs() > 0.05).then(change.shift(-1)).otherwise(change)}


def honest() -> dict[str, pl.Expr]:
    span = pl.col("high") - pl.col("low")
    return {"subject": pl.when(span > 0).then((pl.col("close") - pl.col("low")) / span).otherwise(None)}


def verdict(function, *inputs: str, lookback: int = 0) -> str:
    computation = Computation.expressions(function, *inputs)
    feature = Feature("subject", "mine", "ratio", "A subject.", "none", "somewhere", computation, lookback=lookback)
    effort = Effort(n_cuts=8, n_histories=1)
    found = audit_features(FeatureSet("mine", (feature,)), BARS, interval=HOUR, effort=effort)
    return found["verdict"].item()


@pytest.mark.parametrize(
    ("function", "inputs", "lookback"),
    [
        (flat_filled, ("high", "low", "close"), 0),
        (silence_filled, ("volume",), 0),
        (next_after_jumps, ("close",), 1),
    ],
)
def test_leaks_that_show_on_awkward_bars_only_are_caught(function, inputs: tuple[str, ...], lookback: int) -> None:
    assert "future" in verdict(function, *inputs, lookback=lookback)


def test_a_feature_that_is_null_on_awkward_bars_is_sound() -> None:
    assert verdict(honest, "high", "low", "close") == "sound"
