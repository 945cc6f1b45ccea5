from decimal import Decimal

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.exchange.decimals import plain

SIZES = st.floats(min_value=0.0, allow_nan=False, allow_infinity=False)


@pytest.mark.parametrize(
    ("value", "decimals", "text"),
    [
        (30710.0, 0, "30710"),
        (30709.9, 0, "30709.9"),
        (0.0, 0, "0"),
        (1.5e-7, 0, "0.00000015"),
        (1e16, 0, "10000000000000000"),
        (30710.0, 2, "30710.00"),
        (0.1, 8, "0.10000000"),
        (0.123456789012, 8, "0.123456789012"),
        (1e16, 8, "10000000000000000.00000000"),
        (-0.0375, 8, "-0.03750000"),
    ],
)
def test_known_texts(value: float, decimals: int, text: str) -> None:
    assert plain(pl.Series([value]), decimals=decimals).to_list() == [text]


@given(st.lists(SIZES, min_size=1, max_size=20), st.sampled_from([0, 2, 8]))
def test_every_float_reads_back_to_the_same_bits_without_an_exponent(values: list[float], decimals: int) -> None:
    texts = plain(pl.Series(values, dtype=pl.Float64), decimals=decimals).to_list()
    assert np.array([float(text) for text in texts]).tobytes() == np.array(values).tobytes()
    assert all("e" not in text.lower() for text in texts)
    assert all(-Decimal(text).as_tuple().exponent >= decimals for text in texts)
