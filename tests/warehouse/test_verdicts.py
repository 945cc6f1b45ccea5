import numpy as np
import polars as pl
import pytest

from tests.warehouse.frames import HOUR_MS, KEY, OTHER, START_MS, Clock, bars, publish_bars, times
from warehouse import SeriesKey, Warehouse
from warehouse.errors import SchemaError
from warehouse.query import connect, inspection
from warehouse.verdicts import BadBars, Verdict, absences, bad_bars, save_verdicts, verdicts

WEEKS = SeriesKey("binance", "um", "ETHUSDT", "W")


def publish_absence(
    warehouse: Warehouse,
    start: int,
    stop: int,
    *,
    key: SeriesKey = KEY,
    source: str = "binance",
    reason: str | None = None,
    at_ms: int = START_MS,
) -> int:
    commit = warehouse.begin()
    at = {"source": source, "reason": reason, "checked_at": at_ms}
    commit.record("absences", series=key, start_bar=start, stop_bar=stop, **at)
    return commit.publish()


def ask(warehouse: Warehouse, query: str, as_of: int | None = None) -> pl.DataFrame:
    with warehouse.pin(as_of) as snapshot:
        return connect(snapshot).sql(query).pl()


def test_an_absence_is_kept_with_the_bars_of_the_same_answer(warehouse: Warehouse) -> None:
    commit = warehouse.begin()
    commit.write("bars", KEY, bars([0, 1, 5]), start=0, stop=256)
    at = {"source": "binance", "reason": None, "checked_at": START_MS}
    commit.record("absences", series=KEY, start_bar=2, stop_bar=5, **at)
    assert absences(warehouse.database, KEY) == []
    commit.publish()
    assert absences(warehouse.database, KEY) == [(2, 5)]
    assert absences(warehouse.database, OTHER) == []


def test_an_answer_without_bars_makes_no_snapshot_and_is_remembered(warehouse: Warehouse) -> None:
    publish_bars(warehouse, 0, 1)
    assert publish_absence(warehouse, 1, 4) == 1
    assert absences(warehouse.database, KEY) == [(1, 4)]


def test_absences_are_asked_by_source(warehouse: Warehouse) -> None:
    publish_absence(warehouse, 1, 4, source="binance:archive")
    publish_absence(warehouse, 3, 6, source="binance")
    assert absences(warehouse.database, KEY) == [(1, 4), (3, 6)]
    assert absences(warehouse.database, KEY, source="binance") == [(3, 6)]
    assert absences(warehouse.database, KEY, source="bybit") == []


def test_the_same_answer_again_renews_its_time_and_a_part_of_it_adds_nothing(warehouse: Warehouse) -> None:
    publish_absence(warehouse, 2, 9, at_ms=START_MS)
    publish_absence(warehouse, 2, 9, at_ms=START_MS + 5)
    publish_absence(warehouse, 4, 9, at_ms=START_MS + 9)
    publish_absence(warehouse, 4, 9, source="bybit", at_ms=START_MS + 9)
    rows = warehouse.database.rows("select start_bar, stop_bar, source, checked_at_ms from absences")
    assert [tuple(row) for row in rows] == [(2, 9, "binance", START_MS + 5), (4, 9, "bybit", START_MS + 9)]


def test_numpy_numbers_are_stored_as_numbers(warehouse: Warehouse) -> None:
    commit = warehouse.begin()
    start, stop = np.arange(7, 9)
    at = {"source": "a", "reason": None, "checked_at": np.int64(1)}
    commit.record("absences", series=KEY, start_bar=start, stop_bar=stop, **at)
    commit.publish()
    assert absences(warehouse.database, KEY) == [(7, 8)]


def test_bad_bars_are_absent_for_a_reason_and_the_latest_come_first(warehouse: Warehouse) -> None:
    publish_absence(warehouse, 0, 9)
    publish_absence(warehouse, 2, 3, reason="low is negative")
    publish_absence(warehouse, 5, 7, reason="high is below low", at_ms=START_MS + 5)
    publish_absence(warehouse, 5, 7, key=OTHER, reason="of another series")
    assert bad_bars(warehouse.database, KEY) == [
        BadBars(5, 7, "binance", "high is below low"),
        BadBars(2, 3, "binance", "low is negative"),
    ]
    assert absences(warehouse.database, KEY) == [(0, 9), (2, 3), (5, 7)]
    assert ask(warehouse, "select count_absent, reason from absences where reason is not null order by all").rows() == [
        (1, "low is negative"),
        (2, "high is below low"),
        (2, "of another series"),
    ]


@pytest.mark.parametrize(
    ("later", "left"),
    [
        ({"start": 5, "stop": 7}, []),  # the same range, without a row now
        ({"start": 4, "stop": 8}, []),
        ({"start": 6, "stop": 8}, ["old"]),
        ({"start": 4, "stop": 8, "source": "bybit"}, ["old"]),
        ({"start": 5, "stop": 7, "reason": "new"}, ["new"]),
        ({"start": 5, "stop": 6, "reason": "new"}, ["new", "old"]),
        ({"start": 5, "stop": 6, "reason": "old"}, ["old"]),
    ],
)
def test_the_latest_answer_of_a_source_counts(warehouse: Warehouse, later: dict, left: list[str]) -> None:
    publish_absence(warehouse, 5, 7, reason="old")
    publish_absence(warehouse, later.pop("start"), later.pop("stop"), at_ms=START_MS + 5, **later)
    assert [one.reason for one in bad_bars(warehouse.database, KEY)] == left


def test_a_bad_bar_amid_an_absence_is_remembered_until_the_source_has_none_again(warehouse: Warehouse) -> None:
    publish_absence(warehouse, 4, 8)
    publish_absence(warehouse, 5, 6, reason="bad", at_ms=START_MS + 5)
    assert bad_bars(warehouse.database, KEY) == [BadBars(5, 6, "binance", "bad")]
    publish_absence(warehouse, 5, 6, at_ms=START_MS + 9)
    assert bad_bars(warehouse.database, KEY) == []
    assert absences(warehouse.database, KEY) == [(4, 8)]


@pytest.mark.parametrize(("kind", "fields"), [("absences", {"series": KEY}), ("holes", {})])
def test_what_cannot_be_recorded_is_said(warehouse: Warehouse, kind: str, fields: dict) -> None:
    with pytest.raises(SchemaError, match=rf"cannot record '{kind}'.*'fetches' with .* or 'absences' with"):
        warehouse.begin().record(kind, **fields)


def test_sql_shows_absences_in_time_and_since_when_they_are_known(warehouse: Warehouse) -> None:
    publish_bars(warehouse, 0, 1)
    publish_absence(warehouse, 2, 5)
    publish_absence(warehouse, 0, 2, key=WEEKS)
    query = "select interval, first_absent::varchar, last_absent::varchar, count_absent from absences order by all"
    assert ask(warehouse, query).rows() == [
        ("60", "1970-01-01 02:00:00+00", "1970-01-01 04:00:00+00", 3),
        ("W", "1970-01-05 00:00:00+00", "1970-01-12 00:00:00+00", 2),
    ]
    assert ask(warehouse, query, as_of=0).is_empty()


def test_a_check_replaces_the_verdicts_of_its_series_only(warehouse: Warehouse) -> None:
    outage, lost = Verdict(3, 5, "exchange outage", "ETHUSDT lacks it too"), Verdict(7, 8, "lost", "")
    save_verdicts(warehouse.database, KEY, [lost, outage], now_ms=1)
    save_verdicts(warehouse.database, OTHER, [lost], now_ms=1)
    assert verdicts(warehouse.database, KEY) == [outage, lost]
    save_verdicts(warehouse.database, KEY, [outage], now_ms=2)
    assert verdicts(warehouse.database, KEY) == [outage]
    save_verdicts(warehouse.database, KEY, [], now_ms=3)
    assert verdicts(warehouse.database, KEY) == []
    assert verdicts(warehouse.database, OTHER) == [lost]


def test_the_inspection_shows_each_open_hole_with_its_verdict(warehouse: Warehouse, clock: Clock) -> None:
    commit = warehouse.begin()
    commit.write("bars", KEY, bars([0, 3, 9, 11, 14]), start=0, stop=256)
    commit.publish()
    found = [
        Verdict(1, 3, "lost", "a"),
        Verdict(4, 6, "exchange outage", "b"),
        Verdict(6, 9, "unchecked", "c"),
        Verdict(11, 12, "lost", "filled since"),
    ]
    save_verdicts(warehouse.database, KEY, found, now_ms=clock())
    shown = ask(warehouse, inspection("holes"))
    hours = [pl.col(name).dt.epoch("ms") // HOUR_MS for name in ("first_missing", "last_missing")]
    assert shown.select(*hours, "count_missing", "verdict", "evidence").rows() == [
        (12, 13, 2, "not checked yet", None),
        (10, 10, 1, "not checked yet", None),
        (6, 8, 3, "unchecked", "c"),
        (4, 5, 2, "exchange outage", "b"),
        (1, 2, 2, "lost", "a"),
    ]
    assert shown["checked_at"].drop_nulls().unique().dt.epoch("ms").to_list() == [START_MS]


def test_the_inspection_of_revisions_shows_before_and_now(warehouse: Warehouse) -> None:
    commit = warehouse.begin()
    commit.write("bars", KEY, bars([0, 1], price=2.0), start=0, stop=256)
    before = bars([1], price=1.5).with_columns(superseded_at=times([4]))
    commit.write("revisions", KEY, before, start=0, stop=1)
    commit.publish()
    shown = ask(warehouse, inspection("revisions"))
    assert shown.select("close_before", "close_now", "revision").rows() == [(1.5, 2.0, 0)]
    assert shown["known_until"].to_list() == times([4]).to_list()
