from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from mmf.bars import VALUE_COLUMNS
from mmf.doctor.anomalies import ANOMALY_SCHEMA, anomalies


def frame(*rows: tuple[float, float, float, float, float, float | None]) -> pl.DataFrame:
    times = pl.Series("open_time", np.arange(len(rows)) * 3_600_000).cast(pl.Datetime("ms", "UTC"))
    values = pl.DataFrame(rows, schema=dict.fromkeys(VALUE_COLUMNS, pl.Float64), orient="row")
    return values.insert_column(0, times)


def hours(found: pl.DataFrame) -> list[tuple[int, int, str]]:
    hour = pl.col("open_time").dt.epoch("s") // 3600
    return found.select(hour, "n_bars", "kind").rows()


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


GOOD = (100.0, 110.0, 90.0, 105.0, 2.0, 200.0)


@pytest.mark.parametrize(
    ("turnover", "is_odd"),
    [
        (200.0, False),
        (180.0, False),
        (220.0, False),
        (179.9, True),
        (220.1, True),
        (None, False),
        (180.0 - 5e-5, False),
    ],
)
def test_turnover_must_lie_between_low_and_high(turnover: float | None, is_odd: bool) -> None:
    found = anomalies(frame(GOOD, (*GOOD[:5], turnover), GOOD))
    assert hours(found) == ([(1, 1, "turnover outside range")] if is_odd else [])


def test_inverse_contracts_count_volume_in_dollars_and_turnover_in_coins() -> None:
    inverse = frame((100.0, 110.0, 90.0, 105.0, 20_000.0, 200.0))
    assert hours(anomalies(inverse, is_inverse=True)) == []
    assert hours(anomalies(inverse)) == [(0, 1, "turnover outside range")]
    assert hours(anomalies(frame(GOOD), is_inverse=True)) == [(0, 1, "turnover outside range")]


def test_zero_volume_and_flat_runs_are_told_apart() -> None:
    still, flat = (7.0, 7.0, 7.0, 7.0, 0.0, 0.0), (8.0, 8.0, 8.0, 8.0, 1.0, 8.0)
    dear = (9.0, 9.0, 9.0, 9.0, 1.0, 9.0)
    found = anomalies(frame(still, still, still, flat, flat, flat, dear, dear))
    assert hours(found) == [(0, 3, "zero volume"), (3, 3, "flat run")]
    assert found["detail"].to_list() == ["at 7.0", "at 8.0"]
    assert hours(anomalies(frame(flat, flat, dear), shortest_flat_run=2)) == [(0, 2, "flat run")]


@pytest.mark.parametrize("factor", [10.0, 0.1])
def test_a_slipped_decimal_point_is_off_scale(factor: float) -> None:
    slipped = (*(factor * price for price in GOOD[:4]), 2.0, None)
    assert hours(anomalies(frame(*[GOOD] * 4, slipped, *[GOOD] * 4))) == [(4, 1, "off scale")]


def test_a_wick_is_off_scale_too() -> None:
    assert hours(anomalies(frame(*[GOOD] * 4, (100.0, 110.0, 9.0, 105.0, 2.0, 200.0), *[GOOD] * 4))) == [
        (4, 1, "off scale")
    ]


def closes(values: np.ndarray) -> pl.DataFrame:
    times = pl.Series("open_time", np.arange(len(values)) * 3_600_000).cast(pl.Datetime("ms", "UTC"))
    prices = dict.fromkeys(("open", "high", "low", "close"), pl.Series(values))
    return pl.DataFrame({"open_time": times, **prices}).with_columns(volume=1.0, turnover=pl.lit(None, pl.Float64))


def test_a_jump_that_the_neighbour_does_not_make() -> None:
    generator = np.random.default_rng(3)
    walk = 100 * np.exp(np.cumsum(generator.normal(0, 0.01, 500)))
    noise = np.exp(generator.normal(0, 0.0002, 500))
    own = walk * noise
    own[250:] *= 1.05
    found = anomalies(closes(own), neighbour=closes(walk))
    assert hours(found) == [(250, 1, "jump")]
    assert "its neighbour" in found["detail"][0]
    assert hours(anomalies(closes(walk), neighbour=closes(walk))) == []
    assert hours(anomalies(closes(own))) == []


def test_a_move_that_both_make_across_a_hole_is_no_jump() -> None:
    walk = 100 * np.exp(np.cumsum(np.random.default_rng(4).normal(0, 0.01, 300)))
    walk[100:] *= 2
    both, hole = closes(walk), pl.int_range(pl.len()).is_between(90, 110)
    assert hours(anomalies(both.filter(~hole), neighbour=both)) == []


def test_frames_of_several_chunks_are_read_alike() -> None:
    odd = frame(GOOD, (*GOOD[:5], 999.0), (*GOOD[:4], 0.0, 0.0))
    found = anomalies(pl.concat([odd[:2], odd[2:]], rechunk=False), neighbour=odd)
    assert found.equals(anomalies(odd, neighbour=odd))
    assert hours(found) == [(1, 1, "turnover outside range"), (2, 1, "zero volume")]


def test_no_bars_no_anomalies() -> None:
    found = anomalies(frame(), neighbour=frame())
    assert found.schema == ANOMALY_SCHEMA
    assert found.is_empty()


# real bars --------------------------------------------------------------------------


def real(folder: Path, name: str) -> pl.DataFrame:
    return pl.read_parquet(folder / "klines" / f"{name}.parquet")


@pytest.mark.real_bars
def test_one_turnover_of_bybit_lies_below_its_low(real_bars: Path) -> None:
    found = anomalies(real(real_bars, "bybit_linear_BTCUSDT_60m")).filter(pl.col("kind") == "turnover outside range")
    assert found["open_time"].to_list() == [at("2021-10-25T18:00")]
    assert found["detail"].to_list() == ["average price 62845.819 outside 62876.0 to 63175.0"]


@pytest.mark.real_bars
def test_the_first_bar_of_bybit_is_tiny_and_sound(real_bars: Path) -> None:
    first = real(real_bars, "bybit_linear_BTCUSDT_60m").head(1)
    assert first["volume"].to_list() == [0.004]
    assert anomalies(first).is_empty()


@pytest.mark.real_bars
def test_five_minutes_without_volume_on_binance_futures(real_bars: Path) -> None:
    found = anomalies(real(real_bars, "binance_um_BTCUSDT_5m")).filter(pl.col("kind") == "zero volume")
    assert found.select("open_time", "n_bars").rows() == [(at("2025-01-29T01:25"), 2), (at("2025-08-29T06:20"), 3)]


@pytest.mark.real_bars
def test_jumps_between_two_exchanges_are_few(real_bars: Path) -> None:
    own, other = real(real_bars, "binance_um_BTCUSDT_60m"), real(real_bars, "bybit_linear_BTCUSDT_60m")
    assert anomalies(own, neighbour=other).filter(pl.col("kind") == "jump").height == 5
