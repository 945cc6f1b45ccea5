import asyncio
import io
import json
import zipfile
from collections import Counter
from datetime import UTC, datetime

import httpx2
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmf.bars import DAY_MS, Interval, Series
from mmf.errors import CallError
from mmf.markets import binance_rest
from mmf.markets.binance import BinanceSource
from mmf.markets.binance_archives import Archive, plan_archives, read_archive
from mmf.markets.binance_delisted import PUBLISHED_MS
from mmf.markets.binance_listing import list_archives
from mmf.markets.errors import BannedError, BlockedError, ExchangeError, RefusedError, UnknownSymbolError
from mmf.markets.http import HttpClient, TryAgainError
from mmf.markets.pages import UNSETTLED_BARS, Page
from mmf.ranges import cells, normalise
from tests.exchange.binance_archives import ArchiveStyle
from tests.exchange.faults import Faults
from tests.exchange.server import LoopbackExchange, Market
from tests.exchange.truth import JANUARY_2024_MS, walk_bars, walk_funding
from tests.markets.patience import QUICK, Store, virtual_pacer

MINUTES = Series.parse("binance:um:BTCUSDT:1")
SPOT = Series.parse("binance:spot:BTCUSDT:5")
HOURLY = Series.parse("binance:um:BTCUSDT:60")
HOUR_MS, MINUTE_MS = 3_600_000, 60_000
SINCE_2024 = (JANUARY_2024_MS, 1 << 53)


def source_of(exchange: LoopbackExchange) -> BinanceSource:
    return BinanceSource(exchange.url, archive_url=exchange.url, options=QUICK, pacer=virtual_pacer())


def served(n: int, *, series: Series, faults: Faults | None = None, **market) -> LoopbackExchange:
    faults = faults or Faults(weight_per_min=None)  # time is virtual here
    bars = walk_bars(n, interval=series.interval, start_ms=JANUARY_2024_MS)
    return LoopbackExchange([Market(series, bars, **market)], faults=faults)


def assert_complete(store: Store, exchange: LoopbackExchange, *, start_ms: int = JANUARY_2024_MS) -> None:
    grid = store.series.grid
    truth = exchange.served(store.series).filter(pl.col("open_time").dt.epoch("ms") >= start_ms)
    assert store.bars.equals(truth)
    settled = grid.bar_number(exchange.now_ms // 1_000 * 1_000) - UNSETTLED_BARS
    first = grid.bar_number(start_ms + grid.ms - 1)
    assert store.covered == ([(first, settled)] if first < settled else [])


def kinds(exchange: LoopbackExchange) -> Counter[str]:
    """How many requests were answered by monthly and daily archives (checksums apart) and by klines."""
    names = ("monthly", "daily", "klines?")
    targets = [f"{r.path}?" for r in exchange.requests if r.status == 200 and not r.path.endswith("CHECKSUM")]
    return Counter(name for target in targets for name in names if name in target)


# --- answers


def answered(body: object, *, status: int = 200, date: str | None = "Mon, 01 Jan 2024 00:00:07 GMT") -> httpx2.Response:
    request = httpx2.Request("GET", "https://fapi.binance.com/fapi/v1/klines")
    headers = {"Date": date} if date else {}
    return httpx2.Response(status, content=json.dumps(body).encode(), headers=headers, request=request)


def read_klines(response: httpx2.Response) -> tuple[pl.DataFrame, int]:
    return binance_rest.reader(lambda body, time_ms: (binance_rest.klines(body), time_ms), asked="klines")(response)


ROW = [60_000, "1.5", "3", "1", "2", "10", 119_999, "20.5", 4, "5", "10", "0"]


def test_a_kline_has_the_quote_volume_as_turnover_and_the_time_of_the_date_header():
    rows, time_ms = read_klines(answered([ROW]))
    assert rows.row(0)[1:] == (1.5, 3.0, 1.0, 2.0, 10.0, 20.5)
    assert rows["open_time"].to_physical()[0] == 60_000
    assert time_ms == JANUARY_2024_MS + 7_000


@pytest.mark.parametrize(
    "response",
    [
        answered([ROW], date=None),
        answered([ROW[:5]]),
        answered([["60000", *ROW[1:]]]),
        answered({"symbols": []}),
        answered({"code": -1007, "msg": "Timeout"}, status=400),
    ],
)
def test_a_malformed_answer_is_asked_again(response):
    with pytest.raises(TryAgainError):
        read_klines(response)


@pytest.mark.real_bars
def test_the_recorded_geo_block_says_what_else_to_use(real_bars):
    body = json.loads((real_bars / "payloads" / "binance_error_451_geo.http451.json").read_bytes())
    with pytest.raises(BlockedError, match=r"restricted location.*--base-url.*mmf ingest bybit.*data.binance.vision"):
        read_klines(answered(body, status=451))


# --- archives


def zipped(text: str, *names: str) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name in names or ("x.csv",):
            archive.writestr(name, text)
    return file.getvalue()


LINE = "1704067200000,1.5,3,1,2,10,1704067259999,20.5,4,5,10,0\n"
HEADER = "open_time,open,high,low,close,volume,close_time,quote_volume,count,taker_buy_volume,taker_quote,ignore\n"


@pytest.mark.parametrize("header", ["", HEADER])
@pytest.mark.parametrize("thousandths", ["", "000"])
def test_an_archive_is_read_with_or_without_header_in_ms_or_us(header, thousandths):
    text = header + LINE.replace("1704067200000", f"1704067200000{thousandths}")
    rows = read_archive(zipped(text), "x.zip")
    assert rows["open_time"].to_physical().to_list() == [JANUARY_2024_MS]
    assert rows.row(0)[1:] == (1.5, 3.0, 1.0, 2.0, 10.0, 20.5)


@pytest.mark.parametrize("content", [b"no zip", zipped(LINE, "a.csv", "b.csv"), zipped("1,2,3\n"), zipped("")])
def test_an_archive_that_is_none_is_named(content):
    with pytest.raises(ExchangeError, match=r"BTC\.zip has the right sha256"):
        read_archive(content, "BTC.zip")


@pytest.mark.real_bars
def test_the_archives_of_march_2023_hold_exactly_the_klines_of_that_month(real_bars):
    files = sorted((real_bars / "archives").glob("BTCUSDT-1m-2023-03-*.zip"))
    rows = pl.concat([read_archive(file.read_bytes(), file.name) for file in files])
    march = pl.col("open_time").is_between(datetime(2023, 3, 1, tzinfo=UTC), datetime(2023, 4, 1, tzinfo=UTC), "left")
    klines = pl.read_parquet(real_bars / "klines" / "binance_spot_BTCUSDT_1m.parquet").filter(march)
    assert rows.height == 44_560
    assert rows.equals(klines.select(rows.columns).cast(rows.schema))


@pytest.mark.real_bars
@pytest.mark.parametrize("name", ["futures-um-klines", "spot-klines"])
def test_real_archives_with_and_without_header(real_bars, name):
    file = real_bars / "archives" / f"{name}-BTCUSDT-1h-2024-10-28.zip"
    rows = read_archive(file.read_bytes(), file.name)
    assert rows.height == 24
    assert rows.null_count().sum_horizontal().item() == 0


def test_paths_are_those_of_the_archive_host():
    day = Archive(datetime(2024, 10, 28, tzinfo=UTC).date(), False, [(0, 24)])
    month = Archive(datetime(2024, 10, 1, tzinfo=UTC).date(), True, [(0, 24)])
    series = Series.parse("binance:spot:BTCUSDT:60")
    assert day.path(HOURLY) == "/data/futures/um/daily/klines/BTCUSDT/1h/BTCUSDT-1h-2024-10-28.zip"
    assert month.path(series) == "/data/spot/monthly/klines/BTCUSDT/1h/BTCUSDT-1h-2024-10.zip"


@given(
    ranges=st.lists(st.tuples(st.integers(0, 150 * 1_440), st.integers(0, 150 * 1_440))).map(normalise),
    interval=st.sampled_from(["1", "5", "60", "720", "D", "W"]),
)
@settings(max_examples=60)
def test_archives_and_pages_together_hold_what_is_wanted_once_and_in_order(ranges, interval):
    grid = Interval(interval)
    first = JANUARY_2024_MS // MINUTE_MS
    wanted = cells([((first + a) * MINUTE_MS, (first + b) * MINUTE_MS) for a, b in ranges], size=grid.ms)
    pieces = list(plan_archives(wanted, grid, page_rows=1_000))
    parts = [part for piece in pieces for part in piece.numbers]
    assert normalise(parts) == normalise(wanted)
    assert sum(b - a for a, b in parts) == sum(b - a for a, b in wanted)
    assert [piece.numbers[0] for piece in pieces] == sorted(piece.numbers[0] for piece in pieces)


@pytest.mark.parametrize(
    ("interval", "first_day", "n_days", "expected"),
    [
        ("1", 0, 60, {"monthly": 2}),  # January and February
        ("1", 1, 62, {"daily": 30 + 3, "monthly": 1}),
        ("1", 0, 1, {"daily": 1}),
        ("5", 0, 3, {"page": 1}),  # 864 bars are one request
        ("5", 0, 34, {"monthly": 1, "page": 1}),
        ("60", 0, 31, {"page": 1}),
        ("60", 0, 366, {"monthly": 12}),
        ("D", 0, 3_000, {"page": 3}),
    ],
)
def test_archives_are_used_where_they_spare_requests(interval, first_day, n_days, expected):
    grid = Interval(interval)
    start_ms = JANUARY_2024_MS + first_day * DAY_MS
    wanted = cells([(start_ms, start_ms + n_days * DAY_MS)], size=grid.ms)
    pieces = plan_archives(wanted, grid, page_rows=1_000)
    names = ("page" if isinstance(p, Page) else "monthly" if p.is_month else "daily" for p in pieces)
    assert Counter(names) == expected


# --- against the loopback exchange


@pytest.mark.parametrize("interval", ["1", "3", "5", "15", "30", "60", "120", "240", "360", "720", "D", "W"])
@pytest.mark.parametrize("category", ["um", "spot"])
def test_every_interval_and_category_arrives_as_it_is_served(interval, category):
    series = Series("binance", category, "BTCUSDT", interval)
    with served(1_403, series=series) as exchange:
        assert_complete(Store(series).fetch(source_of(exchange), SINCE_2024), exchange)


def test_history_comes_from_archives_and_the_rest_from_rest():
    with served(65 * 288 + 100, series=SPOT) as exchange:
        store = Store(SPOT).fetch(source_of(exchange), SINCE_2024)
        assert_complete(store, exchange)
        assert kinds(exchange) == {"monthly": 2, "daily": 5, "klines?": 3}
        assert {batch.source for batch in store.batches} == {"binance", "binance:archive"}


def test_an_up_to_date_series_costs_one_request_and_its_forming_bar_stays_out():
    with served(3_000, series=HOURLY) as exchange:
        last_ms = exchange.served(HOURLY)["open_time"].to_physical()[-1]
        store = Store(HOURLY).fetch(source_of(exchange), (last_ms + HOUR_MS, 1 << 53))
        assert len(exchange.requests) == 1
        assert store.batches[0].rows.height == 1
        assert store.bars.is_empty()


def test_the_last_second_before_a_bar_closes_it_counts_as_forming():
    with served(100, series=HOURLY) as exchange:
        exchange.set_now(JANUARY_2024_MS + 50 * HOUR_MS + 999)
        assert_complete(Store(HOURLY).fetch(source_of(exchange), SINCE_2024), exchange)
        exchange.set_now(JANUARY_2024_MS + 50 * HOUR_MS - 1)
        store = Store(HOURLY).fetch(source_of(exchange), SINCE_2024)
        assert store.bars.height == 49


def test_all_of_history_starts_at_the_first_bar_and_what_lies_before_is_known():
    with served(70 * 288, series=SPOT) as exchange:
        store = Store(SPOT).fetch(source_of(exchange))
        assert_complete(store, exchange, start_ms=0)
        assert not [r for r in exchange.requests if r.status == 404]


def test_months_without_archive_come_by_days_and_days_without_archive_by_rest():
    late = ArchiveStyle(lag_ms=5 * DAY_MS)
    with served(33 * 1_440, series=MINUTES, faults=Faults(archives=late, weight_per_min=None)) as exchange:
        store = Store(MINUTES).fetch(source_of(exchange), SINCE_2024)
        assert_complete(store, exchange)
        assert kinds(exchange)["daily"] == 28
        assert kinds(exchange)["klines?"] > 8


@pytest.mark.parametrize("unit", ["ms", "us"])
@pytest.mark.parametrize("header", [True, False])
def test_archives_of_every_style(unit, header):
    style = ArchiveStyle(header=header, unit=unit)
    with served(40 * 288, series=SPOT, faults=Faults(archives=style, weight_per_min=None)) as exchange:
        assert_complete(Store(SPOT).fetch(source_of(exchange), SINCE_2024), exchange)


def test_a_hole_in_an_archive_is_asked_of_rest_once():
    with served(70 * 288, series=SPOT) as exchange:
        hole_ms = JANUARY_2024_MS + 20 * DAY_MS
        exchange.withhold(SPOT, hole_ms, hole_ms + HOUR_MS)
        store = Store(SPOT).fetch(source_of(exchange), SINCE_2024)
        assert_complete(store, exchange)
        number = SPOT.grid.bar_number(hole_ms)
        assert store.absent() == [(number, number + 12)]
        asked = [r for r in exchange.requests if r.query.get("startTime") == str(hole_ms)]
        assert len(asked) == 1


def test_what_an_archive_lacks_and_rest_has_is_taken_from_rest():
    with served(70 * 288, series=SPOT) as whole:
        lost = whole.withhold(SPOT, JANUARY_2024_MS + 20 * DAY_MS, JANUARY_2024_MS + 20 * DAY_MS + HOUR_MS)
        with served(70 * 288, series=SPOT) as rest:
            source = BinanceSource(rest.url, archive_url=whole.url, options=QUICK, pacer=virtual_pacer())
            store = Store(SPOT).fetch(source, SINCE_2024)
            assert_complete(store, rest)
            by_rest = pl.concat([batch.rows for batch in store.batches if batch.source == "binance"])
            assert lost.join(by_rest, on="open_time", how="semi").height == lost.height == 12


@pytest.mark.real_bars
def test_the_outage_of_march_2023_is_absent_at_the_source_and_nothing_else(real_bars):
    series = Series.parse("binance:spot:BTCUSDT:1")
    first, last = datetime(2023, 3, 1, tzinfo=UTC), datetime(2023, 4, 1, tzinfo=UTC)
    klines = pl.read_parquet(real_bars / "klines" / "binance_spot_BTCUSDT_1m.parquet")
    klines = klines.filter(pl.col("open_time").is_between(first, last, closed="left"))
    with LoopbackExchange([Market(series, klines)], faults=Faults(weight_per_min=None)) as exchange:
        store = Store(series).fetch(source_of(exchange), (int(first.timestamp()) * 1_000, 1 << 53))
        assert_complete(store, exchange, start_ms=int(first.timestamp()) * 1_000)
        outage = series.grid.bar_number(int(datetime(2023, 3, 24, 12, 40, tzinfo=UTC).timestamp()) * 1_000)
        assert store.absent() == [(outage, outage + 80)]


def test_a_delisted_symbol_ends_where_it_ended():
    with served(40 * 1_440, series=MINUTES, delisted_ms=JANUARY_2024_MS + 35 * DAY_MS + HOUR_MS) as exchange:
        exchange.set_now(JANUARY_2024_MS + 800 * DAY_MS)
        store = Store(MINUTES).fetch(source_of(exchange), SINCE_2024)
        assert_complete(store, exchange)
        assert len(exchange.requests) < 300


@pytest.mark.parametrize("n_lies", [2, 3])
@pytest.mark.parametrize("n_held", [100, 5_000])
def test_empty_answers_that_lie_hide_nothing_for_good(n_lies, n_held):
    with served(20_000, series=HOURLY) as exchange:
        held_ms = JANUARY_2024_MS + n_held * HOUR_MS
        store, source = Store(HOURLY).fetch(source_of(exchange), (JANUARY_2024_MS, held_ms)), source_of(exchange)
        exchange.faults = Faults(empty=n_lies, path="fapi", weight_per_min=None)
        store.fetch(source, (held_ms, 1 << 53))
        assert exchange.faults.hits["empty"] == n_lies
        assert store.absent() == []
        assert_complete(store.fetch(source, (held_ms, 1 << 53)), exchange)


def test_an_end_made_up_within_the_life_of_a_delivered_contract_is_not_believed():
    with served(20_000, series=HOURLY, delisted_ms=JANUARY_2024_MS + 15_000 * HOUR_MS) as exchange:
        exchange.faults = Faults(empty=1.0, path="klines", weight_per_min=None)
        store = Store(HOURLY).fetch(source_of(exchange), SINCE_2024)
        first = HOURLY.grid.bar_number(JANUARY_2024_MS)
        assert store.covered == [(first + 15_000, HOURLY.grid.bar_number(exchange.now_ms) - UNSETTLED_BARS)]
        exchange.faults = Faults(weight_per_min=None)
        assert_complete(store.fetch(source_of(exchange), SINCE_2024), exchange)


def test_empty_answers_that_contradict_the_newest_bar_are_no_end():
    with served(20_000, series=HOURLY) as exchange:
        exchange.faults = Faults(plan=["empty", "empty", None, "empty"], path="fapi", weight_per_min=None)
        assert_complete(Store(HOURLY).fetch(source_of(exchange), SINCE_2024), exchange)


def test_answers_that_go_on_contradicting_the_newest_bar_are_told():
    with served(2_000, series=HOURLY) as exchange:
        exchange.faults = Faults(plan=["empty", "empty", None, *["empty"] * 20], path="fapi", weight_per_min=None)
        with pytest.raises(
            ExchangeError, match=r"newer bars of binance:um:BTCUSDT:60 and yet answers .* run the command"
        ):
            Store(HOURLY).fetch(source_of(exchange), SINCE_2024)


@pytest.mark.parametrize("series", [SPOT, HOURLY])
def test_a_symbol_that_ended_is_known_to_have_after_five_requests_and_costs_one_again(series):
    ended_ms = JANUARY_2024_MS + 200 * series.grid.ms
    with served(300, series=series, delisted_ms=ended_ms) as exchange:
        exchange.set_now(JANUARY_2024_MS + 400 * DAY_MS)
        store, source = Store(series), source_of(exchange)
        store.fetch(source, (ended_ms - 16 * series.grid.ms, 1 << 53))
        assert_complete(store, exchange, start_ms=ended_ms - 16 * series.grid.ms)
        assert len(exchange.requests) <= 5
        exchange.requests.clear()
        last_ms = ended_ms - series.grid.ms
        [again] = source.batches(series, [(last_ms, 1 << 53)], ended_ms=(last_ms, ended_ms))
        assert (again.rows.height, again.covered) == (1, ())
        assert len(exchange.requests) == 1


def test_a_symbol_that_trades_again_is_fetched_though_it_was_known_to_have_ended():
    with served(300, series=HOURLY) as exchange:
        ended_ms = JANUARY_2024_MS + 200 * HOUR_MS
        last_ms = ended_ms - HOUR_MS
        batches = source_of(exchange).batches(HOURLY, [(last_ms, 1 << 53)], ended_ms=(last_ms, ended_ms))
        assert sum(batch.rows.height for batch in batches) == 102  # the forming bar, too


def test_years_of_archives_after_the_end_are_not_looked_for():
    with served(40 * 1_440, series=MINUTES, delisted_ms=JANUARY_2024_MS + 35 * DAY_MS + HOUR_MS) as exchange:
        exchange.set_now(JANUARY_2024_MS + 800 * DAY_MS)
        Store(MINUTES).fetch(source_of(exchange), SINCE_2024)
        assert [r.path for r in exchange.requests if "2024-02.zip" in r.path or "-2025-" in r.path] == []


# --- what REST has forgotten


@pytest.mark.parametrize("series", [MINUTES, HOURLY, SPOT, Series.parse("binance:um:BTCUSDT:D")])
@pytest.mark.parametrize("since_ms", [0, JANUARY_2024_MS + 40 * DAY_MS])
def test_a_symbol_that_rest_has_forgotten_comes_from_archives_alone_and_its_end_is_known(series, since_ms):
    n = 70 * DAY_MS // series.grid.ms
    with served(n, series=series, is_forgotten=True, delisted_ms=JANUARY_2024_MS + 65 * DAY_MS) as exchange:
        exchange.set_now(JANUARY_2024_MS + 400 * DAY_MS)
        store, source = Store(series).fetch(source_of(exchange), (since_ms, 1 << 53)), source_of(exchange)
        truth = exchange.served(series).filter(pl.col("open_time").dt.epoch("ms") >= since_ms)
        assert store.bars.equals(truth)
        number = series.grid.bar_number
        assert store.covered == [(number(since_ms), number(exchange.now_ms - PUBLISHED_MS))]
        assert {batch.source for batch in store.batches} == {"binance:archive"}
        exchange.requests.clear()
        ended_ms = JANUARY_2024_MS + 65 * DAY_MS
        last_ms = ended_ms - series.grid.ms
        again = list(source.batches(series, [(last_ms, 1 << 53)], ended_ms=(last_ms, ended_ms)))
        assert [batch for batch in again if batch.covered or not batch.rows.is_empty()] == []
        assert len(exchange.requests) == 1


def test_what_may_still_be_published_is_not_said_to_be_absent():
    late = Faults(archives=ArchiveStyle(lag_ms=20 * DAY_MS), weight_per_min=None)
    with served(60 * 24, series=HOURLY, is_forgotten=True, faults=late) as exchange:
        exchange.set_now(JANUARY_2024_MS + 65 * DAY_MS)
        store = Store(HOURLY).fetch(source_of(exchange), SINCE_2024)
        assert store.bars.height == 45 * 24
        assert store.absent() == []
        exchange.set_now(JANUARY_2024_MS + 200 * DAY_MS)
        store.fetch(source_of(exchange), SINCE_2024)
        assert store.bars.equals(exchange.served(HOURLY))


def test_a_day_that_is_not_whole_in_its_month_is_looked_for_in_its_own_archive():
    with served(70 * 24, series=HOURLY, is_forgotten=True) as exchange:
        exchange.set_now(JANUARY_2024_MS + 400 * DAY_MS)
        hole_ms = JANUARY_2024_MS + 20 * DAY_MS
        exchange.withhold(HOURLY, hole_ms, hole_ms + 3 * HOUR_MS)
        store = Store(HOURLY).fetch(source_of(exchange), SINCE_2024)
        assert store.bars.equals(exchange.served(HOURLY))
        number = HOURLY.grid.bar_number(hole_ms)
        assert (number, number + 3) in store.absent()
        days = [r.path for r in exchange.requests if "daily" in r.path and r.path.endswith("zip")]
        assert [path[-14:-4] for path in days] == ["2024-01-21"]


def test_a_month_that_is_listed_and_not_there_comes_by_its_days():
    faults = Faults(no_archive=1.0, path="monthly", weight_per_min=None)
    with served(70 * 24, series=HOURLY, is_forgotten=True, faults=faults) as exchange:
        exchange.set_now(JANUARY_2024_MS + 400 * DAY_MS)
        store = Store(HOURLY).fetch(source_of(exchange), SINCE_2024)
        assert store.bars.equals(exchange.served(HOURLY))


def test_an_archive_that_is_listed_and_not_there_proves_nothing():
    faults = Faults(no_archive=1.0, path="2024-01", weight_per_min=None)
    with served(70 * 24, series=HOURLY, is_forgotten=True, faults=faults) as exchange:
        exchange.set_now(JANUARY_2024_MS + 400 * DAY_MS)
        store = Store(HOURLY).fetch(source_of(exchange), SINCE_2024)
        assert store.bars.equals(exchange.served(HOURLY)[31 * 24 :])
        assert store.covered[0][0] == HOURLY.grid.bar_number(JANUARY_2024_MS) + 31 * 24


def test_a_day_that_is_listed_and_not_there_proves_nothing_either():
    faults = Faults(no_archive=1.0, path="2024-03-05", weight_per_min=None)
    with served(70 * 24, series=HOURLY, is_forgotten=True, faults=faults) as exchange:
        exchange.set_now(JANUARY_2024_MS + 80 * DAY_MS)  # March is not out as a month
        store = Store(HOURLY).fetch(source_of(exchange), (JANUARY_2024_MS + 60 * DAY_MS, 1 << 53))
        number = HOURLY.grid.bar_number(JANUARY_2024_MS)
        assert store.covered == [(number + 60 * 24, number + 64 * 24), (number + 65 * 24, number + 70 * 24)]


def test_a_list_of_more_than_a_thousand_names_is_read_to_its_end():
    with served(1_100, series=Series.parse("binance:um:BTCUSDT:D"), is_forgotten=True) as exchange:
        exchange.set_now(JANUARY_2024_MS + 2_000 * DAY_MS)

        async def listed() -> list[Archive]:
            async with HttpClient(exchange.url, pacer=virtual_pacer(), options=QUICK) as client:
                day = datetime(2024, 1, 11, tzinfo=UTC).date()
                return await list_archives(client, Series.parse("binance:um:BTCUSDT:D"), since=day)

        found = asyncio.run(listed())
        assert Counter(one.is_month for one in found) == {True: 37, False: 1_090}
        assert found[37].first_day.isoformat() == "2024-01-11"


def test_a_halt_of_what_is_traded_proves_no_end():
    with served(300, series=HOURLY, forming=False) as exchange:
        exchange.set_now(JANUARY_2024_MS + 100 * DAY_MS)
        store = Store(HOURLY).fetch(source_of(exchange), (JANUARY_2024_MS, 1 << 53))
        assert store.bars.height == 300
        assert store.covered[-1][1] <= HOURLY.grid.bar_number(JANUARY_2024_MS) + 1_000  # the page of the last bar


def test_a_symbol_that_neither_rest_nor_archives_know_is_refused():
    with served(10, series=HOURLY) as exchange, pytest.raises(UnknownSymbolError, match=r"LUNAUSDT:60.*Invalid symbol"):
        Store(Series.parse("binance:um:LUNAUSDT:60")).fetch(source_of(exchange), SINCE_2024)


def test_one_refusal_of_a_listed_symbol_does_not_make_it_forgotten():
    faults = Faults(plan=["unknown_symbol"], weight_per_min=None)
    with served(70 * 24, series=HOURLY, faults=faults) as exchange:
        exchange.set_now(JANUARY_2024_MS + 400 * DAY_MS)
        with pytest.raises(UnknownSymbolError, match="Invalid symbol"):
            Store(HOURLY).fetch(source_of(exchange), SINCE_2024)


@pytest.mark.parametrize("kind", ["truncated", "not_json", "unavailable", "dropped", "cut"])
def test_a_list_that_breaks_off_is_asked_again(kind):
    faults = Faults(plan=[None] * 3 + [kind, kind], weight_per_min=None)
    with served(70 * 24, series=HOURLY, is_forgotten=True, faults=faults) as exchange:
        exchange.set_now(JANUARY_2024_MS + 400 * DAY_MS)
        store = Store(HOURLY).fetch(source_of(exchange), SINCE_2024)
        assert exchange.faults.hits[kind] == 2
        assert store.bars.equals(exchange.served(HOURLY))


# --- faults


def test_missing_archives_are_asked_of_rest_in_full_pages():
    """Eleven missing days of 5m bars are four pages, not eleven; a missing month of hours is one."""
    for series, n_days, n_pages in ((SPOT, 11, 4), (HOURLY, 366, 10)):
        faults = Faults(no_archive=1.0, weight_per_min=None)
        with served(n_days * DAY_MS // series.grid.ms, series=series, faults=faults) as exchange:
            store = Store(series).fetch(source_of(exchange), SINCE_2024)
            assert_complete(store, exchange)
            pages = [r for r in exchange.requests if int(r.query.get("limit", 0)) > 1]
            assert len(pages) <= n_pages + 3
            assert series == SPOT or not [r for r in exchange.requests if "daily" in r.path]


def test_a_wrong_checksum_is_asked_once_more_and_then_names_the_file():
    faults = Faults(bad_checksum=1, path="CHECKSUM", weight_per_min=None)
    with served(40 * 288, series=SPOT, faults=faults) as exchange:
        store, source = Store(SPOT), source_of(exchange)
        assert_complete(store.fetch(source, SINCE_2024), exchange)
        exchange.faults.bad_checksum = 1.0
        with pytest.raises(ExchangeError, match=r"BTCUSDT-5m-2024-01\.zip does not have the sha256 .*run the command"):
            Store(SPOT).fetch(source, SINCE_2024)


@pytest.mark.parametrize(
    "kind", ["too_many", "timed_out", "unavailable", "dropped", "cut", "truncated", "not_json", "empty", "lossy"]
)
@pytest.mark.parametrize("at", [0, 1, 2])
def test_a_passing_fault_leaves_no_trace(kind, at):
    faults = Faults(plan=[None] * at + [kind], weight_per_min=None)
    with served(1_900, series=HOURLY, faults=faults) as exchange:
        exchange.withhold(HOURLY, JANUARY_2024_MS + 5 * HOUR_MS, JANUARY_2024_MS + 6 * HOUR_MS)
        assert_complete(Store(HOURLY).fetch(source_of(exchange), SINCE_2024), exchange)


@pytest.mark.parametrize(
    ("kind", "error", "message"),
    [
        ("ip_ban", BannedError, "Wait 10 minutes"),
        ("geo_block", BlockedError, "restricted location.*archives of https://data.binance.vision"),
        ("unknown_symbol", RefusedError, "binance:um:BTCUSDT:60.*Invalid symbol"),
    ],
)
def test_refusals_say_what_to_do(kind, error, message):
    with (
        served(10, series=HOURLY, faults=Faults(plan=[kind])) as exchange,
        pytest.raises(error, match=message),
    ):
        Store(HOURLY).fetch(source_of(exchange), SINCE_2024)
    assert len(exchange.requests) == (2 if kind == "unknown_symbol" else 1)


LINE_FAULTS = ("unavailable", "dropped", "cut", "truncated", "not_json", "timed_out", "too_many", "disordered")
STOPPERS = ("ip_ban", "geo_block", "unknown_symbol", "bad_checksum", "no_archive")


@given(
    plan=st.lists(st.sampled_from([None, None, *LINE_FAULTS, *STOPPERS]), max_size=30),
    spoil=st.sampled_from([None, "lossy", "duplicated"]),
    hole=st.integers(0, 10_500),
    start=st.integers(-3_000, 10_500),
)
@settings(max_examples=12)
def test_whatever_happens_the_bars_are_the_served_ones_or_it_was_said_and_a_rerun_completes(plan, spoil, hole, start):
    wanted = (JANUARY_2024_MS + start * 5 * MINUTE_MS, 1 << 53)
    with served(10_501, series=SPOT, faults=Faults(plan=[*plan, spoil], weight_per_min=None)) as exchange:
        hole_ms = JANUARY_2024_MS + hole * 5 * MINUTE_MS
        exchange.withhold(SPOT, hole_ms, hole_ms + HOUR_MS)
        store, source = Store(SPOT), source_of(exchange)
        if not store.survives(source, wanted):
            exchange.faults = Faults(weight_per_min=None)
            store.fetch(source, wanted)
        assert_complete(store, exchange, start_ms=wanted[0])


# --- the rest of the interface


def test_time_is_the_exchanges():
    with served(10, series=HOURLY) as exchange:
        assert source_of(exchange).time_ms() == source_of(exchange).time_ms("spot") == exchange.now_ms


def test_instruments_tell_what_exchange_info_tells():
    ended_ms = JANUARY_2024_MS + 5 * HOUR_MS
    markets = [
        Market(HOURLY, walk_bars(10), launch_ms=JANUARY_2024_MS),
        Market(Series.parse("binance:um:LUNAUSDT:60"), walk_bars(10), delisted_ms=ended_ms),
        Market(SPOT, walk_bars(10, interval="5")),
    ]
    with LoopbackExchange(markets) as exchange:
        assert source_of(exchange).instruments("um").rows() == [
            ("BTCUSDT", "TRADING", JANUARY_2024_MS, None, None, "BTC", "USDT"),
            ("LUNAUSDT", "SETTLING", JANUARY_2024_MS, ended_ms, None, "LUNA", "USDT"),
        ]
        assert source_of(exchange).instruments("spot").rows() == [
            ("BTCUSDT", "TRADING", None, None, None, "BTC", "USDT")
        ]


def test_funding_of_several_answers_is_whole():
    funding = walk_funding(1_500, minutes=60)
    with served(2_000, series=HOURLY, funding=funding) as exchange:
        found = source_of(exchange).funding(HOURLY, JANUARY_2024_MS + 1, JANUARY_2024_MS + 1_400 * HOUR_MS)
        assert found.equals(funding[1:1_400])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: BinanceSource("fapi.binance.com"), "not an http"),
        (lambda: BinanceSource(archive_url="data"), "not an http"),
        (lambda: next(BinanceSource().batches(Series.parse("bybit:linear:BTCUSDT:60"), [])), "not a series of Binance"),
        (lambda: BinanceSource().instruments("cm"), "cm .*not supported"),
        (lambda: BinanceSource().instruments("linear"), "category 'linear'"),
        (lambda: BinanceSource().funding(SPOT, 0, 1), "spot has no funding"),
    ],
)
def test_a_wrong_call_is_refused_before_anything_is_sent(call, message):
    with pytest.raises(CallError, match=message):
        call()
