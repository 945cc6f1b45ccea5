import json
from pathlib import Path

import httpx2
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmf.bars import DAY_MS, Series
from mmf.errors import CallError
from mmf.markets import bybit_rest
from mmf.markets.bybit import BybitSource
from mmf.markets.errors import BannedError, BlockedError, ExchangeError, RefusedError
from mmf.markets.http import SlowDownError, TryAgainError
from mmf.markets.pages import UNSETTLED_BARS
from tests.exchange.faults import Faults
from tests.exchange.server import LoopbackExchange, Market
from tests.exchange.truth import JANUARY_2024_MS, walk_bars, walk_funding
from tests.markets.patience import QUICK, Store, virtual_pacer

HOURLY = Series.parse("bybit:linear:BTCUSDT:60")
MINUTES = Series.parse("bybit:linear:BTCUSDT:1")
HOUR_MS = 3_600_000
SINCE_2024 = (JANUARY_2024_MS, 1 << 53)


def source_of(exchange: LoopbackExchange, **options) -> BybitSource:
    return BybitSource(exchange.url, options=QUICK, pacer=virtual_pacer(), **options)


def served(n: int = 3_500, *, series: Series = HOURLY, faults: Faults | None = None, **market) -> LoopbackExchange:
    faults = faults or Faults(limit=None)  # time is virtual here: the limit has tests of its own
    bars = walk_bars(n, interval=series.interval, start_ms=JANUARY_2024_MS)
    return LoopbackExchange([Market(series, bars, **market)], faults=faults)


def assert_complete(store: Store, exchange: LoopbackExchange) -> None:
    """The store holds the served truth, and knows of each slot up to now what it is."""
    truth, grid = exchange.served(store.series), store.series.grid
    assert store.bars.equals(truth)
    first = grid.bar_number(truth["open_time"].to_physical()[0])
    settled = grid.bar_number(exchange.now_ms) - UNSETTLED_BARS
    assert settled <= first or any(start <= first and stop == settled for start, stop in store.covered)


# --- recorded answers


def recorded(folder: Path, name: str, *, status: int = 200, headers: dict[str, str] | None = None) -> httpx2.Response:
    request = httpx2.Request("GET", "https://api.bybit.com/v5/market/kline")
    body = (folder / "payloads" / name).read_bytes()
    return httpx2.Response(status, content=body, headers=headers, request=request)


def read_klines(response: httpx2.Response, symbol: str = "BTCUSDT") -> tuple[pl.DataFrame, int]:
    read = bybit_rest.reader(lambda env: (bybit_rest.klines(env, symbol=symbol), env.time_ms), asked="klines")
    return read(response)


@pytest.mark.real_bars
def test_recorded_klines_are_read_oldest_first(real_bars):
    rows, time_ms = read_klines(recorded(real_bars, "bybit_v5_kline_linear_BTCUSDT_1_limit5_2023-06-24.json"))
    assert time_ms == 1_687_589_659_062
    assert rows["open_time"].to_physical().to_list() == [1_687_589_400_000 + i * 60_000 for i in range(5)]
    assert rows.row(-1)[1:] == (30709.9, 30710.4, 30709.9, 30710.3, 3.655, 112245.7381)


@pytest.mark.real_bars
@pytest.mark.parametrize(
    ("name", "status", "error"),
    [
        ("bybit_error_10001_invalid_period.http200.json", 200, RefusedError),
        ("bybit_error_10001_not_supported_symbols.http200.json", 200, RefusedError),
        ("bybit_error_10006_too_many_visits.documented.json", 200, SlowDownError),
        ("bybit_error_10016_request_timeout.http200.json", 200, TryAgainError),
        ("bybit_error_403_geo_cloudfront.http403.body", 403, BlockedError),
        ("cloudfront_403_generic_html.http403.html", 403, BlockedError),
        ("bybit_v5_mark_or_index_kline_linear_BTCUSDT_60_5cols_2026-07-24.json", 200, TryAgainError),
    ],
)
def test_recorded_errors_are_told_apart(real_bars, name, status, error):
    with pytest.raises(error):
        read_klines(recorded(real_bars, name, status=status))


@pytest.mark.real_bars
def test_recorded_instrument_and_funding(real_bars):
    name = "bybit_v5_instruments_info_linear_BTCUSDT_2023-10-02.json"
    entries = bybit_rest.reader(lambda env: env.result["list"], asked="it")(recorded(real_bars, name))
    assert bybit_rest.instruments(entries).rows() == [
        ("BTCUSDT", "Trading", 1_585_526_400_000, None, 480, "BTC", "USDT")
    ]
    name = "bybit_v5_funding_history_linear_BTCUSDT_limit2_2026-08-15.json"
    read = bybit_rest.reader(lambda env: bybit_rest.funding(env, symbol="BTCUSDT"), asked="it")
    assert read(recorded(real_bars, name))["rate"].to_list() == [0.00004403, 0.00004737]


def made_up(body: object, *, status: int = 200, headers: dict[str, str] | None = None) -> httpx2.Response:
    request = httpx2.Request("GET", "https://api.bybit.com/v5/market/kline")
    return httpx2.Response(status, content=json.dumps(body).encode(), headers=headers, request=request)


@pytest.mark.parametrize(
    ("headers", "time_ms", "wait_s"),
    [
        ({"X-Bapi-Limit-Reset-Timestamp": "5400"}, 5_000, 0.4),
        ({"X-Bapi-Limit-Reset-Timestamp": "4000"}, 5_000, 0.0),
        ({"X-Bapi-Limit-Reset-Timestamp": "99999999"}, 5_000, 10.0),
        ({"X-Bapi-Limit-Reset-Timestamp": "5400"}, 0, None),
        ({}, 5_000, None),
    ],
)
def test_the_reset_time_is_reckoned_from_the_exchanges_own_time_and_capped(headers, time_ms, wait_s):
    body = {"retCode": 10006, "retMsg": "Too many visits!", "result": {}, "time": time_ms}
    with pytest.raises(SlowDownError) as raised:
        read_klines(made_up(body, headers=headers))
    assert raised.value.wait_s == wait_s


@pytest.mark.parametrize(
    "result",
    [
        {"symbol": "ETHUSDT", "list": []},
        {"symbol": "BTCUSDT"},
        {"symbol": "BTCUSDT", "list": [["1", "2", "3", "4", "5", "6"]]},
        {"symbol": "BTCUSDT", "list": [["1", "2", "3", "4", "5", "6", "7"], ["1"]]},
        {"symbol": "BTCUSDT", "list": [["soon", "2", "3", "4", "5", "6", "7"]]},
        {"symbol": "BTCUSDT", "list": [[1, 2, 3, 4, 5, 6, 7]]},
        {"symbol": "BTCUSDT", "list": "none"},
    ],
)
def test_a_malformed_result_is_asked_again(result):
    with pytest.raises(TryAgainError, match="malformed"):
        read_klines(made_up({"retCode": 0, "retMsg": "OK", "result": result, "time": 5}))


def test_a_cell_that_is_no_number_becomes_null_so_that_the_row_is_quarantined():
    row = ["60000", "2", "3", "1", "", "5", "6"]
    result = {"symbol": "BTCUSDT", "list": [row]}
    rows, _ = read_klines(made_up({"retCode": 0, "retMsg": "OK", "result": result, "time": 5}))
    assert rows["close"].to_list() == [None]


# --- against the loopback exchange


@pytest.mark.parametrize("interval", ["1", "3", "5", "15", "30", "60", "120", "240", "360", "720", "D", "W"])
@pytest.mark.parametrize("category", ["linear", "inverse", "spot"])
def test_every_interval_and_category_arrives_as_it_is_served(interval, category):
    series = Series("bybit", category, "BTCUSD", interval)
    anchored_ms = series.grid.open_time_ms(series.grid.bar_number(JANUARY_2024_MS))
    market = Market(series, walk_bars(1_203, interval=interval, start_ms=anchored_ms))
    with LoopbackExchange([market], faults=Faults(limit=None)) as exchange:
        store = Store(series).fetch(source_of(exchange), (anchored_ms, 1 << 53))
        assert_complete(store, exchange)


def test_an_up_to_date_series_costs_one_request_and_its_forming_bar_stays_out():
    with served() as exchange:
        last_ms = exchange.served(HOURLY)["open_time"].to_physical()[-1]
        store = Store(HOURLY).fetch(source_of(exchange), (last_ms + HOUR_MS, 1 << 53))
        assert len(exchange.requests) == 1
        assert store.batches[0].rows.height == 1
        assert store.bars.is_empty()


def test_all_of_history_starts_near_the_launch_and_what_lies_before_is_known():
    with served(launch_ms=JANUARY_2024_MS + 5 * DAY_MS) as exchange:  # as with BTCUSDT, bars precede the launch
        store = Store(HOURLY).fetch(source_of(exchange))
        assert_complete(store, exchange)
        assert store.covered[0][0] == 0
        assert len(exchange.requests) < 12


def test_spot_tells_no_launch_and_is_found_all_the_same():
    series = Series.parse("bybit:spot:BTCUSDT:240")
    weeks = Series.parse("bybit:spot:BTCUSDT:W")
    monday_ms = weeks.grid.open_time_ms(weeks.grid.bar_number(JANUARY_2024_MS))
    markets = [
        Market(series, walk_bars(1_500, interval="240", start_ms=JANUARY_2024_MS)),
        Market(weeks, walk_bars(40, interval="W", start_ms=monday_ms)),
    ]
    with LoopbackExchange(markets, faults=Faults(limit=None)) as exchange:
        assert_complete(Store(series).fetch(source_of(exchange)), exchange)
        assert len(exchange.requests) < 10


def test_an_empty_first_answer_proves_nothing_within_the_listed_life():
    faults = Faults(empty=1, path="kline", limit=None)
    with served(faults=faults, launch_ms=JANUARY_2024_MS) as exchange:
        store = Store(HOURLY).fetch(source_of(exchange), SINCE_2024)
        assert exchange.faults.hits["empty"] == 1
        assert store.absent() == []
        assert_complete(store, exchange)


@pytest.mark.parametrize("fault", ["empty", "lossy"])
def test_weeks_that_lie_once_hide_no_bars_of_spot(fault):
    series, weeks = Series.parse("bybit:spot:BTCUSDT:240"), Series.parse("bybit:spot:BTCUSDT:W")
    monday_ms = weeks.grid.open_time_ms(weeks.grid.bar_number(JANUARY_2024_MS))
    markets = [
        Market(series, walk_bars(1_500, interval="240", start_ms=JANUARY_2024_MS)),
        Market(weeks, walk_bars(4, interval="W", start_ms=monday_ms)),
    ]
    # the first page (in 1970), the listings, then the weeks; of four weeks a loss often takes the first
    for seed in range(6):
        faults = Faults(seed=seed, plan=[None, None, None, fault], limit=None)
        with LoopbackExchange(markets, faults=faults) as exchange:
            assert_complete(Store(series).fetch(source_of(exchange)), exchange)
            assert exchange.faults.hits[fault] == 1


def test_a_delisted_contract_ends_where_it_ended_and_years_of_silence_are_not_paged_through():
    with served(300, series=MINUTES, delisted_ms=JANUARY_2024_MS + 200 * 60_000) as exchange:
        exchange.set_now(JANUARY_2024_MS + 3 * 365 * DAY_MS)
        store = Store(MINUTES).fetch(source_of(exchange), SINCE_2024)
        assert store.bars.equals(exchange.served(MINUTES))
        assert store.bars.height == 200
        settled = MINUTES.grid.bar_number(exchange.now_ms) - UNSETTLED_BARS
        assert store.covered == [(MINUTES.grid.bar_number(JANUARY_2024_MS), settled)]
        assert len(exchange.requests) < 400  # of 1,577 pages


def test_spot_that_ended_is_found_to_have_by_its_weeks():
    series, weeks = Series.parse("bybit:spot:BTCUSDT:1"), Series.parse("bybit:spot:BTCUSDT:W")
    monday_ms = weeks.grid.open_time_ms(weeks.grid.bar_number(JANUARY_2024_MS))
    ended_ms = JANUARY_2024_MS + 10 * DAY_MS
    markets = [
        Market(series, walk_bars(15 * 1_440, interval="1"), delisted_ms=ended_ms),
        Market(weeks, walk_bars(3, interval="W", start_ms=monday_ms), delisted_ms=ended_ms),
    ]
    with LoopbackExchange(markets, faults=Faults(limit=None)) as exchange:
        exchange.set_now(JANUARY_2024_MS + 300 * DAY_MS)
        store = Store(series).fetch(source_of(exchange), SINCE_2024)
        assert store.bars.equals(exchange.served(series))
        settled = series.grid.bar_number(exchange.now_ms) - UNSETTLED_BARS
        assert store.covered == [(series.grid.bar_number(JANUARY_2024_MS), settled)]
        assert len(exchange.requests) < 350  # of 432 pages, twice each


def test_holes_are_known_to_be_absent_once_two_answers_agree():
    with served() as exchange:
        start_ms = JANUARY_2024_MS + 40 * DAY_MS
        exchange.withhold(HOURLY, start_ms, start_ms + 7 * HOUR_MS)
        store = Store(HOURLY).fetch(source_of(exchange), SINCE_2024)
        assert_complete(store, exchange)
        number = HOURLY.grid.bar_number(start_ms)
        assert store.absent() == [(number, number + 7)]


def test_single_bars_far_apart_and_close_together_are_fetched_and_nothing_else():
    with served() as exchange:
        at = [JANUARY_2024_MS + hour * HOUR_MS for hour in (3, 10, 11, 3_000)]
        store = Store(HOURLY).fetch(source_of(exchange), *((ms, ms + 1) for ms in reversed(at)))
        assert store.bars["open_time"].to_physical().to_list() == at
        assert len(exchange.requests) == 2


def test_nothing_wanted_asks_nothing():
    with served(10) as exchange:
        assert Store(HOURLY).fetch(source_of(exchange), (5, 5)).batches == []
        assert exchange.requests == []


@pytest.mark.parametrize(
    "kind",
    [
        *("too_many", "too_many_reset", "timed_out", "unavailable", "dropped", "cut", "truncated", "not_json"),
        *("duplicated", "disordered", "empty", "lossy"),
    ],
)
@pytest.mark.parametrize("at", [0, 2])
def test_a_passing_fault_leaves_no_trace(kind, at):
    with served(faults=Faults(plan=[None] * at + [kind], limit=None)) as exchange:
        store = Store(HOURLY).fetch(source_of(exchange), SINCE_2024)
        assert exchange.faults.hits[kind] == 1
        assert_complete(store, exchange)


def test_a_slow_answer_is_given_up_and_asked_again():
    with served(faults=Faults(plan=["slow"], slow_s=3.0, limit=None)) as exchange:
        options = QUICK.__class__(timeout_s=0.1, first_wait_s=0.001, longest_wait_s=0.002, jitter_s=0.001)
        source = BybitSource(exchange.url, options=options, pacer=virtual_pacer())
        assert_complete(Store(HOURLY).fetch(source, SINCE_2024), exchange)


def test_while_the_exchange_asks_for_fewer_requests_nothing_is_sent():
    pacer = virtual_pacer()
    with served(10, faults=Faults(plan=["too_many_reset"], reset_ms=8_000, limit=None)) as exchange:
        Store(HOURLY).fetch(BybitSource(exchange.url, options=QUICK, pacer=pacer), SINCE_2024)
        assert len(exchange.requests) == 2
    assert pacer._clock() >= 8.0


def test_a_fault_that_stays_is_told_after_all_that_came_before_it():
    with served(20_000, series=MINUTES) as exchange:
        store, source = Store(MINUTES), source_of(exchange)
        for batch in source.batches(MINUTES, [(JANUARY_2024_MS, JANUARY_2024_MS + 5_000 * 60_000)]):
            store._add(batch)
        exchange.faults.unavailable = 1.0
        with pytest.raises(ExchangeError, match=r"failed 8 times in a row, .*HTTP 50\d.*run the command again"):
            store.fetch(source, (JANUARY_2024_MS + 5_000 * 60_000, 1 << 53))
        assert store.bars.height == 5_000
        exchange.faults.unavailable = 0
        assert_complete(store.fetch(source, (JANUARY_2024_MS + 5_000 * 60_000, 1 << 53)), exchange)


def test_an_ip_ban_stops_everything_at_once_and_says_for_how_long():
    with served(400_000, series=MINUTES, faults=Faults(plan=[None] * 100 + ["ip_ban"])) as exchange:
        store, source = Store(MINUTES), source_of(exchange)
        with pytest.raises(BannedError, match=r"banned this address .* Wait 10 minutes .* goes on where it stopped"):
            store.fetch(source, SINCE_2024)
        assert len(exchange.requests) <= 101 + QUICK.n_in_flight
        assert store.bars.height >= 32_000
        exchange.faults.plan = ()
        exchange._gate.banned_until_s = 0.0
        exchange.faults.limit = None
        rest = (store.bars["open_time"].to_physical()[-1] + 1, 1 << 53)
        assert_complete(store.fetch(source, rest), exchange)


@pytest.mark.parametrize("kind", ["geo_block", "geo_block_text"])
def test_a_geo_block_says_what_else_to_use(kind):
    with (
        served(10, faults=Faults(plan=[kind])) as exchange,
        pytest.raises(BlockedError, match=r"CloudFront.*--base-url.*mmf ingest binance.*mmf ingest files"),
    ):
        Store(HOURLY).fetch(source_of(exchange), SINCE_2024)
    assert len(exchange.requests) == 1


def test_an_unknown_symbol_is_named():
    with served(10) as exchange, pytest.raises(RefusedError, match=r"bybit:linear:DOGEUSDT:60.*Not supported symbols"):
        Store(Series.parse("bybit:linear:DOGEUSDT:60")).fetch(source_of(exchange), SINCE_2024)


def test_no_network_is_told_with_what_to_check():
    source = BybitSource("http://127.0.0.1:9", options=QUICK, pacer=virtual_pacer())
    with pytest.raises(ExchangeError, match=r"127.0.0.1:9 cannot be reached.*--base-url.*mmf ingest files"):
        Store(HOURLY).fetch(source, SINCE_2024)


def test_a_consumer_that_stops_stops_the_requests():
    with served(400_000, series=MINUTES) as exchange:
        batches = source_of(exchange).batches(MINUTES, [SINCE_2024])
        next(batches)
        batches.close()
        n = len(exchange.requests)
        assert n < 380
        source_of(exchange).time_ms()
        assert len(exchange.requests) == n + 1


def test_the_paced_stream_never_exceeds_the_limit_of_the_exchange():
    with served(1_300_000, series=MINUTES, faults=Faults()) as exchange:
        source = BybitSource(exchange.url, options=QUICK)
        Store(MINUTES).fetch(source, (JANUARY_2024_MS, JANUARY_2024_MS + 120_000 * 60_000))
        assert exchange.n_bans == 0
        assert exchange.busiest_window(1.0) <= 1.3 * 600 / 5.0


FAULTS = ("too_many_reset", "timed_out", "unavailable", "dropped", "cut", "truncated", "not_json", "duplicated")
STOPPERS = ("ip_ban", "geo_block", "geo_block_text", "unknown_symbol")


@given(
    plan=st.lists(st.sampled_from([None, None, *FAULTS, *STOPPERS, "disordered"]), max_size=40),
    spoil=st.sampled_from([None, "empty", "lossy"]),
    hole=st.integers(0, 4_000),
    start=st.integers(-3_000, 4_999),
)
@settings(max_examples=40)
def test_whatever_happens_the_bars_are_the_served_ones_or_it_was_said_and_a_rerun_completes(plan, spoil, hole, start):
    start_ms = JANUARY_2024_MS + start * HOUR_MS
    with served(5_000, faults=Faults(plan=[*plan, spoil], limit=None)) as exchange:
        exchange.withhold(HOURLY, JANUARY_2024_MS + hole * HOUR_MS, JANUARY_2024_MS + (hole + 30) * HOUR_MS)
        store, source = Store(HOURLY), source_of(exchange)
        if not store.survives(source, (start_ms, 1 << 53)):
            assert store.bars.equals(truth_from(exchange, start_ms).head(store.bars.height))
            exchange.faults = Faults(limit=None)
            store.fetch(source, (start_ms, 1 << 53))
        assert store.bars.equals(truth_from(exchange, start_ms))
        number = HOURLY.grid.bar_number
        settled = number(exchange.now_ms) - UNSETTLED_BARS
        assert store.covered == ([(number(start_ms), settled)] if number(start_ms) < settled else [])


def truth_from(exchange: LoopbackExchange, start_ms: int) -> pl.DataFrame:
    return exchange.served(HOURLY).filter(pl.col("open_time").dt.epoch("ms") >= start_ms)


# --- the rest of the interface


def test_time_is_the_exchanges():
    with served(10) as exchange:
        assert source_of(exchange).time_ms() == exchange.now_ms


def test_instruments_hold_what_is_traded_and_what_was():
    ended_ms = JANUARY_2024_MS + 5 * HOUR_MS
    markets = [
        Market(HOURLY, walk_bars(10), launch_ms=JANUARY_2024_MS),
        Market(Series.parse("bybit:linear:LUNAUSDT:60"), walk_bars(10), delisted_ms=ended_ms),
        Market(Series.parse("bybit:spot:ETHUSDT:60"), walk_bars(10)),
    ]
    with LoopbackExchange(markets) as exchange:
        linear = source_of(exchange).instruments("linear")
        assert linear.select("symbol", "status", "launch_ms", "delivery_ms").rows() == [
            ("BTCUSDT", "Trading", JANUARY_2024_MS, None),
            ("LUNAUSDT", "Closed", JANUARY_2024_MS, ended_ms),
        ]
        assert source_of(exchange).instruments("spot").rows() == [
            ("ETHUSDT", "Trading", None, None, None, "ETH", "USDT")
        ]


@pytest.mark.parametrize("minutes", [60, 480])
def test_funding_of_any_interval_is_whole(minutes):
    funding = walk_funding(1_100, minutes=minutes)
    with served(10_000, funding=funding) as exchange:
        wanted_ms = (JANUARY_2024_MS + 1, JANUARY_2024_MS + 1_000 * minutes * 60_000)
        found = source_of(exchange).funding(HOURLY, *wanted_ms)
        assert found.equals(funding[1:1_000])


def test_funding_since_the_beginning_of_time_starts_at_the_launch():
    with served(10_000, funding=walk_funding(300)) as exchange:
        assert source_of(exchange).funding(HOURLY, 0, 1 << 53).height == 300
        assert len(exchange.requests) < 18  # silence is asked for twice


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: BybitSource("api.bybit.com"), "not an http"),
        (lambda: BybitSource("https://api.bybit.com?x=1"), "not an http"),
        (lambda: next(BybitSource().batches(Series.parse("binance:um:BTCUSDT:60"), [])), "not a series of Bybit"),
        (lambda: next(BybitSource().batches(Series.parse("bybit:option:BTCUSDT:60"), [])), "category 'option'"),
        (lambda: BybitSource().instruments("option"), "category 'option'"),
        (lambda: BybitSource().funding(Series.parse("bybit:spot:BTCUSDT:60"), 0, 1), "spot has no funding"),
    ],
)
def test_a_wrong_call_is_refused_before_anything_is_sent(call, message):
    with pytest.raises(CallError, match=message):
        call()
