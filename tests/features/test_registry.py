import json

import polars as pl
import pytest

from mmf.errors import CallError
from mmf.features.lags import lag_columns
from mmf.features.record import LEAD_BARS, WINDOWS, Computation, Feature
from mmf.features.registry import FeatureSet, feature_set, is_set_name


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


def windowed(*stems: str, windows: tuple[int, ...] = WINDOWS) -> list[str]:
    return [f"{stem}_{w}" for stem in stems for w in windows]


CANONICAL = [
    *("log_return", "log_range", "body_shadow_ratio", "upper_shadow_ratio", "lower_shadow_ratio"),
    *windowed("volatility", windows=(20, 100, 200)),
    *windowed("atr", "natr", "bb_percent_b", "bb_bandwidth"),
    *windowed("rsi", "roc", "willr", "cci"),
    *windowed("mfi", windows=(3, 5, 8, 13, 14, 21, 34)),
    *("macd", "macd_signal", "macd_hist"),
    *windowed("adx", "plus_di", "minus_di", "sma_dist", "ema_dist"),
    *windowed("slope", windows=(20, 24, 50, 100)),
    *("cmf_20", "obv_20", "obv_100", "obv_200"),
    *windowed("rolling_mean", "rolling_std", "skew", "kurtosis", "zscore", windows=(20, 24, 50, 100)),
    *windowed("hurst", "entropy", "fdi", windows=(100, 200)),
]


def test_core_holds_195_columns_in_canonical_order():
    core = feature_set("core")

    assert len(CANONICAL) == len(set(CANONICAL)) == 195
    assert list(core.columns) == CANONICAL
    assert len(lag_columns(core.columns)) == 1_365


@pytest.mark.parametrize(
    ("family", "n_columns"),
    [
        ("price", 5),
        ("volatility", 47),
        ("momentum", 54),
        ("trend", 59),
        ("volume", 4),
        ("statistics", 20),
        ("chaos", 6),
    ],
)
def test_families_have_their_size_and_stand_together(family: str, n_columns: int):
    places = [place for place, feature in enumerate(feature_set("core").features) if feature.family == family]

    assert len(places) == n_columns
    assert places == list(range(places[0], places[0] + n_columns))


def test_the_stationary_set_is_core_without_what_drifts():
    core, stationary = feature_set("core").columns, feature_set("core_stationary").columns
    drifting = {"atr", "macd", "macd_signal", "macd_hist", "slope", "rolling_mean", "rolling_std", "obv"}

    assert {name for name in core if name not in stationary} == {
        name for name in core if name in drifting or name.rpartition("_")[0] in drifting
    }
    kept = [name for name in stationary if name in core]
    assert kept == [name for name in core if name in stationary]


def test_core_reads_bars_and_remembers_less_than_a_chunk_leads():
    core = feature_set("core")

    assert core.inputs == ("open", "high", "low", "close", "volume")
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
    with pytest.raises(CallError, match=r"'croe' does not exist. There are: core, core_stationary"):
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
        ({"name": "a_ctx_240"}, "is not usable"),
        ({"name": "a_ctx_d"}, "is not usable"),
        ({"name": "label_end"}, "is a column that every table has"),
        ({"name": "forward_return"}, "is a column that every table has"),
        ({"name": "close"}, "is a column that every table has"),
        ({"name": "is_warm"}, "is a column that every table has"),
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


@pytest.mark.parametrize("name", ["mine_lagged", "mine_context_240", "mine_context_d", "Mine", "1st", ""])
def test_names_of_views_and_what_is_no_name_are_no_sets(name: str) -> None:
    assert not is_set_name(name)
    assert is_set_name("mine_context")
