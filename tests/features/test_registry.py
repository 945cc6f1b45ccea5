import json

import polars as pl
import pytest

from mmf.errors import CallError
from mmf.features.record import LEAD_BARS, WINDOWS, Computation, Feature
from mmf.features.registry import FeatureSet, feature_set


def double_close() -> dict[str, pl.Expr]:
    return {"double_close": 2 * pl.col("close")}


def feature(**changes) -> Feature:
    fields = {
        "name": "double_close",
        "family": "test",
        "unit": "price",
        "description": "Twice the close.",
        "oracle": "closed form",
        "undefined": "never",
        "computation": Computation.expressions(double_close, "close"),
        "lookback": 0,
    }
    return Feature(**fields | changes)


def test_core_holds_the_columns_of_its_families():
    core = feature_set("core")
    per_window = ("atr", "natr", "bb_percent_b", "bb_bandwidth", "rsi", "roc", "sma_dist", "ema_dist")

    expected = {"log_return", "log_range", "body_shadow_ratio", "upper_shadow_ratio", "lower_shadow_ratio"}
    expected |= {f"volatility_{w}" for w in (20, 100, 200)}
    expected |= {f"{stem}_{w}" for stem in per_window for w in WINDOWS}
    expected |= {f"{stem}_{w}" for stem in ("hurst", "entropy", "fdi") for w in (100, 200)}
    assert set(core.columns) == expected
    assert len(core.columns) == len(expected) == len(core.features)


def test_core_reads_prices_and_remembers_less_than_a_chunk_leads():
    core = feature_set("core")

    assert core.inputs == ("open", "high", "low", "close")
    assert 200 < core.memory <= LEAD_BARS
    assert core.memory == max(f.reach for f in core.features)


def test_definitions_are_plain_records():
    definitions = feature_set("core").definitions()

    assert json.loads(json.dumps(definitions)) == definitions
    rsi = next(d for d in definitions if d["name"] == "rsi_14")
    assert rsi["family"] == "momentum"
    assert rsi["inputs"] == ["close"]
    assert rsi["lookback"] is None
    assert rsi["memory"] == 336
    assert len({d["hash"] for d in definitions}) == len(definitions)
    assert all(d["description"] and d["oracle"] and d["undefined"] and d["unit"] for d in definitions)


def test_an_unknown_set_is_refused_with_those_that_exist():
    with pytest.raises(CallError, match=r"'croe' does not exist. There are: core"):
        feature_set("croe")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"memory": LEAD_BARS + 1, "lookback": None}, "needs 5121 earlier bars"),
        ({"lookback": LEAD_BARS + 1}, "needs 5121 earlier bars"),
        ({"lookback": -1}, "needs -1 earlier bars"),
        ({"lookback": None}, "declare either lookback"),
        ({"memory": 3}, "declare either lookback"),
        ({"name": "Double"}, "is not usable"),
        ({"name": "a_lag_3"}, "is not usable"),
    ],
)
def test_a_record_that_contradicts_itself_is_refused(changes: dict, message: str):
    with pytest.raises(CallError, match=message):
        feature(**changes)


def test_names_are_unique_in_a_set():
    with pytest.raises(CallError, match="two features named 'double_close'"):
        FeatureSet("mine", (feature(), feature()))


def test_a_set_is_not_empty():
    with pytest.raises(CallError, match="'mine' is empty"):
        FeatureSet("mine", ())


def test_inputs_are_bar_columns():
    with pytest.raises(CallError, match="reads 'fetched_at'; bars have open high low close volume turnover"):
        FeatureSet("mine", (feature(computation=Computation.expressions(double_close, "fetched_at")),))


def test_the_hash_follows_order_and_reach_but_not_prose():
    base = FeatureSet("mine", (feature(), feature(name="other")))

    assert FeatureSet("yours", base.features).definition_hash == base.definition_hash
    prose = feature(description="2 x close", unit="quote", oracle="none")
    assert FeatureSet("mine", (prose, base.features[1])).definition_hash == base.definition_hash
    for changed in (feature(lookback=1), feature(version=2), feature(name="third")):
        assert FeatureSet("mine", (changed, base.features[1])).definition_hash != base.definition_hash
    assert FeatureSet("mine", base.features[::-1]).definition_hash != base.definition_hash
