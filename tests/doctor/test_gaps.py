from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmf.bars import Series
from mmf.doctor.bad_bars import BadSlots
from mmf.doctor.edges import Listing
from mmf.doctor.gaps import EDGES, HOLE_SCHEMA, REPAIRABLE, diagnose
from mmf.doctor.testimony import Witness, witness
from mmf.ranges import Ranges, count, held_ranges, union

HOUR_MS = 3_600_000
BTC = Series("binance", "spot", "BTCUSDT", "60")
ETH = Series("binance", "spot", "ETHUSDT", "60")
LTC = Series("binance", "spot", "LTCUSDT", "60")
BTC_MINUTES = Series("binance", "spot", "BTCUSDT", "1")
BTC_DAYS = Series("binance", "spot", "BTCUSDT", "D")


def bars(series: Series, numbers: list[int] | np.ndarray, volume: float | list[float] = 1.0) -> pl.DataFrame:
    ms = np.asarray(numbers, dtype=np.int64) * series.grid.ms + series.grid.anchor_ms
    volumes = np.broadcast_to(np.asarray(volume, dtype=np.float64), len(ms))
    return pl.DataFrame({"open_time": pl.Series(ms).cast(pl.Datetime("ms", "UTC")), "volume": volumes})


def without(*absent: int, stop: int = 400) -> list[int]:
    return [number for number in range(stop) if number not in absent]


def sibling(series: Series, *absent: int, proved: Ranges | None = None) -> Witness:
    return witness(series, bars(series, without(*absent)), absent=proved or [])


def verdicts(table: pl.DataFrame) -> list[tuple[int, int, str]]:
    return table.select("start_bar", "stop_bar", "verdict").rows()


HELD = without(200, 201)
QUIET = [0.0 if number % 50 == 0 else 1.0 for number in HELD]
PROVED = [(200, 202)]


@pytest.mark.parametrize(
    ("options", "verdict", "evidence"),
    [
        ({}, "unchecked", "no source was asked, and no other series tells"),
        ({"absent": PROVED}, "exchange outage", "the 398 bars around it fell silent 0 other times"),
        ({"absent": PROVED, "siblings": [sibling(ETH, 200, 201)]}, "exchange outage", "fell silent 0 other times"),
        (
            {"absent": PROVED, "siblings": [sibling(ETH, 200, 201, proved=PROVED)]},
            "exchange outage",
            "ETHUSDT 60 lack it too",
        ),
        ({"absent": PROVED, "siblings": [sibling(ETH)]}, "no trades", "ETHUSDT 60 traded meanwhile"),
        ({"absent": PROVED, "siblings": [sibling(ETH, 200, 201), sibling(LTC)]}, "no trades", "LTCUSDT 60 traded"),
        ({"siblings": [sibling(ETH)]}, "lost", "no source was asked; ETHUSDT 60 traded meanwhile"),
        ({"siblings": [sibling(ETH, 200, 201)]}, "unchecked", "no source was asked; ETHUSDT 60 lack it too"),
        (
            {"siblings": [sibling(ETH, 200, 201, proved=PROVED), sibling(LTC, 200, 201)]},
            "unchecked",  # no source was asked about this one: whatever its siblings say, it can be asked for
            "ETHUSDT 60, LTCUSDT 60 lack it too",
        ),
    ],
)
def test_the_table_of_verdicts(options: dict, verdict: str, evidence: str) -> None:
    table = diagnose(BTC, bars(BTC, HELD), **options)
    assert verdicts(table) == [(200, 202, verdict)]
    assert evidence in table["evidence"][0]


def test_a_market_that_is_often_silent_is_not_taken_for_a_halted_exchange() -> None:
    table = diagnose(BTC, bars(BTC, HELD, QUIET), absent=PROVED)
    assert verdicts(table) == [(200, 202, "no trades")]


def test_empty_bars_beside_the_hole_belong_to_the_same_silence() -> None:
    held = without(70, stop=140)
    halted = [0.0 if 60 <= number < 80 else 1.0 for number in held]
    assert verdicts(diagnose(BTC, bars(BTC, held, halted), absent=[(70, 71)])) == [(70, 71, "exchange outage")]
    apart = [0.0 if number in {60, 80} else 1.0 for number in held]
    assert verdicts(diagnose(BTC, bars(BTC, held, apart), absent=[(70, 71)])) == [(70, 71, "no trades")]


def test_a_market_full_of_other_holes_is_not_taken_for_a_halted_exchange() -> None:
    table = diagnose(BTC, bars(BTC, without(*range(0, 400, 20))), absent=[(200, 201)])
    assert (200, 201, "no trades") in verdicts(table)


def test_a_young_series_is_too_short_to_judge() -> None:
    table = diagnose(BTC, bars(BTC, [0, 1, 2, 5]), absent=[(3, 5)])
    assert verdicts(table) == [(3, 5, "unknown")]


@pytest.mark.parametrize(
    "other",
    [
        Series("bybit", "spot", "ETHUSDT", "60"),
        Series("binance", "um", "ETHUSDT", "60"),
        Series("binance", "spot", "BTCUSDT", "30"),
    ],
)
def test_other_markets_are_no_siblings(other: Series) -> None:
    table = diagnose(BTC, bars(BTC, HELD), siblings=[witness(other, bars(other, range(800)))])
    assert verdicts(table) == [(200, 202, "unchecked")]


def test_a_sibling_speaks_only_of_its_own_time() -> None:
    later = witness(ETH, bars(ETH, range(201, 400)))
    table = diagnose(BTC, bars(BTC, HELD), siblings=[later])
    assert verdicts(table) == [(200, 201, "unchecked"), (201, 202, "lost")]


def test_each_hole_names_the_siblings_that_traded_in_it() -> None:
    held = without(200, 201, 300)
    found = diagnose(BTC, bars(BTC, held), siblings=[sibling(ETH, 300), sibling(LTC, 200, 201)])
    assert found["evidence"].to_list() == [
        "no source was asked; ETHUSDT 60 traded meanwhile",
        "no source was asked; LTCUSDT 60 traded meanwhile",
    ]


def test_zero_volume_bars_of_a_sibling_say_neither() -> None:
    still = witness(ETH, bars(ETH, range(400), [0.0 if n in {200, 201} else 1.0 for n in range(400)]))
    assert verdicts(diagnose(BTC, bars(BTC, HELD), siblings=[still])) == [(200, 202, "unchecked")]


def test_finer_siblings_tell_by_the_minute_and_coarser_ones_by_what_they_lack() -> None:
    minutes = Series("binance", "spot", "ETHUSDT", "1")
    one_minute = witness(minutes, bars(minutes, [0, 200 * 60 + 7, 400 * 60]))
    assert verdicts(diagnose(BTC, bars(BTC, HELD), siblings=[one_minute])) == [
        (200, 201, "lost"),
        (201, 202, "unchecked"),
    ]
    days = Series("binance", "spot", "ETHUSDT", "D")
    whole = witness(days, bars(days, range(20)))
    assert diagnose(BTC, bars(BTC, HELD), siblings=[whole])["evidence"].str.contains("no other series").all()
    lacking = witness(days, bars(days, [*range(8), *range(9, 20)]), absent=[(8, 9)])
    table = diagnose(BTC, bars(BTC, HELD), absent=PROVED, siblings=[lacking])
    assert verdicts(table) == [(200, 202, "exchange outage")]
    assert "ETHUSDT D lack it too" in table["evidence"][0]


@pytest.mark.parametrize(
    ("volume", "expected"),
    [
        (22.0, [(200, 202, "exchange outage")]),  # as much as the 22 stored hours: no trades were there to lose
        (22.5, [(200, 202, "lost")]),
        (21.0, [(200, 202, "unchecked")]),  # the day counts less than its hours: it proves nothing
    ],
)
def test_a_coarser_bar_tells_by_its_volume(volume: float, expected: list) -> None:
    days = bars(BTC_DAYS, range(16), [volume if day == 8 else 24.0 for day in range(16)])
    table = diagnose(BTC, bars(BTC, HELD), relatives={BTC_DAYS: days})
    assert verdicts(table) == expected


def test_finer_bars_of_the_symbol_prove_trades_or_silence() -> None:
    volume = [1.0 if minute < 201 * 60 else 0.0 for minute in range(200 * 60, 202 * 60)]
    minutes = bars(BTC_MINUTES, range(200 * 60, 202 * 60), volume)
    table = diagnose(BTC, bars(BTC, HELD, QUIET), relatives={BTC_MINUTES: minutes})
    assert verdicts(table) == [(200, 201, "lost"), (201, 202, "no trades")]
    assert table["evidence"][0] == "bars of interval 1 count more trades"


def test_intervals_that_do_not_nest_are_not_compared() -> None:
    threes, fives = Series("binance", "spot", "BTCUSDT", "3"), Series("binance", "spot", "BTCUSDT", "5")
    table = diagnose(threes, bars(threes, without(200)), relatives={fives: bars(fives, range(240), 99.0)})
    assert verdicts(table) == [(200, 201, "unchecked")]


def test_listing_dates_bound_what_is_wanted() -> None:
    held = bars(BTC, range(100, 200))
    listing = Listing(launch_ms=90 * HOUR_MS + 1, delisted_ms=210 * HOUR_MS)
    table = diagnose(BTC, held, wanted=[(80, 220)], listing=listing)
    assert verdicts(table) == [
        (80, 90, "before listing"),
        (90, 100, "unchecked"),
        (200, 210, "not fetched yet"),
        (210, 220, "after delisting"),
    ]


LAUNCHED = Listing(launch_ms=0)


@pytest.mark.parametrize(
    ("wanted", "options", "verdict", "evidence"),
    [
        ((90, 100), {"absent": [(90, 100)]}, "before listing", "nothing older; no launch is known"),
        ((90, 100), {"absent": [(90, 100)], "siblings": [sibling(ETH)]}, "before listing", "nothing older"),
        ((90, 100), {"absent": [(90, 100)], "listing": LAUNCHED}, "no trades", "none before the first stored bar"),
        ((90, 100), {"siblings": [sibling(ETH)]}, "lost", "ETHUSDT 60 traded meanwhile"),
        ((90, 100), {}, "unchecked", "no source was asked"),
        ((200, 210), {}, "not fetched yet", "after the newest stored bar"),
        ((200, 210), {"siblings": [sibling(ETH)]}, "not fetched yet", "after the newest stored bar"),
        ((200, 210), {"relatives": {BTC_DAYS: bars(BTC_DAYS, range(9), 99.0)}}, "not fetched yet", "after the newest"),
        ((200, 210), {"absent": [(200, 210)]}, "unknown", "nothing newer; no delisting is known"),
        ((200, 210), {"absent": [(200, 210)], "siblings": [sibling(ETH)]}, "unknown", "nothing newer"),
        (
            (200, 210),
            {"absent": [(200, 210)], "siblings": [sibling(ETH)], "listing": LAUNCHED},
            "no trades",
            "ETHUSDT 60 traded meanwhile",
        ),
        (
            (200, 210),
            {"absent": [(200, 210)], "siblings": [sibling(ETH, *range(200, 210), proved=[(200, 210)])]},
            "exchange outage",
            "ETHUSDT 60 lack it too",
        ),
    ],
)
def test_the_ends_of_a_series(wanted: tuple[int, int], options: dict, verdict: str, evidence: str) -> None:
    table = diagnose(BTC, bars(BTC, range(100, 200)), wanted=[(100, 200), wanted], **options)
    assert verdicts(table) == [(*wanted, verdict)]
    assert evidence in table["evidence"][0]


HIGH = BadSlots("bybit", "high is below low", [(200, 201)])


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"absent": PROVED},
        {"absent": [(201, 202)]},
        {"siblings": [sibling(ETH)]},
        {"relatives": {BTC_MINUTES: bars(BTC_MINUTES, range(200 * 60, 202 * 60))}},
    ],
)
def test_a_bad_bar_is_named_with_its_source_whatever_others_say(options: dict) -> None:
    table = diagnose(BTC, bars(BTC, HELD), bad=[HIGH, BadSlots("file:x", "later", [(200, 201)])], **options)
    assert verdicts(table)[0] == (200, 201, "bad at the source")
    assert table["evidence"][0] == "bad bar from bybit: high is below low"
    assert verdicts(table)[1] == verdicts(diagnose(BTC, bars(BTC, [*HELD, 200]).sort("open_time"), **options))[0]


def test_a_bad_bar_that_has_been_replaced_is_forgotten() -> None:
    assert diagnose(BTC, bars(BTC, range(400)), bad=[HIGH]).is_empty()


def test_only_what_may_be_had_is_to_be_repaired_and_an_edge_never_is() -> None:
    assert set(REPAIRABLE) == {"lost", "unchecked", "bad at the source"}
    assert not set(REPAIRABLE) & set(EDGES)


@pytest.mark.parametrize("hour", [100, 300])
def test_stored_bars_outside_the_listing_overrule_its_dates(hour: int) -> None:
    listing = Listing(launch_ms=hour * HOUR_MS, delisted_ms=(hour + 1) * HOUR_MS)
    assert verdicts(diagnose(BTC, bars(BTC, HELD), listing=listing)) == [(200, 202, "unchecked")]


def test_a_series_without_bars_lacks_all_that_is_wanted() -> None:
    table = diagnose(BTC, bars(BTC, []), wanted=[(5, 7)], absent=[(5, 6)])
    assert verdicts(table) == [(5, 6, "unknown"), (6, 7, "unchecked")]
    assert diagnose(BTC, bars(BTC, [])).schema == HOLE_SCHEMA


@given(
    st.sets(st.integers(0, 60)), st.sets(st.integers(0, 60)), st.sets(st.integers(0, 60)), st.sets(st.integers(0, 60))
)
def test_every_missing_slot_gets_one_verdict(held: set[int], absent: set[int], other: set[int], gone: set[int]) -> None:
    as_ranges = [held_ranges(np.array(sorted(numbers), dtype=np.int64)) for numbers in (held, absent, gone)]
    siblings = [witness(ETH, bars(ETH, sorted(other)), absent=as_ranges[2])]
    table = diagnose(BTC, bars(BTC, sorted(held)), wanted=[(0, 61)], absent=as_ranges[1], siblings=siblings)
    rows = table.select("start_bar", "stop_bar").rows()
    assert sum(stop - start for start, stop in rows) == count(rows) == 61 - len(held)
    assert union(rows, as_ranges[0]) == [(0, 61)]
    unasked = (
        table.filter(pl.col("verdict").is_in(["lost", "unchecked", "not fetched yet"]))
        .select("start_bar", "stop_bar")
        .rows()
    )
    assert not {n for start, stop in unasked for n in range(start, stop)} & absent


# real bars --------------------------------------------------------------------------


def real(folder: Path, series: Series) -> pl.DataFrame:
    suffix = series.interval if series.interval in "DW" else f"{series.interval}m"
    name = f"{series.exchange}_{series.category}_{series.symbol}_{suffix}.parquet"
    return pl.read_parquet(folder / "klines" / name, columns=["open_time", "volume"])


@pytest.mark.real_bars
def test_the_binance_outage_of_march_2023(real_bars: Path) -> None:
    minutes, hours = real(real_bars, BTC_MINUTES), real(real_bars, BTC)
    start = BTC_MINUTES.grid.bar_number(1_679_661_600_000)  # 2023-03-24 12:40
    table = diagnose(BTC_MINUTES, minutes, absent=[(start - 700, start + 740)], relatives={BTC: hours})
    assert verdicts(table) == [(start, start + 80, "exchange outage")]
    assert [f"{time:%H:%M}" for time in table.select("first_missing", "last_missing").row(0)] == ["12:40", "13:59"]
    # without a source's word only what the hour counts is proved: as much as its forty stored minutes
    unasked = diagnose(BTC_MINUTES, minutes, relatives={BTC: hours})
    assert verdicts(unasked) == [(start, start + 20, "exchange outage"), (start + 20, start + 80, "unchecked")]


@pytest.mark.real_bars
def test_the_hour_of_the_outage_is_judged_by_a_sibling(real_bars: Path) -> None:
    hours = real(real_bars, BTC)
    hour = BTC.grid.bar_number(1_679_662_800_000)  # 13:00
    minutes = Series("binance", "spot", "XYZUSDT", "1")
    proved = [(hour * 60 - 20, hour * 60 + 60)]
    sibling_minutes = witness(minutes, real(real_bars, BTC_MINUTES), absent=proved)
    assert verdicts(diagnose(BTC, hours, siblings=[sibling_minutes])) == [(hour, hour + 1, "unchecked")]
    table = diagnose(BTC, hours, absent=[(hour, hour + 1)], siblings=[sibling_minutes])
    assert verdicts(table) == [(hour, hour + 1, "exchange outage")]
    assert table["evidence"][0] == "XYZUSDT 1 lack it too"


@pytest.mark.real_bars
def test_a_bar_cut_out_of_real_hours_is_lost_by_the_word_of_its_minutes(real_bars: Path) -> None:
    hours = real(real_bars, BTC)
    at = BTC.grid.bar_number(1_704_067_200_000)
    cut = hours.filter(BTC.grid.bar_number_expr() != at)
    table = diagnose(BTC, cut, relatives={BTC_MINUTES: real(real_bars, BTC_MINUTES)})
    assert (at, at + 1, "lost") in verdicts(table)
