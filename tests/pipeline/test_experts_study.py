"""A sample of `just study experts`: one market of each kind."""

import pytest

from tests.studies.experts import run_on


@pytest.mark.slow
def test_nothing_is_found_where_nothing_is() -> None:
    case = run_on("iid", 5, n_bars=6_000)
    for name, auc in case.out_of_fold.items():
        assert 0.35 < auc < 0.65, name  # about 50 independent labels
    low, high = case.band
    assert low - 0.02 <= case.pr_auc <= high + 0.02
    assert case.bayes is None


@pytest.mark.slow
def test_a_strong_edge_is_found() -> None:
    case = run_on("planted", 4, n_bars=8_000, strength=0.8)
    assert case.bayes is not None
    assert case.judged["mixture"] > 0.5 + 0.4 * (case.bayes - 0.5)
    assert case.out_of_fold["stress"] > 0.58
