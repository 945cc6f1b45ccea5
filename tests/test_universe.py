from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmf.aliases import Alias
from mmf.bars import Series
from mmf.doctor.gaps import Listing
from mmf.universe import INSTRUMENT_SCHEMA, LIFE_SCHEMA, listing, lives, universe_at
from warehouse import Warehouse
from warehouse.instruments import Instrument, Succession, save_instruments, save_successions
from warehouse.query import connect

SPOT = ("binance", "spot")
MATIC_TO_POL = (Alias(*SPOT, "MATICUSDT", "POLUSDT", "rename", 1.0),)


def seen(*rows: tuple[str, int | None, int | None, int]) -> pl.DataFrame:
    """Sightings of (symbol, launch, delisted, seen)."""
    full = [(*SPOT, symbol, "Trading", launch, delisted, None, at) for symbol, launch, delisted, at in rows]
    return pl.DataFrame(full, schema=INSTRUMENT_SCHEMA, orient="row")


def symbols(frame: pl.DataFrame) -> list[str]:
    return frame["symbol"].to_list()


STORY = seen(
    ("BTCUSDT", 100, None, 1_000),
    ("MATICUSDT", 200, None, 1_000),
    ("MATICUSDT", 200, 500, 1_001),
    ("POLUSDT", 510, None, 1_001),
    ("OLDUSDT", None, 300, 1_000),
)


@pytest.mark.parametrize(
    ("at_ms", "expected"),
    [
        (99, ["OLDUSDT"]),
        (100, ["BTCUSDT", "OLDUSDT"]),
        (299, ["BTCUSDT", "MATICUSDT", "OLDUSDT"]),
        (300, ["BTCUSDT", "MATICUSDT"]),
        (500, ["BTCUSDT"]),
        (510, ["BTCUSDT", "POLUSDT"]),
    ],
)
def test_the_universe_of_an_instant_knows_nothing_of_later(at_ms: int, expected: list[str]) -> None:
    assert symbols(universe_at(at_ms, STORY)) == expected


def test_the_asset_is_the_newest_name_of_the_chain() -> None:
    then, now = universe_at(400, STORY, MATIC_TO_POL), universe_at(600, STORY, MATIC_TO_POL)
    assert then.select("symbol", "asset", "ratio").rows() == [
        ("BTCUSDT", "BTCUSDT", 1.0),
        ("MATICUSDT", "POLUSDT", 1.0),
    ]
    assert now["asset"].to_list() == ["BTCUSDT", "POLUSDT"]
    assert then.schema == LIFE_SCHEMA


def test_a_symbol_launched_again_has_two_lives() -> None:
    again = seen(("LUNAUSDT", 10, None, 1), ("LUNAUSDT", 10, 50, 2), ("LUNAUSDT", 80, None, 3))
    assert lives(again).select("launch_ms", "delisted_ms").rows() == [(10, 50), (80, None)]
    assert [symbols(universe_at(at_ms, again)) for at_ms in (20, 60, 90)] == [["LUNAUSDT"], [], ["LUNAUSDT"]]


def test_a_corrected_launch_is_no_second_life() -> None:
    corrected = seen(("BTCUSDT", 10, None, 1), ("BTCUSDT", 5, None, 2))
    assert lives(corrected)["launch_ms"].to_list() == [5]


@pytest.mark.parametrize(
    ("symbol", "expected"),
    [
        ("BTCUSDT", Listing(100, None)),
        ("MATICUSDT", Listing(200, 500)),
        ("OLDUSDT", Listing(None, 300)),
        ("NEVERUSDT", Listing(None, None)),
    ],
)
def test_listing_bounds_a_series(symbol: str, expected: Listing) -> None:
    assert listing(Series(*SPOT, symbol, "60"), STORY) == expected


def test_listing_spans_all_lives() -> None:
    again = seen(("LUNAUSDT", 10, 50, 2), ("LUNAUSDT", 80, 90, 3))
    assert listing(Series(*SPOT, "LUNAUSDT", "60"), again) == Listing(10, 90)


some_times = st.none() | st.integers(0, 30)
some_sightings = st.lists(
    st.tuples(st.sampled_from(["AUSDT", "BUSDT", "CUSDT"]), some_times, some_times), min_size=1, max_size=12
)


@settings(max_examples=25)
@given(some_sightings)
def test_sql_tells_the_same_universe(tmp_path_factory: pytest.TempPathFactory, rows: list) -> None:
    sightings = seen(*((*row, at) for at, row in enumerate(rows)))
    aliases = [Alias(*SPOT, "AUSDT", "BUSDT", "redenomination", 10.0), Alias(*SPOT, "BUSDT", "CUSDT", "rename", 1.0)]
    root: Path = tmp_path_factory.mktemp("universe")
    with Warehouse.open(root, create=True, now_ms=lambda: 0) as warehouse:
        for at, (symbol, launch, delisted) in enumerate(rows):
            found = [Instrument(*SPOT, symbol, "Trading", launch, delisted)]
            save_instruments(warehouse.database, found, seen_at_ms=at)
        save_successions(
            warehouse.database,
            [Succession(a.exchange, a.category, a.symbol, a.successor, a.kind, a.ratio) for a in aliases],
        )
        with warehouse.pin() as snapshot:
            connection = connect(snapshot)
            for at_ms in range(-1, 31, 4):
                query = (
                    "select symbol, asset, ratio from universe_at(make_timestamptz(1000 * $at::bigint)) order by all"
                )
                told = connection.sql(query, params={"at": at_ms}).pl().rows()
                own = universe_at(at_ms, sightings, aliases).select("symbol", "asset", "ratio")
                assert told == sorted(own.rows())
