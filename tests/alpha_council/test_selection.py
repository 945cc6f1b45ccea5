"""A sample of `just study selection`: two markets of each kind and few columns."""

import pytest

from tests.studies.selection import select_from

SMALL = {"n_bars": 8_000, "families": ("trend", "price"), "n_shifts": 9}


@pytest.mark.parametrize("seed", [0, 2])
def test_a_planted_edge_passes_the_council_and_survives_the_refinery(seed):
    case = select_from("planted", seed, **SMALL)

    assert case.n_planted >= 5
    assert case.n_planted_selected >= 0.9 * case.n_planted
    assert case.n_planted_refined >= 0.5 * case.n_planted
    assert case.share_as_many <= 0.2
    assert case.n_stable > case.mean_stable_shifted
    assert case.told > 0.3


@pytest.mark.parametrize("seed", [0, 1])
def test_nothing_is_found_where_nothing_is(seed):
    case = select_from("iid", seed, **SMALL)

    assert case.n_selected == pytest.approx(case.n_columns / 2, rel=0.25)  # the rule passes half of anything
    assert case.n_above <= 0.2 * case.n_columns
    assert case.share_as_many > 0.1
    assert case.told is None
