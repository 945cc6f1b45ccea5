import numpy as np
import pytest
from scipy.signal import lfilter

from mmf.errors import CallError
from mmf.evaluation.bootstrap import block_samples, interval

RNG = np.random.default_rng(8)


def test_rows_come_in_blocks_of_the_mean_length() -> None:
    rows = np.concatenate(list(block_samples(1_000, mean_block=20, n_samples=50, seed=0)))
    follows = (np.diff(rows) % 1_000) == 1
    assert 1 / (1 - follows.mean()) == pytest.approx(20, rel=0.15)
    counts = np.bincount(rows, minlength=1_000)
    assert counts.min() > 0
    assert counts[:10].mean() == pytest.approx(50, rel=0.3)


def test_blocks_of_one_row_are_the_plain_bootstrap() -> None:
    rows = next(block_samples(5_000, mean_block=1, n_samples=1, seed=0))
    assert ((np.diff(rows) % 5_000) == 1).mean() < 0.01


def test_a_seed_gives_the_same_samples() -> None:
    first, second = (list(block_samples(50, mean_block=5, n_samples=3, seed=1)) for _ in range(2))
    assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


def test_intervals_of_dependent_rows_cover_the_mean_and_those_of_single_rows_do_not() -> None:
    covered = {1: 0, 60: 0}
    for seed in range(60):
        x = lfilter([1], [1, -0.9], np.random.default_rng(seed).normal(size=4_000))
        for block in covered:
            low, high = interval(lambda r, x=x: x[r].mean(), 4_000, level=0.9, mean_block=block, n_samples=200)
            covered[block] += low <= 0 <= high
    assert covered[60] >= 48
    assert covered[1] <= 40


def test_samples_in_which_the_figure_is_undefined_are_left_out() -> None:
    x = np.array([0.0, 0.0, 1.0, 1.0])
    low, high = interval(lambda r: np.nan if x[r].sum() == 0 else 1.0, 4, level=0.9, mean_block=1, n_samples=100)
    assert (low, high) == (1.0, 1.0)


def test_impossible_blocks_are_refused() -> None:
    with pytest.raises(CallError, match="mean block"):
        list(block_samples(10, mean_block=0.5, n_samples=1, seed=0))
