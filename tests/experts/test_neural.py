import numpy as np
import pytest
import torch

from mmf.experts.neural import Standardiser, dropped, stops_by, trained_on
from mmf.experts.protocol import Session


def test_dropout_sets_a_share_to_zero_keeps_the_mean_and_needs_noise() -> None:
    ones = torch.ones(300, 1_000)
    thinned = dropped(ones, 0.2, torch.Generator().manual_seed(0))
    assert sorted(thinned.unique().tolist()) == pytest.approx([0.0, 1.25])
    assert thinned.mean().item() == pytest.approx(1.0, abs=0.01)
    assert dropped(ones, 0.2, None) is ones
    assert dropped(ones, 0.0, torch.Generator()) is ones


def test_rows_of_early_stopping_purged_ones_and_those_without_label_are_told_apart() -> None:
    y = np.array([0.0, 1.0, np.nan, 1.0, np.nan, 0.0])
    session = Session(stop_on=np.arange(6) >= 4, purged=np.arange(6) == 3)
    assert trained_on(y, session).tolist() == [True, True, False, False, False, False]
    assert stops_by(y, session).tolist() == [False] * 5 + [True]
    panel = np.column_stack([y, np.zeros(6)])
    assert trained_on(panel, session).tolist() == [[True, True]] * 2 + [[False, True]] + [[False, False]] * 3
    assert trained_on(y, Session()).sum() == 4
    assert not stops_by(y, Session()).any()


def test_standardised_columns_have_mean_0_deviation_1_and_no_wild_values() -> None:
    x = np.random.default_rng(0).normal([5, -1], [2, 0.1], (1_000, 2)).astype(np.float32)
    x[3, 0] = 1e6
    wild = Standardiser.of(x[4:]).apply(x)
    assert wild[3, 0] == 8.0
    assert np.allclose(wild[4:].mean(axis=0), 0, atol=1e-5)
    assert np.allclose(wild[4:].std(axis=0), 1, atol=1e-5)
    assert np.isfinite(Standardiser.of(np.ones((9, 1), np.float32)).apply(np.ones((9, 1), np.float32))).all()


def test_standardised_columns_are_the_same_bits_however_they_lie_in_memory() -> None:
    x = np.random.default_rng(0).normal(5, 2, (1_000, 7)).astype(np.float32)
    turned = np.asfortranarray(x)
    assert np.array_equal(Standardiser.of(turned).mean, Standardiser.of(x).mean)
    assert np.array_equal(Standardiser.of(turned).scale, Standardiser.of(x).scale)
    assert Standardiser.of(x).apply(turned).flags.c_contiguous
