"""What of a user's file is part of a definition, and what is not."""

from pathlib import Path

import pytest

from mmf.features.hashing import feature_hash
from mmf.features.user_file import load_features

FILE = '''
import functools
import math

import numpy as np
import polars as pl
from numba import njit, vectorize

from mmf.features.user import feature

SCALE = 3.0
CLOSE = pl.col("close").log()
squared = lambda x: x * x
halved = functools.partial(np.multiply, 0.5)


@feature(lookback=1, unit="log-return")
def subject(close):
    """A first line."""
    # a comment
    first = kernel(close) + squared(close) * SCALE + halved(close)
    return first + third(close) + cached(2) + bent(close) + local(close)


@njit(nogil=True)
def kernel(close):
    out = np.empty_like(close)
    for t in range(len(close)):
        out[t] = inner(close[t])
    return out


@njit(nogil=True)
def inner(x):
    return x + 1.0


@vectorize
def bent(x):
    return x - 7.0


@functools.cache
def cached(n):
    return n + 11


def local(close):
    from mmf.features.kernels.logarithm import log
    from math import tau

    return log(close) * tau


def made(weight):
    def weighted(x):
        return weight * x

    return weighted


once, thrice = made(1.0), made(3.5)


def third(x):
    return once(x) + thrice(x)


@feature(lookback=0)
def expression():
    return CLOSE.shift(0)
'''


@pytest.fixture
def hash_of(tmp_path: Path):
    def build(text: str = FILE, name: str = "subject", file: str = "mine.py") -> str:
        path = tmp_path / file
        path.write_text(text)
        return next(feature_hash(one) for one in load_features(path) if one.name == name)

    return build


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("# a comment", "# other words, longer than before"),
        ('"""A first line."""', '"""Other prose."""'),
        ('unit="log-return"', 'unit="ratio", undefined="never"'),
        ("import math\n", "import math\n\n\n"),
        ("def made(weight):", "def unrelated(x):\n    return x\n\n\ndef made(weight):"),
    ],
)
def test_prose_and_layout_keep_the_hash(hash_of, old: str, new: str):
    assert old in FILE
    assert hash_of(FILE.replace(old, new)) == hash_of()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("SCALE = 3.0", "SCALE = 3.5"),
        ("lambda x: x * x", "lambda x: x * x * x"),
        ("partial(np.multiply, 0.5)", "partial(np.multiply, 0.25)"),
        ("partial(np.multiply, 0.5)", "partial(np.divide, 0.5)"),
        ("return x + 1.0", "return x + 2.0"),
        ("return x - 7.0", "return x - 8.0"),
        ("return n + 11", "return n + 12"),
        ("made(3.5)", "made(4.5)"),
        ("made(1.0)", "made(1.5)"),
        ("return weight * x", "return weight + x"),
        ("from math import tau", "from math import pi as tau"),
        ("@njit(nogil=True)\ndef inner", "@njit(nogil=False)\ndef inner"),
        ("lookback=1", "lookback=2"),
        ("kernel(close) + squared", "kernel(close) - squared"),
    ],
)
def test_an_edit_of_anything_that_is_used_changes_the_hash(hash_of, old: str, new: str):
    assert FILE.count(old) == 1
    assert hash_of(FILE.replace(old, new)) != hash_of()


def test_a_kernel_of_mmf_counts_by_its_source(hash_of, monkeypatch: pytest.MonkeyPatch):
    before = hash_of()
    monkeypatch.setattr("mmf.features.kernels.logarithm.LN2_LOW", 2e-10)
    assert hash_of(FILE + "\n") != before


def test_an_expression_among_the_constants_counts(hash_of):
    edited = FILE.replace("CLOSE.shift(0)", "CLOSE.shift(0)  # same").replace(
        'pl.col("close").log()', 'pl.col("close").exp()'
    )
    assert hash_of(FILE, "expression") == hash_of(FILE.replace("CLOSE.shift(0)", "CLOSE.shift( 0 )"), "expression")
    assert hash_of(edited, "expression") != hash_of(FILE, "expression")


def test_neither_name_nor_place_of_the_file_count(hash_of):
    assert hash_of(file="mine.py") == hash_of(file="yours.py")


def test_a_constant_that_cannot_be_written_down_is_refused(hash_of):
    with pytest.raises(Exception, match=r"user.subject SCALE is a object, which has no canonical form"):
        hash_of(FILE.replace("SCALE = 3.0", "SCALE = object()"))
