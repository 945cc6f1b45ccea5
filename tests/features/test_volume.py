"""Volume columns against exact sums, pandas and TA-Lib, in closed forms, and audited."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
import talib

from mmf.features import volume
from mmf.features.audit import causality, reach
from mmf.features.build import compute_chunk, compute_columns
from mmf.features.registry import FeatureSet
from tests.reference import statistics
from tests.reference.bars import HOUR, bars_of_close, numbers_with_holes, walk

VOLUME = FeatureSet("volume", volume.FEATURES)

SERIES = {
    "walk": bars_of_close(walk(700)),
    "dear": bars_of_close(walk(700, seed=1, start=1e12)),
    "cheap": bars_of_close(walk(700, seed=2, start=1e-12)),
    "holes": bars_of_close(walk(700, seed=4), keep=numbers_with_holes(700)),
    "flat runs": bars_of_close(np.repeat(walk(70, seed=6), 10), wick=0.0),
    "no trades": bars_of_close(walk(700, seed=8)).with_columns(
        volume=pl.when(pl.int_range(pl.len()) % 300 < 250).then(pl.col("volume")).otherwise(0.0)
    ),
    "wild volume": bars_of_close(walk(700, seed=9)).with_columns(volume=pl.col("volume").log().mul(20).exp()),
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
    return compute_columns(VOLUME, bars, n_own=bars.height)


def arrays(bars: pl.DataFrame, *names: str) -> list[np.ndarray]:
    return [bars[name].to_numpy() for name in names]


def test_there_are_four_columns():
    assert VOLUME.columns == ("cmf_20", "obv_20", "obv_100", "obv_200")
    assert VOLUME.inputs == ("high", "low", "close", "volume")


def test_money_flow_equals_exact_sums(bars: pl.DataFrame, columns: dict[str, np.ndarray]):
    inputs = arrays(bars, "high", "low", "close", "volume")
    expected = [statistics.money_flow(*(x[t - 19 : t + 1] for x in inputs)) for t in range(19, bars.height)]

    assert np.isnan(columns["cmf_20"][:19]).all()
    np.testing.assert_allclose(columns["cmf_20"][19:], expected, rtol=0, atol=1e-15)
    assert np.nanmax(np.abs(columns["cmf_20"])) <= 1.0


@pytest.mark.parametrize("w", volume.SIGNED_WINDOWS)
def test_signed_volume_equals_exact_sums(bars: pl.DataFrame, columns: dict[str, np.ndarray], w: int):
    close, traded = arrays(bars, "close", "volume")
    column = columns[f"obv_{w}"]

    assert np.isnan(column[:w]).all()
    for t in range(w, bars.height, 7):
        total = traded[t - w + 1 : t + 1].sum()
        expected = statistics.signed_volume(close[t - w : t + 1], traded[t - w : t + 1])
        assert column[t] == pytest.approx(expected, rel=0, abs=1e-15 * total)


@pytest.mark.parametrize("w", volume.SIGNED_WINDOWS)
def test_signed_volume_equals_differences_of_talib(bars: pl.DataFrame, columns: dict[str, np.ndarray], w: int):
    running = talib.OBV(*arrays(bars, "close", "volume"))

    # a running total keeps the rounding of its largest value
    absolute = 1e-13 * bars["volume"].sum()
    np.testing.assert_allclose(columns[f"obv_{w}"][w:], running[w:] - running[:-w], rtol=1e-12, atol=absolute)


def test_money_flow_equals_pandas_on_a_lively_series():
    high, low, close, traded = (pd.Series(x) for x in arrays(SERIES["walk"], "high", "low", "close", "volume"))
    flow = ((close - low) - (high - close)) / (high - low) * traded
    expected = flow.rolling(20).sum() / traded.rolling(20).sum()

    np.testing.assert_allclose(columns_of(SERIES["walk"])["cmf_20"], expected, rtol=1e-9, atol=1e-13)


@pytest.mark.parametrize(("place", "expected"), [(1.0, 1.0), (0.0, -1.0), (0.5, 0.0), (0.75, 0.5)])
def test_money_flow_is_where_in_its_range_a_bar_closes(place: float, expected: float):
    bars = bars_of_close(walk(60)).with_columns(low=pl.lit(64.0), high=pl.lit(128.0), close=pl.lit(64.0 + 64 * place))

    assert columns_of(bars)["cmf_20"][19:] == pytest.approx(expected, abs=1e-15)


@pytest.mark.parametrize(("step", "sign"), [(1.0, 1.0), (-1.0, -1.0), (0.0, 0.0)])
def test_signed_volume_of_a_line_is_its_volume(step: float, sign: float):
    bars = bars_of_close(1e3 + step * np.arange(500)).with_columns(volume=pl.lit(3.0))
    columns = columns_of(bars)

    for w in volume.SIGNED_WINDOWS:
        assert set(columns[f"obv_{w}"][w:]) == {sign * 3.0 * w}


def test_flat_bars_weigh_nothing():
    bars = bars_of_close(np.full(60, 7.5), wick=0.0)

    assert (columns_of(bars)["cmf_20"][19:] == 0.0).all()


def test_without_volume_money_flow_is_undefined_and_signed_volume_is_zero():
    traded = np.where((np.arange(400) >= 100) & (np.arange(400) < 350), 0.0, 2.0)
    bars = bars_of_close(walk(400)).with_columns(volume=pl.Series(traded))
    frame = compute_chunk(VOLUME, bars, interval=HOUR, n_own=400)

    assert frame["cmf_20"].is_null().arg_true().to_list() == [*range(19), *range(119, 350)]
    assert frame["obv_20"].is_null().arg_true().to_list() == [*range(20)]
    assert (frame["obv_20"][119:350] == 0.0).all()


@pytest.mark.parametrize("n", [1, 2, 19, 20, 21, 100, 101, 201])
def test_a_short_history_is_null_until_the_first_defined_row(n: int):
    columns = columns_of(bars_of_close(walk(n)))

    for feature in VOLUME.features:
        assert np.isnan(columns[feature.name]).sum() == min(n, feature.reach), feature.name


@pytest.mark.parametrize("factor", [2.0**-40, 2.0**40])
def test_units_change_no_bit(factor: float):
    """A power of two is exact: the unit of price is forgotten, that of volume stays in obv."""
    base = columns_of(SERIES["walk"])
    prices = columns_of(SERIES["walk"].with_columns(pl.col("high", "low", "close") * factor))
    volumes = columns_of(SERIES["walk"].with_columns(pl.col("volume") * factor))

    for name, column in base.items():
        np.testing.assert_array_equal(prices[name], column)
        np.testing.assert_array_equal(volumes[name], column * (factor if name.startswith("obv") else 1.0))


@pytest.mark.parametrize("begin", [1, 100, 1_234])
@pytest.mark.parametrize("n_own", [1, 255, 1_000])
def test_bits_depend_neither_on_the_read_nor_on_the_count_of_own_rows(real, begin: int, n_own: int):
    bars = real("binance_spot_BTCUSDT_1m", 3_000)
    whole = compute_chunk(VOLUME, bars, interval=HOUR, n_own=3_000).select(VOLUME.columns)
    part = compute_chunk(VOLUME, bars[begin:], interval=HOUR, n_own=n_own).select(VOLUME.columns)

    assert part.equals(whole.tail(n_own))


@pytest.fixture(scope="module", params=["walk", "holes", *REAL[:3]])
def audited(request) -> pl.DataFrame:
    return SERIES[request.param] if request.param in SERIES else request.getfixturevalue("real")(request.param, 700)


def test_no_column_looks_ahead(audited: pl.DataFrame):
    assert causality(VOLUME, audited, interval=HOUR).filter(~pl.col("is_causal")).rows() == []


def test_columns_reach_as_far_back_as_they_declare(audited: pl.DataFrame):
    # the oldest close of obv counts only where doubling it turns the sign of the next change: try many rows
    found = reach(VOLUME, audited, rows=range(50, 300, 17))

    assert found.filter(~pl.col("is_kept")).rows() == []
