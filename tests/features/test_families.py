"""Each column against an independent oracle, on made-up and real bars."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import polars as pl
import pytest
import talib

from mmf.bars import Interval
from mmf.features.build import compute_chunk
from mmf.features.record import WINDOWS, Feature
from mmf.features.registry import feature_set
from tests.reference import chaos
from tests.reference.bars import HOUR, bars_of_close, numbers_with_holes, walk

CORE = feature_set("core")

SERIES = {
    "walk": bars_of_close(walk(700)),
    "dear": bars_of_close(walk(700, seed=1, start=1e8)),
    "cheap": bars_of_close(walk(700, seed=2, start=1e-8)),
    "quiet": bars_of_close(walk(700, seed=3, step=1e-6)),
    "holes": bars_of_close(walk(700, seed=4), keep=numbers_with_holes(700)),
    "noise": bars_of_close(100 + np.random.default_rng(5).random(700)),
    "flat runs": bars_of_close(np.repeat(walk(70, seed=6), 10)),
    "jump": bars_of_close(np.where(np.arange(700) < 350, walk(700, seed=7), walk(700, seed=7) * 1e6)),
}
REAL = ("bybit_linear_BTCUSDT_60m", "binance_um_TRXUSDT_60m", "binance_um_ETHUSDT_5m")


def computed(bars: pl.DataFrame, interval: Interval = HOUR) -> pl.DataFrame:
    return compute_chunk(CORE, bars, interval=interval, n_own=bars.height)


@pytest.fixture(scope="module", params=[*SERIES, *REAL])
def bars(request) -> pl.DataFrame:
    if request.param in SERIES:
        return SERIES[request.param]
    return request.getfixturevalue("real")(request.param, 1_000)


@pytest.fixture(scope="module")
def frame(bars: pl.DataFrame) -> pl.DataFrame:
    return computed(bars, Interval("5" if bars["open_time"].diff()[-1].seconds == 300 else "60"))


def prices(bars: pl.DataFrame) -> list[np.ndarray]:
    return [bars[name].to_numpy() for name in ("high", "low", "close")]


def bands(bars: pl.DataFrame, w: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Two-pass bands by numpy: TA-Lib subtracts squares, which loses quiet series altogether."""
    close = bars["close"].to_numpy()
    view = np.lib.stride_tricks.sliding_window_view(close, w)
    pad = np.full(w - 1, np.nan)
    deviation = np.where(np.ptp(view, axis=1) > 0, view.std(axis=1), 0.0)
    return close, np.concatenate([pad, view.mean(axis=1)]), np.concatenate([pad, deviation])


def percent_b(bars: pl.DataFrame, w: int) -> np.ndarray:
    close, mean, deviation = bands(bars, w)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(deviation > 0, (close - mean + 2 * deviation) / (4 * deviation), np.nan)


def bandwidth(bars: pl.DataFrame, w: int) -> np.ndarray:
    _, mean, deviation = bands(bars, w)
    return 4 * deviation / mean


def log_returns(bars: pl.DataFrame) -> np.ndarray:
    close = bars["close"].to_numpy()
    return np.log(close / np.concatenate([[np.nan], close[:-1]]))


def volatility(bars: pl.DataFrame, w: int) -> np.ndarray:
    windows = np.lib.stride_tricks.sliding_window_view(log_returns(bars), w)
    return np.concatenate([np.full(w - 1, np.nan), windows.std(axis=1, ddof=1)])


ORACLES: dict[str, Callable[[pl.DataFrame, int], np.ndarray]] = {
    "volatility": volatility,
    "atr": lambda bars, w: talib.ATR(*prices(bars), w),
    "natr": lambda bars, w: talib.NATR(*prices(bars), w),
    "bb_percent_b": percent_b,
    "bb_bandwidth": bandwidth,
    "roc": lambda bars, w: talib.ROC(bars["close"].to_numpy(), w),
    "sma_dist": lambda bars, w: bars["close"].to_numpy() / bands(bars, w)[1] - 1,
    "ema_dist": lambda bars, w: bars["close"].to_numpy() / talib.EMA(bars["close"].to_numpy(), w) - 1,
}


def assert_same(got: pl.Series, expected: np.ndarray, *, absolute: float = 0.0) -> None:
    """Defined on the same rows, and equal to float32."""
    np.testing.assert_array_equal(got.is_null().to_numpy(), np.isnan(expected), err_msg=got.name)
    np.testing.assert_allclose(got.to_numpy(), expected, rtol=3e-7, atol=absolute, err_msg=got.name)


@pytest.mark.parametrize("stem", ORACLES)
def test_columns_equal_their_oracle(bars: pl.DataFrame, frame: pl.DataFrame, stem: str):
    # a distance from a mean is a difference of nearly equal numbers, which costs the oracle its last digits
    absolute = {"sma_dist": 1e-13, "ema_dist": 1e-13, "roc": 1e-13, "bb_percent_b": 1e-12}.get(stem, 1e-16)
    for w in (20, 100, 200) if stem == "volatility" else WINDOWS:
        assert_same(frame[f"{stem}_{w}"], ORACLES[stem](bars, w), absolute=absolute)


def test_rsi_equals_talib_where_it_is_defined(bars: pl.DataFrame, frame: pl.DataFrame):
    # TA-Lib takes gains and losses below 1e-14 for zero: bring the cheap series into its reach
    close = bars["close"].to_numpy() / bars["close"][0] * 1e4
    for w in WINDOWS:
        defined = frame[f"rsi_{w}"].is_not_null().to_numpy()
        np.testing.assert_array_equal(
            defined, (np.arange(len(close)) >= w) & (np.cumsum(np.diff(close, prepend=close[0]) != 0) > 0)
        )
        np.testing.assert_allclose(
            frame[f"rsi_{w}"].to_numpy()[defined], talib.RSI(close, w)[defined], rtol=1e-6, atol=1e-4
        )


@pytest.mark.parametrize("w", [5, 21, 200])
def test_bands_equal_talib_on_a_lively_series(w: int):
    bars = SERIES["walk"]
    upper, middle, lower = talib.BBANDS(bars["close"].to_numpy(), w, 2, 2, 0)
    frame = computed(bars)

    assert_same(frame[f"bb_bandwidth_{w}"], (upper - lower) / middle, absolute=1e-9)
    assert_same(frame[f"bb_percent_b_{w}"], (bars["close"].to_numpy() - lower) / (upper - lower), absolute=1e-7)


@pytest.mark.parametrize("w", [20, 100, 200])
def test_volatility_equals_pandas(w: int):
    bars = SERIES["walk"]
    assert_same(computed(bars)[f"volatility_{w}"], pd.Series(log_returns(bars)).rolling(w).std().to_numpy())


@pytest.mark.parametrize("stem", ["hurst", "entropy", "fdi"])
@pytest.mark.parametrize("w", [100, 200])
def test_chaos_equals_its_slow_twin(bars: pl.DataFrame, frame: pl.DataFrame, stem: str, w: int):
    log_price = np.log(bars["close"].to_numpy())
    values = log_price if stem == "fdi" else log_returns(bars)
    first = w - 1 if stem == "fdi" else w
    column = frame[f"{stem}_{w}"]
    assert column[:first].null_count() == first
    for t in [first, first + 1, *range(first + 2, len(values), 37)]:
        expected = getattr(chaos, stem)(values[t - w + 1 : t + 1])
        if column[t] is None:
            assert np.isnan(expected) or (stem == "hurst" and has_a_still_size(values[t - w + 1 : t + 1])), t
        else:
            # a price near 1 has a logarithm with more digits than one near 1e8
            assert column[t] == pytest.approx(expected, abs=2e-6 if bars is SERIES["quiet"] else 3e-7), t


def has_a_still_size(returns: np.ndarray) -> bool:
    """Whether some divisor has chunks without movement only; nolds then fits the others, we say null."""
    sizes = [n for n in range(10, len(returns) + 1) if len(returns) % n == 0]
    return any(np.ptp(returns.reshape(-1, n) - returns.reshape(-1, n).mean(axis=1)[:, None]) < 1e-12 for n in sizes)


def test_price_columns_have_closed_forms():
    bars = pl.DataFrame(
        {
            "open_time": [0, 1, 2, 3],
            "open": [10.0, 12.0, 8.0, 5.0],
            "high": [14.0, 16.0, 8.0, 6.0],
            "low": [9.0, 8.0, 8.0, 5.0],
            "close": [12.0, 8.0, 8.0, 6.0],
            "volume": [1.0, 1.0, 1.0, 1.0],
        }
    ).with_columns((pl.col("open_time") * HOUR.ms).cast(pl.Datetime("ms", "UTC")))
    frame = computed(bars)

    assert_same(frame["log_return"], np.log([np.nan, 8 / 12, 1.0, 6 / 8]))
    assert_same(frame["log_range"], np.log([14 / 9, 2.0, 1.0, 6 / 5]))
    assert_same(frame["body_shadow_ratio"], np.array([2 / 5, 4 / 8, 0.0, 1.0]))
    assert_same(frame["upper_shadow_ratio"], np.array([2 / 5, 4 / 8, 0.0, 0.0]))
    assert_same(frame["lower_shadow_ratio"], np.array([1 / 5, 0.0, 0.0, 0.0]))


def test_nothing_is_nan_or_infinite(frame: pl.DataFrame):
    values = frame.select(CORE.columns)

    assert set(values.dtypes) == {pl.Float32}
    assert values.select(pl.all().is_finite().all()).row(0) == (True,) * values.width


def test_a_constant_series_is_still():
    frame = computed(bars_of_close(np.full(450, 7.5), wick=0.0))
    last = frame.row(-1, named=True)

    still = {name for name in CORE.columns if last[name] is None}
    assert {name.rstrip("0123456789") for name in still} == {
        *("rsi_", "willr_", "cci_", "mfi_", "bb_percent_b_", "adx_", "plus_di_", "minus_di_"),
        *("skew_", "kurtosis_", "zscore_", "hurst_", "entropy_", "fdi_"),
    }
    means = {f"rolling_mean_{w}" for w in (20, 24, 50, 100)}
    assert all(last[name] == 7.5 for name in means)
    assert all(
        abs(last[name]) < 1e-15 for name in CORE.columns if name not in still and not name.startswith("rolling_mean_")
    )


@pytest.mark.parametrize("n", [1, 2, 3, 14, 100, 101, 201])
def test_a_short_history_gives_null_until_the_first_defined_row(n: int):
    frame = computed(bars_of_close(walk(n)))

    assert frame.height == n
    for feature in CORE.features:
        assert frame[feature.name].null_count() == min(n, first_defined_row(feature)), feature.name


def first_defined_row(feature: Feature) -> int:
    """Of a finite feature the first row whose window is whole, of a recursive one that of TA-Lib."""
    if feature.lookback is not None:
        return feature.lookback
    stem, _, window = feature.name.rpartition("_")
    if feature.name.startswith("macd"):
        return 33
    return {"adx": 2 * int(window) - 1, "ema_dist": int(window) - 1}.get(stem, int(window))


@pytest.mark.parametrize(
    "stem", ["hurst", "entropy", "fdi", "rsi", "bb_percent_b", "natr", "roc", "sma_dist", "log_range"]
)
def test_a_change_of_unit_changes_no_ratio(stem: str):
    bars = SERIES["walk"]
    scaled = bars.with_columns(pl.col("open", "high", "low", "close") * 1_000)
    columns = [name for name in CORE.columns if name.startswith(stem)]

    assert columns
    for name in columns:
        np.testing.assert_allclose(computed(scaled)[name], computed(bars)[name], rtol=1e-5, atol=1e-6)
