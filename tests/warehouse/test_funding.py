import polars as pl
import pytest

from tests.warehouse.frames import paths
from warehouse import Warehouse
from warehouse.funding import FUNDING_SCHEMA, funding_rates, stage_funding
from warehouse.query import connect

EIGHT_HOURS_MS = 28_800_000


def rates(*rows: tuple[str, int, float], fetched_at: int = 0) -> pl.DataFrame:
    """Rows of (symbol, number of the funding, rate)."""
    full = [("bybit", "linear", symbol, n * EIGHT_HOURS_MS, rate, "bybit", fetched_at) for symbol, n, rate in rows]
    schema = FUNDING_SCHEMA | {"funding_time": pl.Int64(), "fetched_at": pl.Int64()}
    return pl.DataFrame(full, schema=schema, orient="row").cast(FUNDING_SCHEMA)  # type: ignore[arg-type]


def store(warehouse: Warehouse, rows: pl.DataFrame) -> int:
    with warehouse.writing("funding", None), warehouse.pin() as snapshot:
        commit = warehouse.begin("funding")
        n_new = stage_funding(commit, snapshot, rows)
        commit.publish()
    return n_new


def stored(warehouse: Warehouse, symbol: str = "BTCUSDT", as_of: int | None = None) -> list[tuple[int, float]]:
    with warehouse.pin(as_of) as snapshot:
        found = funding_rates(snapshot, "bybit", "linear", symbol)
    return found.select(pl.col("funding_time").dt.epoch("ms") // EIGHT_HOURS_MS, "rate").rows()


def test_what_is_known_already_adds_nothing(warehouse: Warehouse) -> None:
    first = rates(("BTCUSDT", 1, 0.01), ("BTCUSDT", 2, 0.02), ("ETHUSDT", 2, 0.03))
    assert store(warehouse, first) == 3
    assert store(warehouse, first) == 0
    assert store(warehouse, rates(("BTCUSDT", 2, 0.02), ("BTCUSDT", 3, -0.01), fetched_at=5)) == 1
    assert stored(warehouse) == [(1, 0.01), (2, 0.02), (3, -0.01)]
    assert stored(warehouse, "ETHUSDT") == [(2, 0.03)]
    assert [info.id for info in warehouse.snapshots()] == [0, 1, 2]


def test_nothing_stored_nothing_found(warehouse: Warehouse) -> None:
    assert stored(warehouse) == []
    assert store(warehouse, rates()) == 0


def test_a_restated_rate_wins_and_a_past_snapshot_still_has_the_old_one(warehouse: Warehouse) -> None:
    store(warehouse, rates(("BTCUSDT", 1, 0.01)))
    store(warehouse, rates(("BTCUSDT", 1, 0.05), fetched_at=9))
    assert stored(warehouse) == [(1, 0.05)]
    assert stored(warehouse, as_of=1) == [(1, 0.01)]
    store(warehouse, rates(("BTCUSDT", 1, 0.01), fetched_at=12))
    assert stored(warehouse) == [(1, 0.01)]


def test_many_files_are_folded_into_one_and_nothing_is_lost(warehouse: Warehouse) -> None:
    for n in range(40):
        store(warehouse, rates(("BTCUSDT", n, n / 100), fetched_at=n))
        store(warehouse, rates(("BTCUSDT", 0, n / 100), fetched_at=n))
    with warehouse.pin() as snapshot:
        assert len(paths(snapshot.files("funding"))) <= 32
        history = snapshot.scan("funding").filter(pl.col("funding_time").dt.epoch("ms") == 0).collect()
    assert history["rate"].to_list() == [n / 100 for n in range(40)]
    assert stored(warehouse) == [(0, 0.39), *((n, n / 100) for n in range(1, 40))]


@pytest.mark.parametrize("n_rounds", [0, 2])
def test_sql_shows_the_last_answer(warehouse: Warehouse, n_rounds: int) -> None:
    with warehouse.pin() as snapshot:
        empty = connect(snapshot).sql("from funding").pl()
    for n in range(n_rounds):
        store(warehouse, rates(("BTCUSDT", 1, n / 100), ("ETHUSDT", 1, 0.5), fetched_at=n))
    with warehouse.pin() as snapshot:
        shown = connect(snapshot).sql("from funding order by symbol").pl()
    assert shown.schema == empty.schema
    assert shown["rate"].to_list() == ([0.01, 0.5] if n_rounds else [])
