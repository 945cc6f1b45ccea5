"""The set without drifting columns: what is in it, that nothing in it drifts, and its scaled columns."""

import numpy as np
import polars as pl
import pytest

from mmf.features import chaos, momentum, price, statistics, trend, volatility, volume
from mmf.features.audit import causality, reach
from mmf.features.build import compute_chunk, compute_columns
from mmf.features.registry import FeatureSet
from mmf.features.stationary import FEATURES_SCALED, stationary
from tests.reference import chaos as slow
from tests.reference.bars import HOUR, bars_of_close, numbers_with_holes, walk

FAMILIES = (price, volatility, momentum, trend, volume, statistics, chaos)
CORE = FeatureSet("core", tuple(feature for family in FAMILIES for feature in family.FEATURES))
STATIONARY = FeatureSet("core_stationary", stationary(CORE.features))
ADDED = FeatureSet("added", (*FEATURES_SCALED, *chaos.EXTRA_FEATURES))

IN_PERCENT = {
    **{name: f"{name}_pct" for name in ("macd", "macd_signal", "macd_hist")},
    **{f"{stem}_{w}": f"{stem}_pct_{w}" for stem in ("slope", "rolling_std") for w in (20, 24, 50, 100)},
}
SHARES = {f"obv_{w}": f"obv_share_{w}" for w in (20, 100, 200)}
LEFT_OUT = {name for name in CORE.columns if name.startswith(("atr_", "rolling_mean_"))}

SERIES = {
    "walk": bars_of_close(walk(1_500)),
    "holes": bars_of_close(walk(1_500, seed=4), keep=numbers_with_holes(1_500)),
    "flat runs": bars_of_close(np.repeat(walk(6, seed=6), 250), wick=0.0),
    "no trades": bars_of_close(walk(1_500, seed=8)).with_columns(
        volume=pl.when(pl.int_range(pl.len()) % 500 < 250).then(pl.col("volume")).otherwise(0.0)
    ),
}
REAL = ("binance_spot_BTCUSDT_1m", "bybit_linear_BTCUSDT_60m", "binance_um_TRXUSDT_60m")


@pytest.fixture(scope="module", params=[*SERIES, *REAL])
def bars(request) -> pl.DataFrame:
    if request.param in SERIES:
        return SERIES[request.param]
    return request.getfixturevalue("real")(request.param, 1_500)


def columns_of(features: FeatureSet, bars: pl.DataFrame) -> dict[str, np.ndarray]:
    return compute_columns(features, bars, n_own=bars.height)


def test_scaled_columns_stand_where_the_drifting_ones_stood():
    expected = [(IN_PERCENT | SHARES).get(name, name) for name in CORE.columns if name not in LEFT_OUT]

    assert STATIONARY.columns == (*expected, "entropy_sigma_100", "entropy_sigma_200")
    assert len(STATIONARY.columns) == 182
    assert {f.name for f in FEATURES_SCALED} == {*IN_PERCENT.values(), *SHARES.values()}


@pytest.mark.parametrize(
    ("inputs", "drifting"),
    [
        (("open", "high", "low", "close"), IN_PERCENT.keys() | LEFT_OUT),
        (("volume", "turnover"), SHARES.keys()),
    ],
    ids=["price", "volume"],
)
def test_the_columns_that_drift_with_a_level_are_those_replaced(inputs: tuple[str, ...], drifting: set[str]):
    base = SERIES["walk"]
    scaled = base.with_columns(pl.col(inputs) * 1_000)

    assert moved_by(CORE, base, scaled) == set(drifting)
    assert moved_by(STATIONARY, base, scaled) == set()


def moved_by(features: FeatureSet, base: pl.DataFrame, scaled: pl.DataFrame) -> set[str]:
    """Columns that a change of unit moves by more than rounding."""
    before, after = columns_of(features, base), columns_of(features, scaled)
    return {name for name in features.columns if not np.allclose(after[name], before[name], 1e-6, 1e-6, equal_nan=True)}


def test_amounts_of_price_are_in_percent_of_the_close(bars: pl.DataFrame):
    core, scaled = columns_of(CORE, bars), columns_of(ADDED, bars)
    close = bars["close"].to_numpy()

    for amount, percent in IN_PERCENT.items():
        np.testing.assert_allclose(scaled[percent], 100 * core[amount] / close, rtol=1e-15, err_msg=percent)


def test_amounts_of_volume_are_shares_of_the_window(bars: pl.DataFrame):
    core, scaled = columns_of(CORE, bars), columns_of(ADDED, bars)
    traded = bars["volume"].to_numpy()

    for w in (20, 100, 200):
        total = np.append(np.full(w - 1, np.nan), np.lib.stride_tricks.sliding_window_view(traded, w).sum(axis=1))
        with np.errstate(invalid="ignore"):
            expected = core[f"obv_{w}"] / total
        np.testing.assert_array_equal(np.isnan(scaled[f"obv_share_{w}"]), ~(total > 0) | (np.arange(len(total)) < w))
        np.testing.assert_allclose(scaled[f"obv_share_{w}"], expected, rtol=1e-12)
        assert np.nanmax(np.abs(scaled[f"obv_share_{w}"])) <= 1.0


def test_the_mean_that_is_left_out_follows_from_what_stays(bars: pl.DataFrame):
    core, kept = columns_of(CORE, bars), columns_of(STATIONARY, bars)
    close = bars["close"].to_numpy()

    for w in (20, 24, 50, 100):
        with np.errstate(invalid="ignore"):
            distance = np.nan_to_num(kept[f"zscore_{w}"]) * kept[f"rolling_std_pct_{w}"] / 100
        np.testing.assert_allclose(close * (1 - distance), core[f"rolling_mean_{w}"], rtol=1e-14)


@pytest.mark.parametrize("w", chaos.CHAOS_WINDOWS)
def test_entropy_sigma_equals_its_slow_twin(bars: pl.DataFrame, w: int):
    close = bars["close"].to_numpy()
    returns = np.log(close[1:] / close[:-1])
    column = columns_of(ADDED, bars)[f"entropy_sigma_{w}"]

    assert np.isnan(column[:w]).all()
    for t in range(w, len(close), 41):
        assert column[t] == pytest.approx(slow.entropy_sigma(returns[t - w : t]), abs=1e-11, nan_ok=True)


@pytest.mark.parametrize("n", [1, 2, 20, 33, 34, 100, 101, 201])
def test_a_short_history_is_null_until_the_first_defined_row(n: int):
    columns = columns_of(ADDED, bars_of_close(walk(n)))

    for feature in ADDED.features:
        first = 33 if feature.name.startswith("macd") else feature.reach
        assert np.isnan(columns[feature.name]).sum() == min(n, first), feature.name


@pytest.mark.parametrize("n_own", [1, 255, 1_000])
def test_the_count_of_own_rows_changes_no_bit(real, n_own: int):
    """Finite columns start only as far back as they look, so each count begins its read elsewhere."""
    bars = real("binance_spot_BTCUSDT_1m", 3_000)
    whole = compute_chunk(ADDED, bars, interval=HOUR, n_own=3_000).select(ADDED.columns)

    assert compute_chunk(ADDED, bars, interval=HOUR, n_own=n_own).select(ADDED.columns).equals(whole.tail(n_own))


@pytest.fixture(scope="module", params=["walk", "holes", *REAL])
def audited(request) -> pl.DataFrame:
    return SERIES[request.param] if request.param in SERIES else request.getfixturevalue("real")(request.param, 1_500)


def test_no_column_looks_ahead(audited: pl.DataFrame):
    assert causality(ADDED, audited, interval=HOUR).filter(~pl.col("is_causal")).rows() == []


def test_columns_reach_as_far_back_as_they_declare(audited: pl.DataFrame):
    found = reach(ADDED, audited, rows=range(100, 600, 33))

    assert found.filter(~pl.col("is_kept")).rows() == []
