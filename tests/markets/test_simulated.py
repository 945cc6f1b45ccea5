import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from mmf.bar_check import check_bars
from mmf.bars import BAR_SCHEMA, DAY_MS, Interval, Series
from mmf.errors import CallError
from mmf.markets.simulated import MarketConfig, SimulatedMarket, SimulatedSource
from mmf.markets.simulated_edge import bayes_auc, coupling_for, expected_auc
from mmf.markets.simulated_paths import (
    MOMENTUM_GAIN,
    MOMENTUM_KEEP,
    Dynamics,
    bridge_extremes,
    compensator,
    regime_path,
    shocks,
    stationary_regimes,
)
from mmf.markets.simulated_truth import Label, States, label_probability, stationary_states

DOCUMENT = Path(__file__).parents[2] / "docs" / "simulated_market.md"
EDGES = ("none", "planted", "iid")
HOURLY = Dynamics(3_600_000)
LABEL = Label(36, 0.005)
LONG = 200_000


@pytest.fixture(scope="module", params=EDGES)
def long_market(request):
    return SimulatedMarket(MarketConfig(edge=request.param, n_bars=LONG))


@pytest.fixture(scope="module")
def long_bars(long_market):
    return long_market.bars("BTCUSDT")


def log_returns(bars: pl.DataFrame) -> np.ndarray:
    return np.diff(np.log(bars["close"].to_numpy()))


def autocorrelation(x: np.ndarray, lag: int) -> float:
    return float(np.corrcoef(x[lag:], x[:-lag])[0, 1])


def labels(bars: pl.DataFrame) -> np.ndarray:
    close = bars["close"].to_numpy()
    return close[LABEL.horizon :] / close[: -LABEL.horizon] - 1.0 > LABEL.hurdle


def test_same_configuration_same_bars_and_another_seed_others():
    config = MarketConfig(n_bars=500)
    bars = SimulatedMarket(config).bars("BTCUSDT")
    assert bars.equals(SimulatedMarket(config).bars("BTCUSDT"))
    assert not bars.equals(SimulatedMarket(replace(config, seed=8)).bars("BTCUSDT"))


@pytest.mark.parametrize("edge", EDGES)
@pytest.mark.parametrize("interval", ["60", "D"])
@pytest.mark.parametrize("n_bars", [1, 499, 1_024])
def test_more_bars_leave_the_earlier_ones_as_they_are(edge, interval, n_bars):
    config = MarketConfig(edge=edge, interval=interval, n_bars=2_500)
    longer, shorter = SimulatedMarket(config), SimulatedMarket(replace(config, n_bars=n_bars))
    assert longer.bars("BTCUSDT").head(n_bars).equals(shorter.bars("BTCUSDT"))
    assert longer.truth("BTCUSDT").head(n_bars).equals(shorter.truth("BTCUSDT"))


def test_a_symbol_does_not_depend_on_which_others_are_asked():
    alone = SimulatedMarket(MarketConfig(symbols=("ETHUSDT",), n_bars=400))
    among = SimulatedMarket(MarketConfig(symbols=("BTCUSDT", "SOLUSDT", "ETHUSDT"), n_bars=400))
    assert alone.bars("ETHUSDT").equals(among.bars("ETHUSDT"))
    assert not among.bars("ETHUSDT")["close"].equals(among.bars("SOLUSDT")["close"])


def test_symbols_share_a_factor():
    market = SimulatedMarket(MarketConfig(symbols=("BTCUSDT", "ETHUSDT"), n_bars=20_000))
    both = [log_returns(market.bars(symbol)) for symbol in market.config.symbols]
    assert np.corrcoef(*both)[0, 1] == pytest.approx(0.8, abs=0.03)


@pytest.mark.parametrize(
    ("edge", "interval"), [*(("none", name) for name in ("1", "60", "240", "D", "W")), ("iid", "60"), ("planted", "D")]
)
@pytest.mark.parametrize("symbol", ["BTCUSDT", "1000PEPEUSDT"])
def test_every_bar_is_a_good_bar(edge, interval, symbol):
    config = MarketConfig(symbols=(symbol,), interval=interval, edge=edge, n_bars=5_000, hurdle=0.0, strength=0.6)
    bars = SimulatedMarket(config).bars(symbol)
    checked = check_bars(bars, interval=Interval(interval), closed_before_ms=2**60)
    assert checked.bars.equals(bars)
    assert dict(bars.schema) == BAR_SCHEMA
    assert (bars["open"][1:] == bars["close"][:-1]).all()
    assert (bars["open_time"].diff().drop_nulls().dt.total_milliseconds() == Interval(interval).ms).all()
    price = bars["turnover"] / bars["volume"]
    assert (price >= bars["low"] * (1 - 1e-12)).all()
    assert (price <= bars["high"] * (1 + 1e-12)).all()
    assert (bars["volume"] > 0).all()
    digits = 6 - 1 - np.floor(np.log10(bars["close"].to_numpy()))
    scaled = bars["close"].to_numpy() * 10.0**digits
    assert np.allclose(scaled, np.round(scaled), rtol=0, atol=1e-4)


def test_the_first_bar_lies_on_the_grid_at_or_after_the_start():
    saturday_ms = 1_640_995_200_000
    bars = SimulatedMarket(MarketConfig(interval="1w", edge="none", n_bars=2)).bars("BTCUSDT")
    assert bars["open_time"].dt.epoch("ms").to_list() == [saturday_ms + 2 * DAY_MS, saturday_ms + 9 * DAY_MS]


def test_returns_do_not_tell_the_next_one_without_an_edge(long_market, long_bars):
    returns = log_returns(long_bars)
    limit = 4.0 / np.sqrt(len(returns))
    if long_market.config.edge == "planted":
        assert autocorrelation(returns, 1) > limit
        return
    # the deviation of an autocorrelation grows where volatility clusters
    widening = np.sqrt(np.mean(returns[1:] ** 2 * returns[:-1] ** 2)) / returns.var()
    assert all(abs(autocorrelation(returns, lag)) < limit * widening for lag in (1, 2, 24))
    after_up, after_down = returns[1:][returns[:-1] > 0], returns[1:][returns[:-1] < 0]
    spread = after_up.mean() - after_down.mean()
    assert abs(spread) < 4.0 * returns.std() * np.sqrt(4.0 / len(returns))


@pytest.mark.parametrize("edge", ["none", "iid"])
def test_prices_without_an_edge_are_a_martingale(edge):
    # weekly, where log-returns without compensation would gain 12 standard errors
    close = SimulatedMarket(MarketConfig(edge=edge, interval="W", n_bars=100_000)).bars("BTCUSDT")["close"].to_numpy()
    simple = close[1:] / close[:-1] - 1.0
    assert abs(simple.mean()) < 3.0 * simple.std() / np.sqrt(len(simple))


def test_compensated_shocks_keep_the_mean_of_a_price():
    rng = np.random.default_rng(3)
    sigma = 0.2
    growth = np.exp(sigma * shocks(rng, (2_000_000,)) - compensator(np.array([sigma]))[0])
    assert growth.mean() == pytest.approx(1.0, abs=4 * growth.std() / np.sqrt(2_000_000))


def test_volatility_clusters_but_not_under_iid(long_market, long_bars):
    size = np.abs(log_returns(long_bars))
    found = [autocorrelation(size, lag) for lag in (1, 24, 168)]
    if long_market.config.edge == "iid":
        assert np.abs(found).max() < 0.012
    else:
        assert found[0] > 0.2 > found[1] > 0.1 > found[2] > 0.04


def test_tails_hours_and_volume_are_those_of_crypto(long_market, long_bars):
    found = figures(long_bars)
    is_iid = long_market.config.edge == "iid"
    assert (4 < found["kurtosis"] < 7) if is_iid else (14 < found["kurtosis"] < 25)
    assert (found["busiest hour"] < 1.1) if is_iid else (1.6 < found["busiest hour"] < 2.2)
    assert found["volume and range"] == pytest.approx(0.7 if is_iid else 0.86, abs=0.03)
    assert found["range to return"] == pytest.approx(2.0, abs=0.03)
    if is_iid:
        assert abs(autocorrelation(np.log(long_bars["volume"].to_numpy()), 1)) < 0.01


def figures(bars: pl.DataFrame) -> dict[str, float]:
    """Figures of the table in docs/simulated_market.md, by the code in its rows."""
    returns = log_returns(bars)
    span = np.log(bars["high"].to_numpy() / bars["low"].to_numpy())[1:]
    traded = (span > 0) & (bars["volume"].to_numpy()[1:] > 0)
    hour = bars["open_time"].dt.hour().to_numpy()[1:]
    by_hour = np.array([np.abs(returns[hour == h]).mean() for h in range(24)])
    logs = np.log(bars["volume"].to_numpy()[1:][traded]), np.log(span[traded])
    return {
        "deviation": 100 * returns.std(),
        "kurtosis": ((returns - returns.mean()) ** 4).mean() / returns.var() ** 2,
        **{f"acf {lag}": autocorrelation(np.abs(returns), lag) for lag in (1, 24, 168)},
        "acf of returns 1": autocorrelation(returns, 1),
        "busiest hour": by_hour.max() / by_hour.min(),
        "volume and range": np.corrcoef(*logs)[0, 1],
        "range to return": span.mean() / np.abs(returns).mean(),
        "label rate": labels(bars).mean(),
    }


def documented(column: str) -> dict[str, float]:
    """Return one column of the table, keyed by the code of its rows."""
    _, _, table = DOCUMENT.read_text().partition("## Beside real bars")
    lines = [line.split("|")[1:-1] for line in table.partition("## ")[0].splitlines() if line.startswith("|")]
    place = [cell.strip() for cell in lines[0]].index(column)
    return {row[1].strip(" `"): float(row[place]) for row in lines[2:]}


def test_documented_figures_are_those_of_the_simulation(long_market, long_bars):
    found = figures(long_bars)
    assert documented(f'edge="{long_market.config.edge}"') == pytest.approx(found, rel=0.01, abs=0.0006)


@pytest.mark.real_bars
@pytest.mark.skipif("MMF_REAL_BARS" not in os.environ, reason="MMF_REAL_BARS is unset")
def test_documented_figures_of_real_bars_are_theirs_and_near_ours():
    path = Path(os.environ["MMF_REAL_BARS"]) / "klines" / "bybit_linear_BTCUSDT_60m.parquet"
    real = figures(pl.read_parquet(path).filter(pl.col("open_time").dt.year() >= 2022))
    assert documented("real") == pytest.approx(real, rel=0.01, abs=0.0006)
    ours = documented('edge="none"')
    assert all(ours[name] == pytest.approx(real[name], rel=0.2, abs=0.05) for name in real)


def test_the_true_probability_is_calibrated_and_scores_the_bayes_auc(long_market, long_bars):
    probability = long_market.truth("BTCUSDT")["probability"].to_numpy()[: -LABEL.horizon]
    label = labels(long_bars)
    order = np.argsort(probability, kind="stable")
    for tenth in np.array_split(order, 10):
        # 36 labels overlap, and a stay in one regime makes more of them alike
        assert probability[tenth].mean() == pytest.approx(label[tenth].mean(), abs=0.045)
    assert probability.mean() == pytest.approx(label.mean(), abs=0.015)
    assert roc_auc_score(label, probability) == pytest.approx(bayes_auc(long_market.dynamics, LABEL), abs=0.02)


@pytest.mark.parametrize("coupling", [0.0, 0.13])
def test_the_grid_agrees_with_futures_simulated_one_state_at_a_time(coupling):
    dynamics = replace(HOURLY, coupling=coupling)
    every = stationary_states(dynamics)
    states = States(every.regime[::200], every.fast[::200], every.momentum[::200], every.open_time_ms[::200])
    nested = np.array([nested_probability(dynamics, states, i, n_paths=4_000) for i in range(len(states.fast))])
    table = label_probability(dynamics, LABEL, states)
    assert np.abs(table - nested).max() < 0.035
    assert np.sqrt(np.mean((table - nested) ** 2)) < 0.0125
    assert np.polyfit(table, nested, 1)[0] == pytest.approx(1.0, abs=0.0125 if coupling else 0.25)


def nested_probability(dynamics: Dynamics, states: States, i: int, *, n_paths: int) -> float:
    """Share of futures over the hurdle; the market's law written out bar by bar, nothing approximated."""
    rng = np.random.default_rng([5, i])
    step = np.cumsum(dynamics.regime_step, axis=1)
    regime = np.full(n_paths, states.regime[i])
    fast, momentum, gain = (np.full(n_paths, x) for x in (states.fast[i], states.momentum[i], 0.0))
    keep = dynamics.fast_keep
    for k in range(1, LABEL.horizon + 1):
        regime = (rng.random(n_paths)[:, None] >= step[regime][:, :2]).sum(axis=1)
        fast = keep * fast + dynamics.fast_sd * np.sqrt(1 - keep**2) * rng.standard_normal(n_paths)
        season = dynamics.season(states.open_time_ms[i : i + 1] + k * dynamics.interval_ms)
        sigma = dynamics.sigma * dynamics.regime_scale[regime] * np.exp(fast) * season
        z = dynamics.regime_coupling[regime] * np.tanh(momentum) + shocks(rng, (n_paths,))
        momentum = MOMENTUM_KEEP * momentum + MOMENTUM_GAIN * z
        gain += sigma * z - compensator(sigma)
    return float((gain > np.log1p(LABEL.hurdle)).mean())


@pytest.mark.parametrize(
    ("interval", "hurdle", "strength"),
    [*(("60", 0.005, strength) for strength in (0.55, 0.6, 0.7, 0.8)), ("1", 0.0005, 0.7), ("D", 0.005, 0.6)],
)
def test_the_planted_strength_is_the_bayes_auc(interval, hurdle, strength):
    market = SimulatedMarket(MarketConfig(strength=strength, interval=interval, hurdle=hurdle))
    assert market.bayes_auc == pytest.approx(strength, abs=0.01)


def test_a_stronger_coupling_gives_a_higher_bayes_auc():
    found = [bayes_auc(replace(HOURLY, coupling=c), LABEL) for c in (0.0, 0.05, 0.1, 0.2, 0.3)]
    assert found == sorted(found)
    assert found[0] == pytest.approx(0.533, abs=0.005)  # what volatility alone tells


def test_nothing_can_be_known_under_iid():
    market = SimulatedMarket(MarketConfig(edge="iid", n_bars=2_000))
    assert market.bayes_auc is None
    assert market.truth("BTCUSDT")["probability"].n_unique() == 1
    assert bayes_auc(market.dynamics, LABEL) == 0.5


def features(bars: pl.DataFrame) -> np.ndarray:
    """Return what a reader of bars can make by hand: three trends and a volatility."""
    close = pl.col("close")
    deviation = close.log().diff().rolling_std(100)
    frame = bars.select(
        (close.log().diff(24) / deviation).alias("roc_24"),
        ((close / close.ewm_mean(half_life=24) - 1.0) / deviation).alias("ema_dist"),
        ((close / close.rolling_mean(55) - 1.0) / deviation).alias("sma_dist_55"),
        deviation.log().alias("volatility_100"),
    )
    return frame.to_numpy()


def test_a_plain_model_of_bars_comes_near_the_bayes_auc_and_not_over_it(long_market, long_bars):
    x, label = features(long_bars)[200 : -LABEL.horizon], labels(long_bars)[200:]
    truth = long_market.truth("BTCUSDT")["probability"].to_numpy()[200 : -LABEL.horizon]
    cut, known = int(0.6 * len(label)), int(0.6 * len(label)) - LABEL.horizon
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(x[:known], label[:known])
    found = roc_auc_score(label[cut:], model.predict_proba(x[cut:])[:, 1])
    of_truth = roc_auc_score(label[cut:], truth[cut:])
    assert of_truth - 0.03 < found < of_truth + 0.01
    row = next(line for line in DOCUMENT.read_text().splitlines() if line.startswith(f"| {long_market.config.edge}"))
    documented_row = [float(cell) for cell in row.split("|")[2:5]]
    assert documented_row == pytest.approx([bayes_auc(long_market.dynamics, LABEL), of_truth, found], abs=0.0065)


def test_expected_auc_equals_the_mean_over_drawn_labels():
    rng = np.random.default_rng(1)
    probability = np.round(rng.random(3_000), 2)
    drawn = [roc_auc_score(rng.random(3_000) < probability, probability) for _ in range(40)]
    assert expected_auc(probability) == pytest.approx(np.mean(drawn), abs=0.004)


def test_regimes_are_met_as_often_as_their_stationary_law_says():
    regime = regime_path(HOURLY, np.random.default_rng(2).random(2_000_000))
    assert np.bincount(regime) / len(regime) == pytest.approx(stationary_regimes(HOURLY), abs=0.02)
    assert stationary_regimes(HOURLY) @ HOURLY.regime_step == pytest.approx(stationary_regimes(HOURLY))


def test_extremes_within_a_bar_follow_the_law_of_a_brownian_bridge():
    rng = np.random.default_rng(4)
    n, end = 4_000, 0.3
    walk = np.cumsum(rng.standard_normal((n, 1_000)) / np.sqrt(1_000), axis=1)
    time = np.arange(1, 1_001) / 1_000
    highest = (walk + time * (end - walk[:, -1:])).max(axis=1)
    high, low = bridge_extremes(np.full(n, end), np.ones(n), rng.random(n), rng.random(n))
    quantiles = [0.1, 0.5, 0.9]
    # a walk of 1,000 steps misses 0.58 of a step's deviation of the top, on average
    assert np.quantile(high, quantiles) == pytest.approx(
        np.quantile(highest, quantiles) + 0.58 / np.sqrt(1_000), abs=0.05
    )
    assert (high >= end).all()
    assert (low <= 0).all()


def test_seasons_average_the_hours_that_a_bar_covers():
    monday_ms = 4 * DAY_MS
    hours = HOURLY.season(monday_ms + np.arange(24) * 3_600_000)
    day = Dynamics(DAY_MS).season(np.array([monday_ms]))
    week = Dynamics(7 * DAY_MS).season(np.array([monday_ms]))
    assert day[0] == pytest.approx(np.sqrt(np.mean(hours**2)))
    assert week[0] == pytest.approx(np.sqrt(np.mean(HOURLY.season(np.arange(168) * 3_600_000) ** 2)))
    assert HOURLY.season(np.array([monday_ms]))[0] == HOURLY.season(np.array([monday_ms + 7 * DAY_MS]))[0]
    # Saturday is quieter than Friday
    assert (
        HOURLY.season(np.array([monday_ms + 5 * DAY_MS]))[0]
        < 0.8 * HOURLY.season(np.array([monday_ms + 4 * DAY_MS]))[0]
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"strength": 0.5}, r"strength 0.5 is not in \(0.5, 0.8\]"),
        ({"strength": 0.81}, r"strength 0.81 is not in"),
        ({"strength": float("nan")}, r"strength nan is not in"),
        ({"edge": "sure"}, r"edge 'sure' is unknown. Use one of none, planted, iid"),
        ({"symbols": ()}, r"name at least one"),
        ({"symbols": ("A", "A")}, r"each once"),
        ({"symbols": ("../x",)}, r"is not a symbol"),
        ({"interval": "7"}, r"interval '7' is unknown"),
        ({"n_bars": 0}, r"n_bars 0 is too small"),
        ({"seed": -1}, r"seed -1 is too small"),
        ({"horizon": 0}, r"horizon 0 is too small"),
        ({"hurdle": 0.9}, r"hurdle 0.9 is not in"),
    ],
)
def test_configurations_out_of_range_are_refused(options, message):
    with pytest.raises(CallError, match=message):
        MarketConfig(**options)


def test_a_strength_that_volatility_alone_exceeds_is_refused():
    with pytest.raises(CallError, match=r"bars of 1 minutes.*volatility alone gives a Bayes AUC of 0.8"):
        SimulatedMarket(MarketConfig(interval="1", strength=0.7)).bars("BTCUSDT")
    with pytest.raises(CallError, match=r"the strongest drift one of 0.[0-9]+\. Choose"):
        coupling_for(HOURLY, LABEL, 0.99)


def test_the_source_yields_the_wanted_ranges():
    config = MarketConfig(n_bars=100, edge="none")
    source, series = SimulatedSource(config), Series("simulated", "linear", "BTCUSDT", "60")
    hour_ms = 3_600_000
    first = config.start_ms
    wanted = [(0, first + 3 * hour_ms), (first + 10 * hour_ms, first + 12 * hour_ms), (first + 200 * hour_ms, 2**60)]
    batches = list(source.batches(series, wanted))
    bars = source.market.bars("BTCUSDT")
    assert [batch.rows.height for batch in batches] == [3, 2]
    assert batches[0].rows.equals(bars.head(3))
    assert batches[1].rows.equals(bars.slice(10, 2))
    assert {batch.closed_before_ms for batch in batches} == {first + 100 * hour_ms}
    assert list(source.batches(series, [])) == []


@pytest.mark.parametrize(
    "series", ["bybit:linear:BTCUSDT:60", "simulated:linear:BTCUSDT:15", "simulated:linear:XUSDT:60"]
)
def test_the_source_refuses_series_of_other_markets(series):
    with pytest.raises(CallError, match=r"not (of this|simulated)"):
        list(SimulatedSource(MarketConfig(n_bars=5, edge="none")).batches(Series.parse(series), [(0, 2**60)]))
