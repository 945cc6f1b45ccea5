import numpy as np
import pytest

from mmf.alpha_council.voters import BUILT_IN, Ballot, check_voters, name_of, score_of
from mmf.errors import CallError


class Says:
    def __init__(self, scores=(), name="says"):
        self.scores, self.name = scores, name

    def score(self, ballot):
        return self.scores


def ballot():
    X = np.asfortranarray([[1, 5], [2, 5], [3, 5]], np.float32)
    return Ballot(columns=("a", "b"), X=X, y=np.array([0, 1, 1]), folds=(), seed=0, n_threads=1)


def test_a_ballot_holds_the_columns_standardised_too():
    np.testing.assert_allclose(ballot().standardised, [[-1.2247449, 0], [0, 0], [1.2247449, 0]], atol=1e-6)
    one = ballot()
    assert one.standardised is one.standardised


@pytest.mark.parametrize("name", ["X", "y", "standardised"])
def test_a_voter_cannot_write_into_what_the_next_one_reads(name):
    with pytest.raises(ValueError, match="read-only"):
        getattr(ballot(), name)[0] = 7


def test_scores_of_any_kind_of_number_become_floats():
    assert score_of(Says([2, 1]), ballot()).tolist() == [2.0, 1.0]
    assert score_of(Says([-np.inf, 1]), ballot()).tolist() == [-np.inf, 1.0]


@pytest.mark.parametrize("scores", [[1], [[1], [2]], [1, np.nan]])
def test_scores_that_do_not_fit_name_the_voter(scores):
    with pytest.raises(CallError, match=r"voter says gave scores .* one number for each of 2 columns"):
        score_of(Says(scores), ballot())


def test_names():
    assert [name_of(voter) for voter in ("forest", Says())] == ["forest", "says"]


@pytest.mark.parametrize(
    ("voters", "message"),
    [
        (("oracle",), "voter 'oracle' is unknown. Use linear, forest, mutual"),
        ((object(),), r"a voter has a name and a method score\(ballot\)"),
        ((Says(name="Loud Voter"),), "'Loud Voter' is not lower snake case"),
        ((Says(name="mean"),), "a voter cannot be called mean"),
        ((Says(), Says()), "share a name"),
        (("mutual", Says(name="mutual")), "share a name"),
        ((), "min_votes 1 of 0 voters"),
    ],
)
def test_wrong_voters_are_refused(voters, message):
    with pytest.raises(CallError, match=message):
        check_voters(voters, 1)


def test_the_three_and_any_other_are_accepted():
    check_voters((*BUILT_IN, Says()), 2)
