"""Momentum columns against TA-Lib, in closed forms, and audited."""

import numpy as np
import polars as pl
import pytest
import talib

from mmf.features import momentum
from mmf.features.audit import causality, reach
from mmf.features.build import compute_chunk, compute_columns
from mmf.features.record import WINDOWS
from mmf.features.registry import FeatureSet
from tests.reference.bars import HOUR, bars_of_close, numbers_with_holes, walk

STEMS = ("willr_", "cci_", "mfi_", "macd")
MOMENTUM = FeatureSet("momentum", tuple(f for f in momentum.FEATURES if f.name.startswith(STEMS)))
FINITE = [f.name for f in MOMENTUM.features if f.lookback is not None]

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
    return compute_columns(MOMENTUM, bars, n_own=bars.height)


def arrays(bars: pl.DataFrame, *names: str) -> list[np.ndarray]:
    return [bars[name].to_numpy() for name in names or ("high", "low", "close")]


def window(values: np.ndarray, w: int) -> np.ndarray:
    """(n, w) values that end at each row; NaN before the first."""
    return np.lib.stride_tricks.sliding_window_view(np.concatenate([np.full(w - 1, np.nan), values]), w)


def assert_same(got: np.ndarray, oracle: np.ndarray, *, undefined: np.ndarray, absolute: float) -> None:
    """Defined where TA-Lib is, but for the listed rows, and equal there."""
    np.testing.assert_array_equal(np.isfinite(got), np.isfinite(oracle) & ~undefined)
    defined = np.isfinite(got)
    np.testing.assert_allclose(got[defined], oracle[defined], rtol=1e-9, atol=absolute)


@pytest.mark.parametrize("w", WINDOWS)
def test_williams_equals_talib(bars: pl.DataFrame, columns: dict[str, np.ndarray], w: int):
    high, low, close = arrays(bars)
    still = window(high, w).max(axis=1) == window(low, w).min(axis=1)

    assert_same(columns[f"willr_{w}"], talib.WILLR(high, low, close, w), undefined=still, absolute=1e-10)


@pytest.mark.parametrize("w", WINDOWS)
def test_commodity_channel_equals_talib(bars: pl.DataFrame, columns: dict[str, np.ndarray], w: int):
    typical = momentum.typical_price(*arrays(bars))
    still = np.ptp(window(typical, w), axis=1) <= 1e-15 * typical
    # TA-Lib keeps the typical price itself, so a quiet window at a dear price has lost some digits there
    assert_same(columns[f"cci_{w}"], talib.CCI(*arrays(bars), w), undefined=still, absolute=1e-5)


@pytest.mark.parametrize("w", momentum.FLOW_WINDOWS)
def test_money_flow_equals_talib(bars: pl.DataFrame, columns: dict[str, np.ndarray], w: int):
    typical, volume = momentum.typical_price(*arrays(bars)), bars["volume"].to_numpy()
    moved = np.append(False, np.abs(np.diff(typical)) > 1e-15 * typical[1:]) * volume
    still = window(moved, w).sum(axis=1) == 0

    assert_same(columns[f"mfi_{w}"], talib.MFI(*arrays(bars), volume, w), undefined=still, absolute=1e-7)


def test_macd_equals_talib(bars: pl.DataFrame, columns: dict[str, np.ndarray]):
    close = bars["close"].to_numpy()
    never = np.zeros(len(close), bool)

    for name, oracle in zip(("macd", "macd_signal", "macd_hist"), talib.MACD(close, 12, 26, 9), strict=True):
        assert np.flatnonzero(np.isfinite(oracle))[0] == 33
        assert_same(columns[name], oracle, undefined=never, absolute=1e-12 * close.max())


def test_columns_of_a_line_have_closed_forms():
    close = 1e3 + np.arange(500.0)
    bars = bars_of_close(close).with_columns(high=pl.col("close") + 1, low=pl.col("close") - 1)
    last = {name: column[-1] for name, column in columns_of(bars).items()}

    for w in WINDOWS:
        deviation = (w - 1 / w) / 4 if w % 2 else w / 4
        assert last[f"willr_{w}"] == pytest.approx(-100 / (w + 1), rel=1e-12)
        assert last[f"cci_{w}"] == pytest.approx((w - 1) / 2 / deviation / 0.015, rel=1e-12)
    assert {last[f"mfi_{w}"] for w in momentum.FLOW_WINDOWS} == {100.0}
    assert last["macd"] == pytest.approx(7.0, rel=1e-12)
    assert last["macd_hist"] == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize("price", [1e-12, 0.1, 7.5, 1e12])
def test_a_constant_price_is_undefined_and_has_no_divergence(price: float):
    columns = columns_of(bars_of_close(np.full(400, price), wick=0.0))

    assert all(np.isnan(columns[name]).all() for name in FINITE)
    for name in ("macd", "macd_signal", "macd_hist"):
        assert (columns[name][33:] == 0.0).all()


def test_without_volume_there_is_no_money_flow():
    bars = bars_of_close(walk(100)).with_columns(
        volume=pl.when(pl.int_range(pl.len()).is_between(40, 79)).then(0.0).otherwise(pl.col("volume"))
    )
    columns = columns_of(bars)

    for w in momentum.FLOW_WINDOWS:
        assert np.flatnonzero(np.isnan(columns[f"mfi_{w}"])).tolist() == [*range(w), *range(39 + w, 80)]


@pytest.mark.parametrize("n", [1, 2, 3, 33, 34, 35, 55, 56])
def test_a_short_history_is_null_until_the_first_defined_row(n: int):
    columns = columns_of(bars_of_close(walk(n)))

    for feature in MOMENTUM.features:
        first = 33 if feature.lookback is None else feature.lookback
        assert np.isnan(columns[feature.name]).sum() == min(n, first), feature.name


@pytest.mark.parametrize("factor", [2.0**-40, 2.0**40])
def test_the_unit_of_price_changes_no_bit(factor: float):
    """Prices from 1e-10 to 1e14; a power of two is exact."""
    bars = SERIES["walk"]
    scaled = columns_of(bars.with_columns(pl.col("open", "high", "low", "close") * factor))

    for name, column in columns_of(bars).items():
        np.testing.assert_array_equal(scaled[name], column * (factor if name.startswith("macd") else 1.0), err_msg=name)


@pytest.mark.parametrize("begin", [1, 100, 1_234])
@pytest.mark.parametrize("name", ["binance_spot_BTCUSDT_1m", "binance_um_DOGEUSDT_60m"])
def test_bits_of_finite_columns_do_not_depend_on_where_the_read_begins(real, name: str, begin: int):
    bars = real(name, 3_000)
    whole = compute_chunk(MOMENTUM, bars, interval=HOUR, n_own=1_000).select(FINITE)
    part = compute_chunk(MOMENTUM, bars[begin:], interval=HOUR, n_own=1_000).select(FINITE)

    assert part.equals(whole)


@pytest.mark.parametrize("n_own", [1, 255, 2_000])
def test_the_count_of_own_rows_changes_no_bit(real, n_own: int):
    bars = real("binance_spot_BTCUSDT_1m", 3_000)
    whole = compute_chunk(MOMENTUM, bars, interval=HOUR, n_own=3_000).select(MOMENTUM.columns)

    assert compute_chunk(MOMENTUM, bars, interval=HOUR, n_own=n_own).select(MOMENTUM.columns).equals(whole.tail(n_own))


@pytest.fixture(scope="module", params=["walk", *REAL[:3]])
def audited(request) -> pl.DataFrame:
    n = 3 * MOMENTUM.memory + 24
    return bars_of_close(walk(n)) if request.param == "walk" else request.getfixturevalue("real")(request.param, n)


def test_no_column_looks_ahead(audited: pl.DataFrame):
    rows = [audited.height * share // 16 for share in range(8, 16)]
    found = causality(MOMENTUM, audited, interval=HOUR, rows=rows)

    assert found.filter(~pl.col("is_causal")).rows() == []


def test_columns_reach_as_far_back_as_they_declare(audited: pl.DataFrame):
    # money flow reads the sign of its first change only, which a changed bar turns over in every other row
    rows = [audited.height * share // 48 for share in range(2, 17)]
    found = reach(MOMENTUM, audited, rows=rows)

    assert found.filter(~pl.col("is_kept")).rows() == []
