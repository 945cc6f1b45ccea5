import math
import os
import struct
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmf.bars import CHUNK_BARS, Interval
from mmf.errors import CallError, DataError
from mmf.features.build import Chunk, compute_chunk, compute_columns, content_hashes, plan_chunks, stored_schema
from mmf.features.keys import unit_keys
from mmf.features.record import LEAD_BARS, Computation, Feature
from mmf.features.registry import FeatureSet, feature_set
from tests.reference.bars import HOUR, bars_of_close, numbers_with_holes, walk

ROOT = Path(__file__).parents[2]
CORE = feature_set("core")
BARS = bars_of_close(walk(600), keep=numbers_with_holes(600))


def spread() -> dict[str, pl.Expr]:
    return {"spread": pl.col("high") - pl.col("low"), "inverse": 1 / (pl.col("high") - pl.col("low"))}


def small_feature(name: str, **reach: int) -> Feature:
    computation = Computation.expressions(spread, "high", "low")
    return Feature(name, "test", "price", "High - low.", "closed form", "never", computation, **reach)


SMALL = FeatureSet("small", (small_feature("spread", lookback=4), small_feature("inverse", memory=2)))


def bars_at(numbers: list[int], interval: Interval = HOUR) -> pl.DataFrame:
    open_time = pl.Series([interval.open_time_ms(n) for n in numbers]).cast(pl.Datetime("ms", "UTC"))
    return pl.DataFrame({"open_time": open_time, "high": 3.0, "low": 1.0})


def build(features: FeatureSet, bars: pl.DataFrame, known: dict[str, pl.DataFrame], **sizes: int) -> pl.DataFrame:
    """Build a series chunk by chunk, reusing what is known by key."""
    parts = []
    for chunk in plan_chunks(bars["open_time"].to_physical().to_numpy(), HOUR, **sizes):
        read, n_own = bars[chunk.read], chunk.own.stop - chunk.own.start
        [key] = unit_keys(features, HOUR, read, [(read.height - n_own, read.height)])
        if key not in known:
            known[key] = compute_chunk(features, read, interval=HOUR, n_own=n_own)
        parts.append(known[key])
    return pl.concat(parts)


def test_chunks_are_aligned_by_bar_number_and_lead_counts_stored_bars():
    numbers = [7, 8, 9, 10, 14, 15, 40, 41]
    times = np.array([HOUR.open_time_ms(n) for n in numbers])

    assert plan_chunks(times, HOUR, chunk_bars=5, lead_bars=3) == [
        Chunk(1, slice(0, 3), slice(0, 3)),
        Chunk(2, slice(3, 5), slice(0, 5)),
        Chunk(3, slice(5, 6), slice(2, 6)),
        Chunk(8, slice(6, 8), slice(3, 8)),
    ]


def test_weeks_count_from_their_monday():
    week = Interval("W")
    times = np.array([week.open_time_ms(n) for n in (9, 10)])

    assert [c.number for c in plan_chunks(times, week, chunk_bars=10)] == [0, 1]


def test_no_bars_make_no_chunks():
    assert plan_chunks(np.array([], np.int64), HOUR) == []


def test_a_full_chunk_reads_its_lead():
    times = HOUR.ms * np.arange(CHUNK_BARS - 6_000, 2 * CHUNK_BARS)
    first, second = plan_chunks(times, HOUR)

    assert (first.own, first.read) == (slice(0, 6_000), slice(0, 6_000))
    assert (second.own, second.read) == (slice(6_000, len(times)), slice(6_000 - LEAD_BARS, len(times)))


@pytest.mark.parametrize("numbers", [[2, 1], [1, 1]])
def test_bars_out_of_order_are_refused(numbers: list[int]):
    with pytest.raises(DataError, match="does not increase at row 1"):
        plan_chunks(np.array(numbers) * HOUR.ms, HOUR)
    with pytest.raises(DataError, match="does not increase at row 1"):
        compute_chunk(SMALL, bars_at(numbers), interval=HOUR, n_own=1)


def test_a_row_is_warm_once_the_memory_lies_behind():
    frame = compute_chunk(SMALL, bars_at([1, 2, 3, 9, 10, 11]), interval=HOUR, n_own=6)

    assert SMALL.memory == 4
    assert frame["is_warm"].to_list() == [False, False, False, False, True, True]


def test_missing_bars_counts_the_last_213_slots_from_the_first_bar():
    numbers = [100, 101, 105, 312, 313, 317, 318, 1_000]
    frame = compute_chunk(SMALL, bars_at(numbers), interval=HOUR, n_own=8)

    # 312 still sees slot 100; 313 no longer does; 318 looks back to slot 106; 1000 stands alone
    assert frame["missing_bars"].to_list() == [0, 0, 3, 209, 209, 209, 209, 212]


def test_the_frame_holds_own_rows_with_stored_types():
    frame = compute_chunk(SMALL, bars_at([1, 2, 3]), interval=HOUR, n_own=2)

    assert frame.schema == {
        "open_time": pl.Datetime("ms", "UTC"),
        "spread": pl.Float32,
        "inverse": pl.Float32,
        "missing_bars": pl.Int32,
        "is_warm": pl.Boolean,
    }
    assert frame.schema == stored_schema(SMALL)
    assert frame["open_time"].to_list() == bars_at([2, 3])["open_time"].to_list()


@pytest.mark.parametrize("high", [1.0, 1e300], ids=["infinite", "beyond float32"])
def test_what_is_not_a_finite_float32_is_null(high: float):
    frame = compute_chunk(SMALL, bars_at([1]).with_columns(high=pl.lit(high)), interval=HOUR, n_own=1)

    assert frame["inverse" if high == 1.0 else "spread"].to_list() == [None]


@pytest.mark.parametrize("n_own", [0, 3, -1])
def test_own_rows_are_some_of_those_read(n_own: int):
    with pytest.raises(CallError, match="n_own is"):
        compute_chunk(SMALL, bars_at([1, 2]), interval=HOUR, n_own=n_own)


def test_an_absent_input_is_named():
    with pytest.raises(DataError, match="small reads 'low'"):
        compute_chunk(SMALL, bars_at([1, 2]).drop("low"), interval=HOUR, n_own=1)


def test_content_hashes_tell_null_from_zero_and_see_every_bit():
    column = pl.Series("a", [0.0, 1.0, None], pl.Float32)
    frames = [
        pl.DataFrame({"a": column}),
        pl.DataFrame({"a": column.fill_null(0)}),
        pl.DataFrame({"a": pl.Series([0.0, np.nextafter(np.float32(1), np.float32(2)), None], dtype=pl.Float32)}),
        pl.DataFrame({"a": column.cast(pl.Float64)}),
        pl.DataFrame({"a": ["", "b", None]}),
        pl.DataFrame({"a": ["", "b", ""]}),
        pl.DataFrame({"a": ["b", "", ""]}),
        pl.DataFrame({"a": [True, False, None]}),
    ]
    assert len({content_hashes(frame)["a"] for frame in frames}) == len(frames)
    assert content_hashes(frames[0]) == content_hashes(pl.concat([frames[0][:1], frames[0][1:]]))


@pytest.mark.parametrize("nan", [[math.nan, None, 1.0], [math.nan, math.nan, 1.0]])
def test_content_hashes_tell_nan_from_null(nan: list[float | None]):
    with_null = content_hashes(pl.DataFrame({"a": [None, None, 1.0]}))

    assert content_hashes(pl.DataFrame({"a": nan})) != with_null
    assert content_hashes(pl.DataFrame({"a": [None, None, 1.0]})) == with_null


def test_content_hashes_are_those_of_plain_bytes():
    """So that other code, and other versions of this one, can check them."""
    frame = pl.DataFrame({"a": pl.Series([0.5, None, 2.0], dtype=pl.Float32), "t": ["é", None, "b"]})
    numbers = bytes([0b01000000]) + struct.pack("<3f", 0.5, 0, 2.0)
    text = bytes([0b01000000]) + struct.pack("<3I", 2, 0, 1) + "éb".encode()

    assert content_hashes(frame) == {"a": sha256(numbers).hexdigest(), "t": sha256(text).hexdigest()}


@pytest.mark.parametrize("cut", [1, 150, 257, 599])
def test_a_prefix_of_the_bars_gives_a_prefix_of_the_rows(cut: int):
    whole = compute_chunk(CORE, BARS, interval=HOUR, n_own=600)
    prefix = compute_chunk(CORE, BARS[:cut], interval=HOUR, n_own=cut)

    assert content_hashes(whole[:cut]) == content_hashes(prefix)


def test_finite_columns_do_not_depend_on_where_the_reading_begins():
    finite = FeatureSet("finite", tuple(f for f in CORE.features if f.lookback is not None))
    whole = compute_chunk(finite, BARS, interval=HOUR, n_own=600)[-50:]
    least = compute_chunk(finite, BARS[-50 - finite.memory :], interval=HOUR, n_own=50)

    names = ("open_time", *finite.columns)
    assert content_hashes(whole.select(names)) == content_hashes(least.select(names))


@settings(max_examples=12)
@given(st.data())
def test_an_incremental_build_equals_a_full_one(data: st.DataObject):
    """Appends, gap repairs, backfills and revisions in any order, over chunks of 128 bars that read 250 before them."""
    row = pl.int_range(pl.len())
    present = np.zeros(BARS.height, bool)
    present[200:300] = True
    bars, known = BARS, {}
    for _ in range(data.draw(st.integers(1, 5), label="commits")):
        start = data.draw(st.integers(0, BARS.height - 1), label="from")
        stop = start + data.draw(st.integers(1, 150), label="bars")
        present[start:stop] = True
        if data.draw(st.booleans(), label="revises"):
            bars = bars.with_columns(
                pl.when(row == start).then(pl.col("close") * 0.999).otherwise("close").alias("close")
            )
        incremental = build(CORE, bars.filter(present), known, chunk_bars=128, lead_bars=250)
    full = build(CORE, bars.filter(present), {}, chunk_bars=128, lead_bars=250)

    assert content_hashes(incremental) == content_hashes(full)


def test_one_new_bar_leaves_closed_chunks_alone():
    known: dict[str, pl.DataFrame] = {}
    build(SMALL, bars_at(list(range(100))), known, chunk_bars=30, lead_bars=10)
    before = len(known)
    build(SMALL, bars_at(list(range(101))), known, chunk_bars=30, lead_bars=10)

    assert (before, len(known)) == (4, 5)


def test_the_count_of_threads_changes_no_bit():
    code = (
        "from tests.reference.bars import HOUR, bars_of_close, walk\n"
        "from mmf.features.build import compute_chunk, content_hashes\n"
        "from mmf.features.registry import feature_set\n"
        "bars = bars_of_close(walk(20_000))\n"
        "frame = compute_chunk(feature_set('core'), bars, interval=HOUR, n_own=15_000)\n"
        "print(sorted(content_hashes(frame).items()))\n"
    )
    outputs = {
        subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            check=True,
            cwd=ROOT,
            env=os.environ | {"POLARS_MAX_THREADS": threads},
        ).stdout
        for threads in ("1", "8")
    }
    assert len(outputs) == 1


@pytest.mark.parametrize("expression", [pl.col("close").mean(), pl.col("close").drop_nulls().head(3)])
def test_an_expression_that_gives_another_number_of_rows_is_named(expression: pl.Expr):
    computation = Computation.expressions(lambda: {"short": expression}, "close")
    feature = Feature("short", "mine", "ratio", "Too short.", "none", "never", computation, lookback=0)
    bars = bars_of_close(walk(50))
    with pytest.raises(DataError, match=r"short gave \d rows for 50 bars"):
        compute_columns(FeatureSet("mine", (feature,)), bars, n_own=50)
