import numpy as np
import polars as pl
import pytest
from numba import njit

from mmf.errors import CallError, DataError
from mmf.features.build import compute_chunk
from mmf.features.record import Computation, Feature
from mmf.features.registry import FeatureSet
from mmf.features.user import declared, feature
from tests.reference.bars import HOUR, bars_of_close, walk

BARS = bars_of_close(walk(60))


def computed(*functions) -> pl.DataFrame:
    features = tuple(one for function in functions for one in declared(function))
    return compute_chunk(FeatureSet("mine", features), BARS, interval=HOUR, n_own=BARS.height)


@feature(lookback=1, unit="ratio")
def jump():
    """Open over the close before.

    More prose.
    """
    return pl.col("open") / pl.col("close").shift(1)


@feature(lookback=0, family="range", undefined="never", version=3)
def span(high, low, *, scale=2.0):
    return (high - low) * scale


@feature(windows=(3, 5), lookback=lambda window: window - 1)
def top(*, window):
    return pl.col("high").rolling_max(window)


@feature(windows=(2, 4), memory=lambda window: 20 * window)
def recursive(close, *, window):
    out = np.empty_like(close)
    mean = close[0]
    for t, value in enumerate(close):
        mean += (value - mean) / window
        out[t] = mean
    return out


@feature(lookback=0)
@njit
def compiled(close, volume):
    return close * volume


def test_an_expression_declares_itself():
    (record,) = declared(jump)

    assert (record.name, record.family, record.unit) == ("jump", "user", "ratio")
    assert record.description == "Open over the close before."
    assert record.inputs == ("open", "close")
    assert (record.lookback, record.memory) == (1, None)
    expected = (BARS["open"] / BARS["close"].shift(1)).cast(pl.Float32)
    assert computed(jump)["jump"].equals(expected, check_names=False)


def test_a_kernel_reads_the_columns_that_its_arguments_name():
    (record,) = declared(span)

    assert record.inputs == ("high", "low")
    assert (record.family, record.undefined, record.version) == ("range", "never", 3)
    np.testing.assert_allclose(computed(span)["span"], 2 * (BARS["high"] - BARS["low"]), rtol=1e-6)


def test_windows_make_a_column_each():
    assert [(one.name, one.reach) for one in declared(top)] == [("top_3", 2), ("top_5", 4)]
    assert [(one.name, one.memory) for one in declared(recursive)] == [("recursive_2", 40), ("recursive_4", 80)]

    frame = computed(top, recursive)
    assert frame["top_5"].equals(BARS["high"].rolling_max(5).cast(pl.Float32), check_names=False)
    expected = BARS["close"].ewm_mean(alpha=0.25, adjust=False)
    np.testing.assert_allclose(frame["recursive_4"], expected, rtol=1e-6)


def test_a_compiled_function_is_declared_as_it_is():
    assert declared(compiled)[0].inputs == ("close", "volume")
    np.testing.assert_allclose(computed(compiled)["compiled"], BARS["close"] * BARS["volume"], rtol=1e-6)


def test_a_declared_function_can_still_be_called():
    assert span(np.array([3.0]), np.array([1.0])).tolist() == [4.0]


def no_expression():
    return 3.0


def no_columns():
    return pl.lit(1.0)


@pytest.mark.parametrize(
    ("function", "declaration", "message"),
    [
        (no_expression, {"lookback": 0}, r"returned a float, expected a Polars expression. For a kernel name the bar"),
        (no_columns, {"lookback": 0}, "reads no bar column"),
        (span, {}, "declare either lookback"),
        (span, {"lookback": 1, "memory": 1}, "declare either lookback"),
        (span, {"lookback": lambda window: window}, r"lookback of span is a function, but there are no windows"),
        (span, {"memory": 5_121}, "feature span needs 5121 earlier bars; a chunk reads 5120"),
    ],
)
def test_a_declaration_that_cannot_be_is_refused(function, declaration: dict, message: str):
    with pytest.raises(CallError, match=message):
        feature(**declaration)(function)


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        (lambda close: close[1:], r"returned odd in shape \(59,\), expected \(60,\): one number a bar"),
        (lambda close: float(close[0]), "returned odd as float, expected a NumPy array"),
        (lambda close: close.astype(str), "returned odd as an array of <U32, expected numbers"),
    ],
)
def test_a_kernel_that_returns_something_else_is_named(returned, message: str):
    record = Feature("odd", "user", "-", "", "none", "", Computation("kernel", returned, ("close",), column="odd"), 0)
    with pytest.raises(CallError, match=message):
        compute_chunk(FeatureSet("mine", (record,)), BARS, interval=HOUR, n_own=60)


def test_a_column_that_is_not_returned_is_named():
    def pair(close):
        return {"one": close, "two": close}

    record = Feature("three", "user", "-", "", "none", "", Computation.kernel(pair, "close"), 0)
    with pytest.raises(CallError, match=r"pair returned no column 'three', only one, two"):
        compute_chunk(FeatureSet("mine", (record,)), BARS, interval=HOUR, n_own=60)


def test_infinite_values_become_null():
    @feature(lookback=0)
    def infinite():
        return pl.col("close") / 0.0

    assert computed(infinite)["infinite"].null_count() == 60


def test_a_declaration_without_brackets_says_what_is_missing() -> None:
    with pytest.raises(CallError, match=r"takes brackets.*@feature\(lookback=20\)"):

        @feature
        def bare(close):
            return close


@pytest.mark.parametrize("reach", [2.5, True, "20"])
def test_a_reach_counts_bars(reach: object) -> None:
    with pytest.raises(CallError, match="count bars, such as 20"):

        @feature(lookback=reach)
        def half(close):
            return close


@pytest.mark.parametrize(
    "expression", [pl.col("close").cast(pl.String), pl.concat_list("close"), pl.col("close").cast(pl.Datetime("ms"))]
)
def test_values_that_are_no_numbers_are_refused_by_name(expression: pl.Expr) -> None:
    @feature(lookback=0)
    def worded():
        return expression

    with pytest.raises(DataError, match=r"feature worded gave values of type .*a feature is a number"):
        computed(worded)
