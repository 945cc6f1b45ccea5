import threading
from dataclasses import replace

import polars as pl
import pytest

from mmf.bars import BAR_SCHEMA, DAY_MS, Series
from mmf.markets.binance import BinanceSource
from mmf.markets.bybit import BybitSource
from mmf.markets.errors import BannedError, BlockedError
from mmf.markets.source import ALL_TIME, ExchangeSource
from mmf.pipeline.doctor import examine, repair
from mmf.pipeline.exchange import plan, refresh, refresh_all
from mmf.pipeline.tables import stored_bars
from tests.exchange.faults import Faults
from tests.exchange.http_server import Answer
from tests.exchange.server import LoopbackExchange, Market
from tests.exchange.truth import JANUARY_2024_MS, walk_bars
from warehouse import Warehouse
from warehouse.query import connect
from warehouse.verdicts import absences

HOUR_MS = 3_600_000
BTC = Series("bybit", "linear", "BTCUSDT", "60")
ETH = Series("bybit", "linear", "ETHUSDT", "60")
FROM_JANUARY = (JANUARY_2024_MS, ALL_TIME[1])
NOW_MS = JANUARY_2024_MS + 365 * DAY_MS  # of the local clock


def source_of(exchange: LoopbackExchange, series: Series) -> ExchangeSource:
    if series.exchange == "bybit":
        return BybitSource(exchange.url)
    return BinanceSource(exchange.url, archive_url=exchange.url)


def stored(warehouse: Warehouse, series: Series = BTC) -> pl.DataFrame:
    with warehouse.pin() as snapshot:
        return stored_bars(snapshot, series).select(*BAR_SCHEMA)


def served(n: int = 3_000, *, without: tuple[int, int] = (0, 0), seed: int = 0) -> pl.DataFrame:
    bars = walk_bars(n, seed=seed)
    return pl.concat([bars[: without[0]], bars[without[1] :]])


def test_a_backfill_stores_the_closed_truth_and_nothing_forming(warehouse: Warehouse) -> None:
    with LoopbackExchange([Market(BTC, served())]) as exchange:
        report = refresh(warehouse, BybitSource(exchange.url), BTC, FROM_JANUARY)
        truth = exchange.served(BTC)
    assert stored(warehouse).equals(truth.select(*BAR_SCHEMA))
    assert report.n_added == 3_000


def test_an_up_to_date_series_costs_one_request(warehouse: Warehouse) -> None:
    with LoopbackExchange([Market(BTC, served())]) as exchange:
        refresh(warehouse, BybitSource(exchange.url), BTC, FROM_JANUARY)
        n_before = len(exchange.requests)
        report = refresh(warehouse, BybitSource(exchange.url), BTC, FROM_JANUARY)
        assert len(exchange.requests) - n_before == 1
    assert not report.has_changed


@pytest.mark.parametrize(
    ("series", "market"),
    [
        (BTC, {}),
        (Series("bybit", "spot", "BTCUSDT", "60"), {}),
        (Series("binance", "um", "BTCUSDT", "60"), {}),
        (Series("binance", "spot", "BTCUSDT", "60"), {}),
        (Series("binance", "um", "BTCUSDT", "60"), {"is_forgotten": True}),
        (Series("binance", "um", "BTCUSDT", "5"), {"is_forgotten": True}),
    ],
)
def test_a_series_that_has_ended_costs_one_request_a_refresh(
    warehouse: Warehouse, series: Series, market: dict
) -> None:
    ended_ms = JANUARY_2024_MS + 400 * series.grid.ms
    bars = walk_bars(700, interval=series.interval)
    with LoopbackExchange([Market(series, bars, delisted_ms=ended_ms, **market)]) as exchange:
        exchange.set_now(JANUARY_2024_MS + 300 * DAY_MS)
        refresh(warehouse, source_of(exchange, series), series, FROM_JANUARY)
        assert stored(warehouse, series).equals(exchange.served(series).select(*BAR_SCHEMA))
        exchange.set_now(JANUARY_2024_MS + 330 * DAY_MS)
        exchange.requests.clear()
        report = refresh(warehouse, source_of(exchange, series), series, FROM_JANUARY)
        assert (report.n_unchanged, len(exchange.requests)) == (0 if market else 16, 1)
        assert not report.has_changed


def test_the_last_bars_of_a_series_that_has_ended_may_still_be_restated(warehouse: Warehouse) -> None:
    with LoopbackExchange([Market(BTC, served(), delisted_ms=JANUARY_2024_MS + 400 * HOUR_MS)]) as exchange:
        refresh(warehouse, BybitSource(exchange.url), BTC, FROM_JANUARY)
        exchange.revise(BTC, served()[399:400].with_columns(pl.col("volume") * 2, pl.col("turnover") * 2))
        assert refresh(warehouse, BybitSource(exchange.url), BTC, FROM_JANUARY).n_revised == 1


@pytest.mark.parametrize("exchange_name", ["bybit", "binance"])
def test_a_series_that_has_ended_is_filled_backwards_in_one_run(warehouse: Warehouse, exchange_name: str) -> None:
    """It lacks more bars before the newest stored ones than one answer holds."""
    series = Series(exchange_name, {"bybit": "linear", "binance": "um"}[exchange_name], "BTCUSDT", "D")
    ended_ms = JANUARY_2024_MS
    bars = walk_bars(2_500, interval="D", start_ms=ended_ms - 2_500 * DAY_MS)
    with LoopbackExchange([Market(series, bars, delisted_ms=ended_ms)], now_ms=ended_ms + 40 * DAY_MS) as exchange:
        source = source_of(exchange, series)
        refresh(warehouse, source, series, (ended_ms - 10 * DAY_MS, ALL_TIME[1]))
        assert plan(warehouse, series, lambda _: ALL_TIME).ended_ms is not None
        assert refresh(warehouse, source, series, ALL_TIME).n_added == 2_490
        assert stored(warehouse, series).equals(exchange.served(series).select(*BAR_SCHEMA))


def test_times_before_1970_are_not_asked_for(warehouse: Warehouse) -> None:
    with LoopbackExchange([Market(BTC, served(100))]) as exchange:
        for is_recheck in (False, True):
            refresh(warehouse, BybitSource(exchange.url), BTC, (-(10**15), 1 << 53), is_recheck=is_recheck)
        assert min(int(r.query.get("start", "0")) for r in exchange.requests) == 0
        assert stored(warehouse).height == 100


@pytest.mark.parametrize("series", [BTC, Series("binance", "um", "BTCUSDT", "60")])
def test_a_symbol_that_is_listed_again_goes_on(warehouse: Warehouse, series: Series) -> None:
    with LoopbackExchange([Market(series, served(), delisted_ms=JANUARY_2024_MS + 400 * HOUR_MS)]) as exchange:
        refresh(warehouse, source_of(exchange, series), series, FROM_JANUARY)
        exchange.delist(series, JANUARY_2024_MS + 5_000 * HOUR_MS)
        exchange.withhold(series, JANUARY_2024_MS + 400 * HOUR_MS, JANUARY_2024_MS + 2_000 * HOUR_MS)
        refresh(warehouse, source_of(exchange, series), series, FROM_JANUARY)
        assert stored(warehouse, series).equals(exchange.served(series).select(*BAR_SCHEMA))


@pytest.mark.parametrize("exchange_name", ["bybit", "binance"])
def test_many_series_are_asked_for_at_once_and_stored_in_order(warehouse: Warehouse, exchange_name: str) -> None:
    category = {"bybit": "linear", "binance": "um"}[exchange_name]
    many = [Series(exchange_name, category, f"COIN{i}USDT", "60") for i in range(12)]
    with LoopbackExchange([Market(one, served(300, seed=i)) for i, one in enumerate(many)]) as exchange:
        exchange.latency_s = 2.0
        done = list(refresh_all(warehouse, source_of(exchange, many[0]), many, lambda _: FROM_JANUARY, now_ms=NOW_MS))
        assert [one for one, _ in done] == many
        for one in many:
            assert stored(warehouse, one).equals(exchange.served(one).select(*BAR_SCHEMA))
        first, *_, last = [r.time_s for r in exchange.requests][:12]
        assert last - first < 2.0  # all had arrived before the first was answered


def test_a_series_that_fails_leaves_what_came_before_and_the_others_alone(warehouse: Warehouse) -> None:
    eth = Series("bybit", "linear", "NOPEUSDT", "60")
    with LoopbackExchange([Market(BTC, served()), Market(ETH, served(seed=1))]) as exchange:
        source = BybitSource(exchange.url)
        results = dict(refresh_all(warehouse, source, [BTC, eth, ETH], lambda _: FROM_JANUARY, now_ms=NOW_MS))
        assert [type(result).__name__ for result in results.values()] == [
            "IngestReport",
            "RefusedError",
            "IngestReport",
        ]
        assert stored(warehouse, ETH).equals(exchange.served(ETH).select(*BAR_SCHEMA))


def test_a_ban_ends_all_and_what_came_before_it_is_stored(warehouse: Warehouse) -> None:
    with LoopbackExchange([Market(BTC, served()), Market(ETH, served(seed=1))]) as exchange:
        exchange.faults = Faults(plan=[None] * 3 + ["ip_ban"], limit=None)
        with pytest.raises(BannedError):
            list(refresh_all(warehouse, BybitSource(exchange.url), [BTC, ETH], lambda _: FROM_JANUARY, now_ms=NOW_MS))
        exchange.faults = Faults(limit=None)
        assert stored(warehouse, BTC).height >= 1_000
        list(refresh_all(warehouse, BybitSource(exchange.url), [BTC, ETH], lambda _: FROM_JANUARY, now_ms=NOW_MS))
        for one in (BTC, ETH):
            assert stored(warehouse, one).equals(exchange.served(one).select(*BAR_SCHEMA))


class DamagedArchives(LoopbackExchange):
    """Serves wrong checksums of the archives of one symbol."""

    def _answer(self, path: str, query: dict[str, str], arrived_s: float) -> Answer:
        answer = super()._answer(path, query, arrived_s)
        is_damaged = "AAAUSDT" in path and path.endswith("CHECKSUM") and answer.status == 200
        return replace(answer, body=b"0" * 64 + b"  x.zip\n") if is_damaged else answer


def test_a_damaged_archive_of_one_series_leaves_the_others_alone(warehouse: Warehouse) -> None:
    many = [Series("binance", "um", symbol, "60") for symbol in ("AAAUSDT", "BBBUSDT")]
    with DamagedArchives([Market(one, served(2_400)) for one in many]) as exchange:
        source = source_of(exchange, many[0])
        failed, done = refresh_all(warehouse, source, many, lambda _: FROM_JANUARY, now_ms=NOW_MS)
        assert "sha256" in str(failed[1])
        assert stored(warehouse, done[0]).equals(exchange.served(done[0]).select(*BAR_SCHEMA))


def test_what_came_for_the_series_after_a_block_is_stored(warehouse: Warehouse) -> None:
    many = [Series("bybit", "linear", f"COIN{i}USDT", "60") for i in range(40)]
    with LoopbackExchange([Market(one, served(300, seed=i)) for i, one in enumerate(many)]) as exchange:
        exchange.faults = Faults(plan=["geo_block"], limit=None)
        done = refresh_all(warehouse, source_of(exchange, many[0]), many, lambda _: FROM_JANUARY, now_ms=NOW_MS)
        results = []
        with pytest.raises(BlockedError):
            results.extend(done)
        answered = {request.query["symbol"] for request in exchange.requests if request.status == 200}
        assert 0 < len(answered) < 40  # nothing was begun once the block was known
        with warehouse.pin() as snapshot:
            assert {key.symbol for key in snapshot.keys("bars")} == answered


class Watched(LoopbackExchange):
    """Tells when it has made up its first answer about ETH."""

    has_told = threading.Event()

    def _respond(self, target: str) -> Answer:
        answer = super()._respond(target)
        if "ETHUSDT" in target:
            self.has_told.set()
        return answer


def test_what_was_fetched_ahead_undoes_nothing_that_another_process_stored_meanwhile(warehouse: Warehouse) -> None:
    with Watched([Market(BTC, served(300)), Market(ETH, served(300, seed=1))]) as exchange:
        source = BybitSource(exchange.url)
        first = refresh_all(warehouse, source, [BTC, ETH], lambda _: FROM_JANUARY, now_ms=NOW_MS)
        next(first)
        assert exchange.has_told.wait(20)
        exchange.revise(ETH, served(300, seed=1)[100:110].with_columns(close=pl.col("low")))
        with Warehouse.open(warehouse.root) as other:
            refresh(other, source, ETH, FROM_JANUARY)
        assert [report.n_revised for _, report in first] == [0]
        assert sum(request.query["symbol"] == ETH.symbol for request in exchange.requests) == 3  # ahead, other, anew
        assert stored(warehouse, ETH).equals(exchange.served(ETH).select(*BAR_SCHEMA))


def test_a_hole_at_the_source_is_asked_for_no_more(warehouse: Warehouse) -> None:
    with LoopbackExchange([Market(BTC, served(without=(700, 740)))]) as exchange:
        refresh(warehouse, BybitSource(exchange.url), BTC, FROM_JANUARY)
        first = JANUARY_2024_MS // HOUR_MS
        assert (first + 700, first + 740) in absences(warehouse.database, BTC.key)
        newest_ms = JANUARY_2024_MS + 2_999 * HOUR_MS
        [(start_ms, _)] = plan(warehouse, BTC, lambda _: FROM_JANUARY).ranges
        assert start_ms == newest_ms - 15 * HOUR_MS  # the newest 16 bars again, and no hole


def test_only_the_rest_is_fetched_after_an_interruption(warehouse: Warehouse) -> None:
    with LoopbackExchange([Market(BTC, served(60_000))]) as exchange:
        source = BybitSource(exchange.url)

        def interrupt(*_: object) -> None:
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            refresh(warehouse, source, BTC, FROM_JANUARY, on_batch=interrupt)
        n_held = stored(warehouse).height
        assert 0 < n_held < 60_000
        n_before = len(exchange.requests)
        report = refresh(warehouse, source, BTC, FROM_JANUARY)
        assert report.n_added == 60_000 - n_held
        assert len(exchange.requests) - n_before <= (60_000 - n_held) // 1_000 + 3
        assert stored(warehouse).equals(exchange.served(BTC).select(*BAR_SCHEMA))


def test_a_bad_bar_at_the_end_goes_to_quarantine_and_stops_nothing(warehouse: Warehouse) -> None:
    good = served(30)
    bad = good.with_columns(high=pl.when(pl.int_range(pl.len()) == 29).then(pl.col("low") / 2).otherwise("high"))
    with LoopbackExchange([Market(BTC, bad)]) as exchange:
        last_ms = JANUARY_2024_MS + 29 * HOUR_MS
        refresh(warehouse, BybitSource(exchange.url), BTC, (JANUARY_2024_MS, last_ms))
        report = refresh(warehouse, BybitSource(exchange.url), BTC, (last_ms, last_ms + HOUR_MS), is_recheck=True)
    assert (report.n_quarantined, report.n_added) == (1, 0)
    assert stored(warehouse).height == 29


def test_a_restated_bar_at_the_end_becomes_a_revision(warehouse: Warehouse) -> None:
    with LoopbackExchange([Market(BTC, served())]) as exchange:
        refresh(warehouse, BybitSource(exchange.url), BTC, FROM_JANUARY)
        restated = served()[2_990:2_991].with_columns(volume=pl.col("volume") + 1, turnover=pl.col("turnover") * 1.01)
        exchange.revise(BTC, restated)
        report = refresh(warehouse, BybitSource(exchange.url), BTC, FROM_JANUARY)
    assert report.n_revised == 1
    assert stored(warehouse)[2_990].equals(restated)


def test_what_was_known_is_answered_from_the_ledger_when_the_snapshot_has_expired(warehouse: Warehouse) -> None:
    clock = iter((1_704_100_000_000, 1_704_200_000_000))
    with LoopbackExchange([Market(BTC, served(30))]) as exchange:
        source = BybitSource(exchange.url, now_ms=lambda: fetched_ms)
        fetched_ms = next(clock)
        refresh(warehouse, source, BTC, FROM_JANUARY)
        exchange.revise(BTC, served(30)[28:29].with_columns(volume=pl.lit(9.0), turnover=pl.lit(360_000.0)))
        fetched_ms = next(clock)
        refresh(warehouse, source, BTC, FROM_JANUARY)
    with warehouse.pin() as snapshot:
        then, now = (
            connect(snapshot).sql(f"from bars_as_of(make_timestamp_ms({ms}) at time zone 'UTC')").pl()
            for ms in (1_704_150_000_000, 1_704_250_000_000)
        )
    assert then.sort("open_time")["volume"][28] == served(30)["volume"][28]
    assert now.sort("open_time")["volume"][28] == 9.0
    assert then.height == now.height == 30


def test_lost_bars_are_found_judged_and_repaired(warehouse: Warehouse) -> None:
    """ETH trades while a stretch of BTC was never fetched: lost, and repair brings it."""
    hole_ms = (JANUARY_2024_MS + 500 * HOUR_MS, JANUARY_2024_MS + 520 * HOUR_MS)
    with LoopbackExchange([Market(BTC, served()), Market(ETH, served(seed=1))]) as exchange:
        source = BybitSource(exchange.url)
        refresh(warehouse, source, ETH, FROM_JANUARY)
        refresh(warehouse, source, BTC, (JANUARY_2024_MS, hole_ms[0]))
        refresh(warehouse, source, BTC, (hole_ms[1], ALL_TIME[1]))
        [hole] = examine(warehouse, now_ms=0).holes.to_dicts()
        assert (hole["symbol"], hole["n_missing"], hole["verdict"]) == ("BTCUSDT", 20, "lost")
        [done] = repair(warehouse, lambda _: source, now_ms=0)
        assert (done.n_asked, done.n_found) == (20, 20)
        assert examine(warehouse, now_ms=0).holes.is_empty()
        assert stored(warehouse).equals(exchange.served(BTC).select(*BAR_SCHEMA))


def test_an_outage_is_told_from_lost_bars(warehouse: Warehouse) -> None:
    markets = [Market(BTC, served(without=(700, 740))), Market(ETH, served(without=(700, 740), seed=1))]
    with LoopbackExchange(markets) as exchange:
        source = BybitSource(exchange.url)
        for series in (BTC, ETH):
            refresh(warehouse, source, series, FROM_JANUARY)
        holes = examine(warehouse, now_ms=0).holes
        assert holes["verdict"].to_list() == ["exchange outage"] * 2
        assert list(repair(warehouse, lambda _: source, now_ms=0)) == []  # the verdict is remembered: nothing is asked


def test_bad_weather_changes_nothing_in_the_end(warehouse: Warehouse) -> None:
    faults = Faults(unavailable=0.1, dropped=0.1, truncated=0.05, timed_out=0.05, duplicated=0.2, disordered=0.2)
    with LoopbackExchange([Market(BTC, served(20_000))], faults=faults) as exchange:
        refresh(warehouse, BybitSource(exchange.url), BTC, FROM_JANUARY)
        assert stored(warehouse).equals(exchange.served(BTC).select(*BAR_SCHEMA))
        assert sum(exchange.faults.hits.values()) > 0
