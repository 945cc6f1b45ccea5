"""What a voter of the council is: a name, and a score of every column."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, Protocol, runtime_checkable

import numpy as np

from mmf.alpha_council.linear import Fold
from mmf.alpha_council.ranking import standardise
from mmf.errors import CallError

BuiltIn = Literal["linear", "forest", "mutual"]
BUILT_IN: tuple[BuiltIn, ...] = ("linear", "forest", "mutual")

_NAME = re.compile(r"[a-z][a-z0-9_]*")


@dataclass(frozen=True)
class Ballot:
    """What every voter is given; arrays refuse to be written to, since the next voter reads them too.

    Attributes
    ----------
    columns : tuple of str
        p names in alphabetical order, in which the columns stand.
    X : np.ndarray
        (n, p) float32 finite numbers, rows in time order, each column contiguous.
    y : np.ndarray
        (n,) int64 classes 0 and 1, both present.
    folds : tuple of (train, valid)
        Row indices of time-ordered folds, purged where the council was fitted on rows.
    seed : int
        Seed of anything random.
    n_threads : int
        Threads that a voter may use; its scores must not depend on them.
    """

    columns: tuple[str, ...]
    X: np.ndarray
    y: np.ndarray
    folds: tuple[Fold, ...]
    seed: int
    n_threads: int

    def __post_init__(self) -> None:
        read_only(self.X)
        read_only(self.y)

    @cached_property
    def standardised(self) -> np.ndarray:
        """`X` standardised: (n, p) float32 columns of mean 0 and variance 1, zeros where a column is constant."""
        return read_only(standardise(self.X))


@runtime_checkable
class Voter(Protocol):
    """Anything with a name and a score for every column; the council turns scores into ranks and votes.

    Examples
    --------
    A voter that likes columns whose correlation with the label is alike in every fold:

    >>> class Steady:
    ...     name = "steady"
    ...
    ...     def score(self, ballot):
    ...         y = ballot.y - ballot.y.mean()
    ...         products = [np.abs(y[valid] @ ballot.standardised[valid]) / len(valid) for _, valid in ballot.folds]
    ...         return np.min(products, axis=0)

    It votes beside the three, and two votes of the four let a column through:

    >>> from mmf.alpha_council import AlphaCouncil
    >>> council = AlphaCouncil(voters=("linear", "forest", "mutual", Steady()), always_keep=(), n_estimators=5)
    >>> X = np.random.default_rng(0).normal(size=(200, 4))
    >>> votes = council.fit(X, X[:, 2] > 0).votes_
    >>> votes.select("column", "steady_rank").row(0)
    ('x2', 1)
    """

    @property
    def name(self) -> str:
        """Lower snake case; the votes hold columns `<name>_score` and `<name>_rank`."""

    def score(self, ballot: Ballot, /) -> np.ndarray:
        """Return (p,) numbers, higher is better; equal ones are ranked by ANOVA F and then by name."""


def read_only(array: np.ndarray, /) -> np.ndarray:
    """Lock an array and return it."""
    array.flags.writeable = False
    return array


def name_of(voter: BuiltIn | Voter, /) -> str:
    """Name under which a voter's scores and ranks stand."""
    return voter if isinstance(voter, str) else voter.name


def check_voters(voters: Sequence[BuiltIn | Voter], min_votes: int, /) -> None:
    """Refuse voters that are unknown, share a name or are too few for `min_votes`."""
    for voter in voters:
        if isinstance(voter, str) and voter not in BUILT_IN:
            raise CallError(f"voter {voter!r} is unknown. Use {', '.join(BUILT_IN)} or an object of your own.")
        if not isinstance(voter, str | Voter):
            raise CallError(f"a voter has a name and a method score(ballot); {voter!r} has not.")
        if not _NAME.fullmatch(name_of(voter)):
            raise CallError(f"voter name {name_of(voter)!r} is not lower snake case, such as steady_2.")
        if name_of(voter) == "mean":
            raise CallError(
                "a voter cannot be called mean: mean_rank is the mean over the voters. Choose another name."
            )
    names = [name_of(voter) for voter in voters]
    if len(set(names)) != len(names):
        raise CallError(f"voters {', '.join(names)} share a name. Give each one of its own.")
    if not 1 <= min_votes <= len(voters):
        raise CallError(f"min_votes {min_votes} of {len(voters)} voters cannot be. Use 1 to {len(voters)}.")


def score_of(voter: Voter, ballot: Ballot, /) -> np.ndarray:
    """Ask a voter and check what it says."""
    scores = np.asarray(voter.score(ballot), np.float64)
    if scores.shape != (len(ballot.columns),) or np.isnan(scores).any():
        raise CallError(
            f"voter {voter.name} gave scores of shape {scores.shape}, {int(np.isnan(scores).sum())} of them undefined. "
            f"Return one number for each of {len(ballot.columns)} columns."
        )
    return scores
