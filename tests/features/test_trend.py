"""Trend columns against TA-Lib, in closed forms, and audited."""

import numpy as np
import polars as pl
import pytest
import talib

from mmf.features import trend
from mmf.features.audit import causality, reach
from mmf.features.build import compute_chunk, compute_columns
from mmf.features.record import LEAD_BARS, WINDOWS
from mmf.features.registry import FeatureSet
from tests.reference.bars import HOUR, bars_of_close, numbers_with_holes, walk

STEMS = ("adx_", "plus_di_", "minus_di_", "slope_")
TREND = FeatureSet("trend", tuple(f for f in trend.FEATURES if f.name.startswith(STEMS)))
SLOPES = [f"slope_{w}" for w in trend.SLOPE_WINDOWS]

SERIES = {
    "walk": bars_of_close(walk(700)),
    "dear": bars_of_close(walk(700, seed=1, start=1e12)),
    "holes": bars_of_close(walk(700, seed=4), keep=numbers_with_holes(700)),
    "flat runs": bars_of_close(np.repeat(walk(70, seed=6), 10), wick=0.0),
    "line": bars_of_close(50.0 + np.arange(700)),
}
REAL = ("binance_spot_BTCUSDT_1m", "bybit_linear_BTCUSDT_60m", "binance_um_TRXUSDT_60m", "bybit_linear_ETHUSDT_D")


@pytest.fixture(scope="module", params=[*SERIES, *REAL])
def bars(request) -> pl.DataFrame:
    if request.param in SERIES:
        return SERIES[request.param]
    return request.getfixturevalue("real")(request.param, 3_000)


@pytest.fixture(scope="module")
def columns(bars: pl.DataFrame) -> dict[str, np.ndarray]:
    return columns_of(bars)


def columns_of(bars: pl.DataFrame) -> dict[str, np.ndarray]:
    return compute_columns(TREND, bars, n_own=bars.height)


def assert_same(got: np.ndarray, oracle: np.ndarray, *, undefined: np.ndarray, absolute: float) -> None:
    """Defined where TA-Lib is, but for the listed rows, and equal there."""
    np.testing.assert_array_equal(np.isfinite(got), np.isfinite(oracle) & ~undefined)
    defined = np.isfinite(got)
    np.testing.assert_allclose(got[defined], oracle[defined], rtol=1e-9, atol=absolute)


@pytest.mark.parametrize("w", WINDOWS)
def test_directional_columns_equal_talib(bars: pl.DataFrame, columns: dict[str, np.ndarray], w: int):
    prices = [bars[name].to_numpy() for name in ("high", "low", "close")]

    has_range = np.cumsum(talib.TRANGE(*prices)[1:] > 0, dtype=int) > 0
    undefined = ~np.append(False, has_range)  # of the series that begins with a run of still bars
    for stem, function in (("adx", talib.ADX), ("plus_di", talib.PLUS_DI), ("minus_di", talib.MINUS_DI)):
        assert_same(columns[f"{stem}_{w}"], function(*prices, w), undefined=undefined, absolute=1e-9)


@pytest.mark.parametrize("w", trend.SLOPE_WINDOWS)
def test_slopes_equal_talib(bars: pl.DataFrame, columns: dict[str, np.ndarray], w: int):
    close = bars["close"].to_numpy()

    # TA-Lib sums k times price over the whole array, which costs it some digits of the price level
    oracle = talib.LINEARREG_SLOPE(close, w)
    assert_same(columns[f"slope_{w}"], oracle, undefined=np.isnan(oracle), absolute=1e-10 * close.max())


@pytest.mark.parametrize("w", trend.SLOPE_WINDOWS)
def test_slopes_equal_a_fit_of_distances(bars: pl.DataFrame, columns: dict[str, np.ndarray], w: int):
    close = bars["close"].to_numpy()
    for t in range(w - 1, len(close), 97):
        distance = close[t - w + 1 : t + 1] - close[t]
        expected = np.polyfit(np.arange(w), distance, 1)[0]
        assert columns[f"slope_{w}"][t] == pytest.approx(expected, rel=1e-10, abs=1e-13 * np.ptp(distance))


def test_columns_of_a_line_have_closed_forms():
    bars = bars_of_close(1e3 - np.arange(500.0)).with_columns(high=pl.col("close") + 1, low=pl.col("close") - 1)
    last = {name: column[-1] for name, column in columns_of(bars).items()}

    for w in WINDOWS:
        assert last[f"adx_{w}"] == pytest.approx(100.0, rel=1e-12)
        assert last[f"minus_di_{w}"] == pytest.approx(50.0, rel=1e-12)
        assert last[f"plus_di_{w}"] == 0.0
    assert [last[name] for name in SLOPES] == pytest.approx([-1.0] * 4, rel=1e-14)


@pytest.mark.parametrize("price", [1e-12, 0.1, 7.5, 1e12])
def test_a_constant_price_has_no_direction_and_no_slope(price: float):
    columns = columns_of(bars_of_close(np.full(500, price), wick=0.0))

    for feature in TREND.features:
        if feature.name in SLOPES:
            assert (columns[feature.name][feature.reach :] == 0.0).all()
        else:
            assert np.isnan(columns[feature.name]).all()


@pytest.mark.parametrize("n", [1, 2, 3, 5, 6, 28, 99, 100, 401])
def test_a_short_history_is_null_until_the_first_defined_row(n: int):
    columns = columns_of(bars_of_close(walk(n)))

    for feature in TREND.features:
        stem, _, w = feature.name.rpartition("_")
        first = {"adx": 2 * int(w) - 1, "slope": int(w) - 1}.get(stem, int(w))
        assert np.isnan(columns[feature.name]).sum() == min(n, first), feature.name


@pytest.mark.parametrize("factor", [2.0**-40, 2.0**40])
def test_the_unit_of_price_changes_no_bit(factor: float):
    """Prices from 1e-10 to 1e14; a power of two is exact."""
    bars = SERIES["walk"]
    scaled = columns_of(bars.with_columns(pl.col("open", "high", "low", "close") * factor))

    for name, column in columns_of(bars).items():
        np.testing.assert_array_equal(scaled[name], column * (factor if name in SLOPES else 1.0), err_msg=name)


@pytest.mark.parametrize("begin", [1, 100, 1_234])
@pytest.mark.parametrize("name", ["binance_spot_BTCUSDT_1m", "binance_um_DOGEUSDT_60m"])
def test_bits_of_slopes_do_not_depend_on_where_the_read_begins(real, name: str, begin: int):
    bars = real(name, 3_000)
    whole = compute_chunk(TREND, bars, interval=HOUR, n_own=1_000).select(SLOPES)

    assert compute_chunk(TREND, bars[begin:], interval=HOUR, n_own=1_000).select(SLOPES).equals(whole)


@pytest.mark.parametrize("n_own", [1, 255, 2_000])
def test_the_count_of_own_rows_changes_no_bit(real, n_own: int):
    bars = real("binance_spot_BTCUSDT_1m", 3_000)
    whole = compute_chunk(TREND, bars, interval=HOUR, n_own=3_000).select(TREND.columns)

    assert compute_chunk(TREND, bars, interval=HOUR, n_own=n_own).select(TREND.columns).equals(whole.tail(n_own))


def test_a_warm_row_forgets_where_its_read_began(real):
    """Seeds differ, values do not, once the declared memory lies behind."""
    bars = real("binance_spot_BTCUSDT_1m", LEAD_BARS + 2_000)
    whole, part = (compute_columns(TREND, read, n_own=1_000) for read in (bars, bars[1_000:]))

    for name in TREND.columns:
        scale = np.sqrt(np.mean(whole[name] ** 2))
        np.testing.assert_allclose(part[name], whole[name], rtol=0, atol=2.0**-24 * scale, err_msg=name)


@pytest.fixture(scope="module", params=["walk", *REAL[:3]])
def audited(request) -> pl.DataFrame:
    n = 3 * TREND.memory + 24
    return bars_of_close(walk(n)) if request.param == "walk" else request.getfixturevalue("real")(request.param, n)


def test_no_column_looks_ahead(audited: pl.DataFrame):
    found = causality(TREND, audited, interval=HOUR)

    assert found.filter(~pl.col("is_causal")).rows() == []


def test_columns_reach_as_far_back_as_they_declare(audited: pl.DataFrame):
    rows = [audited.height * share // 24 for share in range(2, 9)]
    found = reach(TREND, audited, rows=rows)

    assert found.filter(~pl.col("is_kept")).rows() == []
