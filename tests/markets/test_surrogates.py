import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmf.bars import BAR_SCHEMA
from mmf.errors import CallError, DataError
from mmf.markets.simulated import MarketConfig, SimulatedMarket
from mmf.markets.surrogates import KINDS, Kind, surrogate, volatility_path

REAL = SimulatedMarket(MarketConfig(symbols=("BTCUSDT",), n_bars=3_000, seed=7)).bars("BTCUSDT")
HOLED = pl.concat([REAL[:300], REAL[360:660]])


def log_returns(bars: pl.DataFrame) -> np.ndarray:
    return np.log(bars["close"].to_numpy() / bars["open"].to_numpy())


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=20)
@given(seed=st.integers(0, 10_000))
def test_bars_stay_bars_on_the_same_grid(kind: Kind, seed: int) -> None:
    bars = surrogate(HOLED, kind, seed=seed)
    assert bars.schema == pl.Schema(BAR_SCHEMA)
    assert bars["open_time"].equals(HOLED["open_time"])
    assert bars["open"][0] == pytest.approx(HOLED["open"][0], rel=1e-12)
    assert bars["open"][1:].to_numpy() == pytest.approx(bars["close"][:-1].to_numpy(), rel=1e-12)
    body = pl.max_horizontal("open", "close"), pl.min_horizontal("open", "close")
    assert bars.select((pl.col("high") >= body[0]).all() & (pl.col("low") <= body[1]).all()).item()
    assert bars.select(pl.all_horizontal(pl.col("low", "volume", "turnover") > 0).all()).item()
    vwap = pl.col("turnover") / pl.col("volume")
    assert bars.select((vwap <= pl.col("high") * (1 + 1e-9)).all() & (vwap >= pl.col("low") * (1 - 1e-9)).all()).item()


@pytest.mark.parametrize("kind", KINDS)
def test_the_mean_growth_of_every_bar_is_one(kind: Kind) -> None:
    """Over many seeds, within four standard errors; of wild bars, so that half a variance would show."""
    wild = REAL.with_columns((pl.col(name) / 40_000) ** 8 for name in ("open", "high", "low", "close"))
    growth = np.array([np.expm1(log_returns(surrogate(wild, kind, seed=seed))) for seed in range(100)])
    error = growth.std() / np.sqrt(growth.size)
    assert abs(growth.mean()) < 4 * error
    # without the compensation the logarithm would have mean 0, and growth half a variance
    assert growth.var() / 2 > 8 * error
    if kind == "martingale":
        path = volatility_path(wild)
        wildest = growth[:, path > np.quantile(path, 0.8)]
        assert abs(wildest.mean()) < 4 * wildest.std() / np.sqrt(wildest.size)


@pytest.mark.parametrize("kind", KINDS)
def test_no_past_return_tells_the_next(kind: Kind) -> None:
    returns = np.array([log_returns(surrogate(REAL, kind, seed=seed)) for seed in range(100)])
    scaled = returns / (volatility_path(REAL) if kind == "martingale" else returns.std())
    for lag in (1, 2, 24):
        assert abs(np.mean(scaled[:, lag:] * scaled[:, :-lag])) < 4 / np.sqrt(scaled[:, lag:].size)


def test_a_martingale_has_the_volatility_of_the_real_bars_at_the_time() -> None:
    path = volatility_path(REAL)
    squares = np.mean([log_returns(surrogate(REAL, "martingale", seed=seed)) ** 2 for seed in range(200)], axis=0)
    assert np.sqrt(squares.mean()) == pytest.approx(np.sqrt((path**2).mean()), rel=0.02)
    blocks = [np.sqrt(part.reshape(-1, 30).mean(axis=1)) for part in (squares, path**2)]
    assert np.corrcoef(*blocks)[0, 1] > 0.99
    # and so has its own path, estimated anew
    again = volatility_path(surrogate(REAL, "martingale", seed=1))
    assert np.corrcoef(np.log(again), np.log(path))[0, 1] > 0.85


def test_the_volatility_path_is_that_of_the_simulated_market() -> None:
    flat = SimulatedMarket(MarketConfig(symbols=("BTCUSDT",), n_bars=3_000, edge="iid", seed=7)).bars("BTCUSDT")
    path = volatility_path(flat)
    assert np.median(path) == pytest.approx(0.005, rel=0.06)
    assert np.mean((log_returns(flat) / path) ** 2) == pytest.approx(1.0, rel=1e-2)


def test_an_iid_market_has_one_law_and_no_clusters() -> None:
    bars = surrogate(REAL, "iid", seed=5)
    real, drawn = (np.abs(log_returns(one)) for one in (REAL, bars))
    clustered, free = (np.corrcoef(one[1:], one[:-1])[0, 1] for one in (real, drawn))
    assert clustered > 0.15
    assert abs(free) < 0.08
    assert np.quantile(drawn, [0.5, 0.9]) == pytest.approx(np.quantile(real, [0.5, 0.9]), rel=0.1)


def test_volume_follows_range_as_it_did() -> None:
    def slope(bars: pl.DataFrame) -> float:
        span = np.log(np.log(bars["high"].to_numpy() / bars["low"].to_numpy()))
        return float(np.polyfit(span, np.log(bars["volume"].to_numpy()), 1)[0])

    real = slope(REAL)
    assert real > 0.5
    for kind in KINDS:
        assert slope(surrogate(REAL, kind, seed=2)) == pytest.approx(real, rel=0.1)


@pytest.mark.parametrize("kind", KINDS)
def test_a_seed_gives_the_same_market_and_another_seed_another(kind: Kind) -> None:
    first = surrogate(REAL, kind, seed=4)
    assert surrogate(REAL, kind, seed=4).equals(first)
    assert abs(np.corrcoef(log_returns(first), log_returns(surrogate(REAL, kind, seed=5)))[0, 1]) < 0.1
    assert abs(np.corrcoef(log_returns(first), log_returns(REAL))[0, 1]) < 0.1


@pytest.mark.parametrize("kind", KINDS)
def test_bars_that_stand_still_or_trade_nothing_are_no_trouble(kind: Kind) -> None:
    still = pl.int_range(pl.len()).is_between(500, 700)
    close = pl.col("close").gather(499)
    prices = {name: pl.when(still).then(close).otherwise(name) for name in ("open", "high", "low", "close")}
    awkward = REAL.with_columns(**prices, volume=pl.when(still).then(0.0).otherwise("volume"))
    bars = surrogate(awkward, kind, seed=0)
    assert bars.select(pl.all_horizontal(pl.exclude("open_time").is_finite()).all()).item()
    assert bars.select((pl.col("volume") >= 0).all()).item()


def test_what_cannot_be_simulated_is_refused() -> None:
    with pytest.raises(DataError, match=r"99 bars are too few .* takes 100"):
        surrogate(REAL[:99], "iid", seed=0)
    with pytest.raises(CallError, match=r"surrogate 'walk' is unknown\. Use one of martingale, iid"):
        surrogate(REAL, "walk", seed=0)  # type: ignore[arg-type]
    flat = REAL.with_columns(pl.lit(5.0).alias(name) for name in ("open", "high", "low", "close"))
    with pytest.raises(DataError, match="never moved"):
        surrogate(flat, "martingale", seed=0)
