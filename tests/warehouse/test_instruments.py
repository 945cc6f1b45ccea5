import pytest

from tests.warehouse.frames import START_MS, Clock, publish_bars
from warehouse import Warehouse
from warehouse.instruments import (
    GONE,
    Instrument,
    Sighting,
    Succession,
    save_instruments,
    save_successions,
    sightings,
)
from warehouse.query import connect, inspection

BTC = Instrument("bybit", "linear", "BTCUSDT", "Trading", 100, None, 480)
MATIC = Instrument("bybit", "linear", "MATICUSDT", "Trading", 200)
SPOT = Instrument("bybit", "spot", "BTCUSDT", "Trading", 50)


def rows(warehouse: Warehouse, query: str, as_of: int | None = None) -> list[tuple]:
    with warehouse.pin(as_of) as snapshot:
        return connect(snapshot).sql(query).pl().rows()


def test_only_what_is_new_or_has_changed_is_recorded(warehouse: Warehouse) -> None:
    database = warehouse.database
    assert save_instruments(database, [BTC, MATIC], seen_at_ms=1) == 2
    assert save_instruments(database, [BTC, MATIC], seen_at_ms=2) == 0
    hourly = BTC._replace(funding_interval_min=60)
    assert save_instruments(database, [hourly, MATIC], seen_at_ms=3) == 1
    assert sightings(database) == [Sighting(BTC, 1), Sighting(MATIC, 1), Sighting(hourly, 3)]


def test_what_a_complete_list_no_longer_holds_is_gone(warehouse: Warehouse) -> None:
    database = warehouse.database
    save_instruments(database, [BTC, MATIC, SPOT], seen_at_ms=1, is_complete=True)
    assert save_instruments(database, [BTC], seen_at_ms=500) == 0
    assert save_instruments(database, [BTC], seen_at_ms=600, is_complete=True) == 1
    assert save_instruments(database, [BTC], seen_at_ms=700, is_complete=True) == 0
    assert sightings(database)[-1] == Sighting(MATIC._replace(status=GONE, delisted_ms=600), 600)


def test_a_known_delisting_stands_when_the_symbol_disappears(warehouse: Warehouse) -> None:
    closed = MATIC._replace(status="Closed", delisted_ms=400)
    save_instruments(warehouse.database, [BTC, closed], seen_at_ms=450)
    save_instruments(warehouse.database, [BTC], seen_at_ms=600, is_complete=True)
    assert sightings(warehouse.database)[-1].instrument.delisted_ms == 400


def test_a_symbol_that_comes_back_is_recorded_again(warehouse: Warehouse) -> None:
    save_instruments(warehouse.database, [BTC, MATIC], seen_at_ms=1)
    save_instruments(warehouse.database, [BTC], seen_at_ms=2, is_complete=True)
    back = MATIC._replace(launch_ms=900)
    assert save_instruments(warehouse.database, [BTC, back], seen_at_ms=3, is_complete=True) == 1
    lives = rows(
        warehouse, "select epoch_ms(listed_from), epoch_ms(listed_until) from universe where symbol = 'MATICUSDT'"
    )
    assert sorted(lives) == [(200, 2), (900, None)]


def test_a_past_snapshot_knows_only_what_had_been_seen(warehouse: Warehouse, clock: Clock) -> None:
    publish_bars(warehouse, 0, 1)
    save_instruments(warehouse.database, [BTC], seen_at_ms=START_MS + 10)
    clock.advance(60)
    publish_bars(warehouse, 1, 2)
    save_instruments(warehouse.database, [MATIC], seen_at_ms=START_MS + 60_000)
    query = "select symbol from instruments order by symbol"
    assert rows(warehouse, query, as_of=1) == [("BTCUSDT",)]
    assert rows(warehouse, query) == [("BTCUSDT",), ("MATICUSDT",)]


@pytest.mark.parametrize(("instant", "expected"), [(99, []), (100, ["BTCUSDT"]), (200, ["BTCUSDT", "MATICUSDT"])])
def test_sql_asks_for_the_universe_of_an_instant(warehouse: Warehouse, instant: int, expected: list[str]) -> None:
    save_instruments(warehouse.database, [BTC, MATIC], seen_at_ms=1)
    query = f"select symbol from universe_at(make_timestamptz({instant * 1000})) order by symbol"
    assert [symbol for (symbol,) in rows(warehouse, query)] == expected


def test_sql_follows_chains_to_the_newest_name(warehouse: Warehouse) -> None:
    save_instruments(warehouse.database, [BTC, MATIC, SPOT], seen_at_ms=1)
    steps = [
        Succession("bybit", "linear", "MATICUSDT", "POLUSDT", "rename", 1.0, 300, 400),
        Succession("bybit", "linear", "POLUSDT", "NEWUSDT", "redenomination", 10.0),
        Succession("bybit", "spot", "BTCUSDT", "XUSDT", "rename", 1.0),
    ]
    save_successions(warehouse.database, steps[:1])
    save_successions(warehouse.database, steps)
    found = rows(warehouse, "select category, symbol, asset, ratio from universe order by all")
    assert found == [
        ("linear", "BTCUSDT", "BTCUSDT", 1.0),
        ("linear", "MATICUSDT", "NEWUSDT", 10.0),
        ("spot", "BTCUSDT", "XUSDT", 1.0),
    ]
    (row,) = rows(warehouse, "select epoch_ms(ended_at), epoch_ms(began_at) from aliases where symbol = 'MATICUSDT'")
    assert row == (300, 400)


def test_the_inspection_counts_who_came_and_went(warehouse: Warehouse) -> None:
    month = 31 * 86_400_000
    found = [
        Instrument("bybit", "linear", "A", "Closed", 0, month),
        Instrument("bybit", "linear", "B", "Trading", 5),
        Instrument("bybit", "linear", "C", "Trading", month + 5),
        Instrument("bybit", "spot", "A", "Trading", None),
    ]
    save_instruments(warehouse.database, found, seen_at_ms=1)
    shown = rows(warehouse, inspection("universe"))
    assert [(f"{at:%Y-%m}", *counts) for _, _, at, *counts in shown] == [("1970-01", 2, 0, 2), ("1970-02", 1, 1, 2)]
