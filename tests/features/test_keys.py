import numpy as np
import polars as pl
import pytest

from mmf.bars import LEDGER_SCHEMA, Interval
from mmf.errors import CallError
from mmf.features.keys import code_key, unit_keys
from mmf.features.record import Computation, Feature
from mmf.features.registry import FeatureSet
from tests.reference.bars import HOUR


def spread() -> dict[str, pl.Expr]:
    return {"spread": pl.col("high") - pl.col("turnover")}


def halved() -> dict[str, pl.Expr]:
    return {"spread": (pl.col("high") - pl.col("turnover")) / 2}


def small(function=spread) -> FeatureSet:
    computation = Computation.expressions(function, "high", "turnover")
    return FeatureSet("small", (Feature("spread", "test", "price", "-.", "none", "never", computation, lookback=0),))


SMALL = small()


def bars_at(numbers: list[int]) -> pl.DataFrame:
    open_time = pl.Series([HOUR.open_time_ms(n) for n in numbers]).cast(pl.Datetime("ms", "UTC"))
    return pl.DataFrame({"open_time": open_time, "high": 3.0, "turnover": 1.0})


def key(bars: pl.DataFrame, *, features: FeatureSet = SMALL, interval: Interval = HOUR, n_own: int = 2) -> str:
    return unit_keys(features, interval, bars, [(bars.height - n_own, bars.height)])[0]


def with_value(bars: pl.DataFrame, name: str, row: int, value: float | None) -> pl.DataFrame:
    return bars.with_columns(pl.when(pl.int_range(pl.len()) == row).then(value).otherwise(name).alias(name))


def test_a_key_depends_on_all_that_the_numbers_depend_on():
    bars = bars_at([1, 2, 3])
    others = {
        key(bars),
        key(bars, n_own=1),
        key(bars, interval=Interval("30")),
        key(bars, features=small(halved)),
        key(bars_at([1, 2, 4])),
        key(bars[1:]),
        *(
            key(with_value(bars, name, row, np.nextafter(bars[name][row], 9)))
            for name in ("high", "turnover")
            for row in range(3)
        ),
    }
    assert len(others) == 12


def test_a_key_tells_null_from_zero():
    bars = bars_at([1, 2, 3])
    keys = {key(with_value(bars, "turnover", row, value)) for row in range(3) for value in (None, 0.0)}
    assert len(keys) == 6


def test_a_key_leaves_out_what_the_set_does_not_read():
    bars = bars_at([1, 2, 3])
    ledger = bars.with_columns(
        pl.lit(1, pl.Int64).cast(dtype).alias(name) for name, dtype in LEDGER_SCHEMA.items()
    ).with_columns(close=pl.lit(5.0))

    assert key(ledger) == key(bars) == key(bars.rechunk().select("turnover", "open_time", "high"))


@pytest.mark.parametrize("cuts", [[3, 5], [4, 5, 9, 10], [10]])
def test_a_key_does_not_depend_on_the_units_before_it(cuts: list[int]):
    bars = bars_at([1, 2, 3, 5, 8, 9, 10, 11, 12, 13])
    units = list(zip([2, *cuts], cuts, strict=False))

    for unit, of_many in zip(units, unit_keys(SMALL, HOUR, bars, units), strict=True):
        assert of_many == unit_keys(SMALL, HOUR, bars[: unit[1]], [unit])[0]


@pytest.mark.parametrize("unit", [(0, 4), (2, 2), (-1, 2)])
def test_a_unit_is_some_of_the_rows(unit: tuple[int, int]):
    with pytest.raises(CallError, match="no unit of 3 bars"):
        unit_keys(SMALL, HOUR, bars_at([1, 2, 3]), [unit])


def test_the_code_is_a_part_of_every_key():
    assert len({code_key(SMALL, HOUR), code_key(small(halved), HOUR), code_key(SMALL, Interval("D"))}) == 3
