"""A sample of `just study verdict`: two short markets of each kind."""

import pytest

from mmf.markets.simulated import Edge
from tests.studies.verdict import judged_on


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("edge", ["none", "iid"])
def test_where_nothing_is_no_edge_is_found(edge: Edge, seed: int) -> None:
    case = judged_on(edge, seed, n_bars=6_000)
    assert case.verdict.answer != "edge"
    assert case.verdict.performance.n_trades > 0
    assert case.truth is None


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1])
def test_a_planted_edge_shows_in_the_score_before_it_does_in_the_verdict(seed: int) -> None:
    case = judged_on("planted", seed, n_bars=6_000, strength=0.8)
    assert case.auc > 0.6
    assert case.truth is not None
    assert case.truth.answer != "edge"  # 78 horizons that do not overlap: too few for the 1 % level even so
