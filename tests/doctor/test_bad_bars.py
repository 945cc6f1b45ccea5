import polars as pl

from mmf.bars import BAR_SCHEMA, Interval
from mmf.doctor.bad_bars import BadSlots, bad_slots

HOUR_MS = 3_600_000


def rows(*found: tuple[int | None, str, str]) -> pl.DataFrame:
    schema = {"open_time": BAR_SCHEMA["open_time"], "source": pl.String(), "reason": pl.String()}
    return pl.DataFrame(found, schema=schema, orient="row")


def test_bad_rows_become_runs_by_source_and_reason() -> None:
    found = rows(
        (5 * HOUR_MS, "bybit", "low"),
        (3 * HOUR_MS, "bybit", "high"),
        (4 * HOUR_MS, "bybit", "low"),
        (0, "file:a", "low"),
    )
    assert bad_slots(found, interval=Interval("60")) == [
        BadSlots("bybit", "high", [(3, 4)]),
        BadSlots("bybit", "low", [(4, 6)]),
        BadSlots("file:a", "low", [(0, 1)]),
    ]


def test_the_last_row_of_a_slot_counts_off_the_grid_too_and_one_without_time_does_not() -> None:
    found = rows((HOUR_MS, "a", "old"), (HOUR_MS + 7, "a", "off the grid"), (None, "a", "no open_time"))
    assert bad_slots(found, interval=Interval("60")) == [BadSlots("a", "off the grid", [(1, 2)])]
    assert bad_slots(rows(), interval=Interval("60")) == []
