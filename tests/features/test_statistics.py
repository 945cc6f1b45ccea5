"""Statistics columns against exact arithmetic and pandas, in closed forms, and audited."""

import numpy as np
import pandas as pd
import polars as pl
import pytest

from mmf.features.audit import causality, reach
from mmf.features.build import compute_chunk, compute_columns
from mmf.features.registry import FeatureSet
from mmf.features.statistics import FEATURES, STATISTICS_WINDOWS
from tests.reference import statistics
from tests.reference.bars import HOUR, bars_of_close, numbers_with_holes, walk

STATISTICS = FeatureSet("statistics", FEATURES)
STEMS = ("rolling_mean", "rolling_std", "skew", "kurtosis", "zscore")

SERIES = {
    "walk": bars_of_close(walk(700)),
    "dear": bars_of_close(walk(700, seed=1, start=1e12)),
    "cheap": bars_of_close(walk(700, seed=2, start=1e-12)),
    "quiet": bars_of_close(walk(700, seed=3, start=1e8, step=1e-9)),
    "holes": bars_of_close(walk(700, seed=4), keep=numbers_with_holes(700)),
    "flat runs": bars_of_close(np.repeat(walk(18, seed=6), 40), wick=0.0),
    "jump": bars_of_close(np.where(np.arange(700) < 350, walk(700, seed=7), walk(700, seed=7) * 1e6)),
}
REAL = ("binance_spot_BTCUSDT_1m", "bybit_linear_BTCUSDT_60m", "binance_um_TRXUSDT_60m", "bybit_linear_ETHUSDT_D")


@pytest.fixture(scope="module", params=[*SERIES, *REAL])
def bars(request) -> pl.DataFrame:
    if request.param in SERIES:
        return SERIES[request.param]
    return request.getfixturevalue("real")(request.param, 1_500)


@pytest.fixture(scope="module")
def columns(bars: pl.DataFrame) -> dict[str, np.ndarray]:
    return columns_of(bars)


def columns_of(bars: pl.DataFrame) -> dict[str, np.ndarray]:
    return compute_columns(STATISTICS, bars, n_own=bars.height)


def test_columns_come_by_statistic_then_window():
    assert STATISTICS.columns == tuple(f"{stem}_{w}" for stem in STEMS for w in (20, 24, 50, 100))
    assert STATISTICS.inputs == ("close",)


@pytest.mark.parametrize("w", STATISTICS_WINDOWS)
def test_columns_equal_exact_arithmetic(bars: pl.DataFrame, columns: dict[str, np.ndarray], w: int):
    close = bars["close"].to_numpy()
    for t in range(w - 1, len(close), 61):
        offset, deviation, skewness, kurtosis = statistics.shape(close[t - w + 1 : t + 1])
        assert columns[f"rolling_mean_{w}"][t] == pytest.approx(close[t] + offset, rel=1e-15)
        assert columns[f"rolling_std_{w}"][t] == pytest.approx(deviation, rel=1e-14)
        assert columns[f"skew_{w}"][t] == pytest.approx(skewness, rel=1e-12, abs=1e-12, nan_ok=True)
        assert columns[f"kurtosis_{w}"][t] == pytest.approx(kurtosis, rel=1e-12, abs=1e-12, nan_ok=True)
        expected = -offset / deviation if deviation > 0 else np.nan
        assert columns[f"zscore_{w}"][t] == pytest.approx(expected, rel=1e-12, abs=1e-13, nan_ok=True)


@pytest.mark.parametrize("w", STATISTICS_WINDOWS)
@pytest.mark.parametrize("name", ["walk", *REAL])
def test_columns_equal_pandas_on_a_lively_series(request, name: str, w: int):
    bars = SERIES[name] if name in SERIES else request.getfixturevalue("real")(name, 1_500)
    got = columns_of(bars)
    close = pd.Series(bars["close"].to_numpy())
    rolling = close.rolling(w)

    np.testing.assert_allclose(got[f"rolling_mean_{w}"], rolling.mean(), rtol=1e-13)
    # sliding updates of powers cost pandas its last digits, the more the quieter the window
    np.testing.assert_allclose(got[f"rolling_std_{w}"], rolling.std(), rtol=1e-6)
    np.testing.assert_allclose(got[f"zscore_{w}"], (close - rolling.mean()) / rolling.std(), rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(got[f"skew_{w}"], rolling.skew(), rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(got[f"kurtosis_{w}"], rolling.kurt(), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("w", STATISTICS_WINDOWS)
def test_only_equal_closes_leave_shape_and_score_undefined(bars: pl.DataFrame, columns: dict[str, np.ndarray], w: int):
    close = bars["close"].to_numpy()
    is_still = np.append(np.full(w - 1, False), np.ptp(np.lib.stride_tricks.sliding_window_view(close, w), axis=1) == 0)
    is_early = np.arange(len(close)) < w - 1

    for stem in STEMS:
        undefined = is_early if stem.startswith("rolling") else is_early | is_still
        np.testing.assert_array_equal(np.isfinite(columns[f"{stem}_{w}"]), ~undefined, err_msg=stem)
    assert (columns[f"rolling_std_{w}"][is_still] == 0.0).all()


def test_columns_of_a_line_have_closed_forms():
    last = {name: column[-1] for name, column in columns_of(bars_of_close(1e3 - 0.5 * np.arange(500))).items()}

    for w in STATISTICS_WINDOWS:
        assert last[f"rolling_mean_{w}"] == 750.5 + 0.25 * (w - 1)
        assert last[f"rolling_std_{w}"] == pytest.approx(0.5 * np.sqrt(w * (w + 1) / 12), rel=1e-14)
        assert last[f"skew_{w}"] == pytest.approx(0.0, abs=1e-15)
        assert last[f"kurtosis_{w}"] == pytest.approx(-1.2, rel=1e-14)
        assert last[f"zscore_{w}"] == pytest.approx(-(w - 1) / np.sqrt(w * (w + 1) / 3), rel=1e-14)


@pytest.mark.parametrize("price", [1e-12, 0.1, 7.5, 1e12])
def test_a_constant_price_has_a_mean_and_no_shape(price: float):
    frame = compute_chunk(STATISTICS, bars_of_close(np.full(300, price), wick=0.0), interval=HOUR, n_own=201)

    for w in STATISTICS_WINDOWS:
        assert (frame[f"rolling_mean_{w}"] == np.float32(price)).all()
        assert (frame[f"rolling_std_{w}"] == 0.0).all()
        assert frame.select(f"skew_{w}", f"kurtosis_{w}", f"zscore_{w}").null_count().row(0) == (201,) * 3


@pytest.mark.parametrize("n", [1, 2, 19, 20, 99, 100, 101])
def test_a_short_history_is_null_until_the_first_defined_row(n: int):
    columns = columns_of(bars_of_close(walk(n)))

    for feature in STATISTICS.features:
        assert np.isnan(columns[feature.name]).sum() == min(n, feature.reach), feature.name


@pytest.mark.parametrize("factor", [2.0**-40, 2.0**40])
def test_the_unit_of_price_changes_no_bit(factor: float):
    """Prices from 1e-10 to 1e14; a power of two is exact."""
    scaled = columns_of(SERIES["walk"].with_columns(pl.col("close") * factor))

    for name, column in columns_of(SERIES["walk"]).items():
        amount = factor if name.startswith("rolling") else 1.0
        np.testing.assert_array_equal(scaled[name], column * amount, err_msg=name)


@pytest.mark.parametrize("begin", [1, 100, 1_234])
@pytest.mark.parametrize("n_own", [1, 255, 1_000])
def test_bits_depend_neither_on_the_read_nor_on_the_count_of_own_rows(real, begin: int, n_own: int):
    bars = real("binance_spot_BTCUSDT_1m", 3_000)
    whole = compute_chunk(STATISTICS, bars, interval=HOUR, n_own=3_000).select(STATISTICS.columns)
    part = compute_chunk(STATISTICS, bars[begin:], interval=HOUR, n_own=n_own).select(STATISTICS.columns)

    assert part.equals(whole.tail(n_own))


@pytest.fixture(scope="module", params=["walk", "holes", *REAL[:3]])
def audited(request) -> pl.DataFrame:
    return SERIES[request.param] if request.param in SERIES else request.getfixturevalue("real")(request.param, 400)


def test_no_column_looks_ahead(audited: pl.DataFrame):
    assert causality(STATISTICS, audited, interval=HOUR).filter(~pl.col("is_causal")).rows() == []


def test_columns_reach_as_far_back_as_they_declare(audited: pl.DataFrame):
    assert reach(STATISTICS, audited).filter(~pl.col("is_kept")).rows() == []
