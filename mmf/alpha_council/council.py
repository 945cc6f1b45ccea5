"""The Alpha Council as a scikit-learn selector."""

import logging
from collections.abc import Sequence
from numbers import Integral
from typing import Self

import joblib
import numpy as np
import polars as pl
from sklearn.base import BaseEstimator
from sklearn.feature_selection import SelectorMixin
from sklearn.model_selection import TimeSeriesSplit
from sklearn.utils import ClassifierTags, Tags
from sklearn.utils.validation import check_is_fitted, validate_data

from mmf.alpha_council.agreement import agreement
from mmf.alpha_council.forest import mean_importance, tree_importances
from mmf.alpha_council.linear import Fold, lasso
from mmf.alpha_council.mutual_information import mutual_information
from mmf.alpha_council.ranking import anova_f, votes_table
from mmf.alpha_council.voters import BUILT_IN, Ballot, BuiltIn, Voter, check_voters, name_of, score_of
from mmf.errors import CallError, DataError, LeakError
from mmf.rows import PHYSICS_TRIO, TrainingRows
from mmf.splits import time_folds

logger = logging.getLogger(__name__)


class AlphaCouncil(SelectorMixin, BaseEstimator):
    """Select the columns that at least two of three voters rank in the top share.

    Any single score has a blind spot: a Lasso sees straight lines only, a forest spreads the credit among copies of
    one column, mutual information looks at one column at a time. So three of them rank every column, and a column
    passes with two votes. Voters of your own may sit beside them (see `mmf.alpha_council.voters.Voter`).

    1. Linear: a Lasso whose penalty is chosen over time-ordered folds, ranked by the size of the coefficient of the
       standardised column; coefficients of zero come after, by ANOVA F. Where the Lasso keeps nothing, F ranks all.
    2. Forest: the mean decrease in impurity over a random forest.
    3. Mutual information: the nearest-neighbour estimate.

    Equal scores go by the higher F, then by the name. The result depends neither on the order of the columns nor on
    the number of threads.

    Parameters
    ----------
    voters : sequence of {"linear", "forest", "mutual"} or Voter
        Who votes.
    top_ratio : float
        Share of the columns that each voter votes for.
    min_votes : int
        Votes with which a column passes.
    max_features : int, optional
        Length of an elite list: of the columns that pass, those of the best mean rank; `always_keep` counts towards
        it and never loses its place.
    one_per_family : bool
        Whether of a base feature and its lags only the one of best mean rank passes; none where one of them is
        always kept.
    always_keep : sequence of str
        Columns that are selected whatever the votes.
    n_folds : int
        Time-ordered folds over which the Lasso's penalty is chosen.
    n_estimators : int
        Trees of the forest.
    max_depth : int, optional
        Depth of a tree; unlimited where not given.
    n_neighbors : int
        Neighbours of the mutual information estimate.
    seed : int
        Seed of the forest and of the noise that parts equal values.
    n_jobs : int, optional
        Threads; as many as there are processors where not given.

    Attributes
    ----------
    votes_ : pl.DataFrame
        One row for each column, best mean rank first: column, base, lag, score and rank of each voter
        (`linear_score`, `linear_rank`, `forest_*`, `mutual_*`), anova_f, mean_rank, count_votes, is_kept, is_selected.
        By feature and by lag: `mmf.alpha_council.families`.
    selected_ : tuple of str
        The columns selected, best mean rank first.
    columns_ : tuple of str
        All columns in the order of the fit.
    lasso_alpha_ : float or None
        The penalty chosen; None where "linear" does not vote.
    is_lasso_empty_ : bool
        Whether that penalty left every coefficient at zero.
    agreement_ : pl.DataFrame or None
        How far the votes hang on the seed, for nothing: trees are independent draws, so each half of them is a
        forest of another seed. The votes with one half against those with the other; see
        `mmf.alpha_council.agreement.agreement`. None without a forest of two trees.

    Notes
    -----
    Votes equal those of scikit-learn's `LassoCV` and `mutual_info_classif`, and differ from those of its
    `RandomForestClassifier` by no more than two such forests with different seeds differ.
    """

    def __init__(
        self,
        *,
        voters: Sequence[BuiltIn | Voter] = BUILT_IN,
        top_ratio: float = 0.5,
        min_votes: int = 2,
        max_features: int | None = None,
        one_per_family: bool = False,
        always_keep: Sequence[str] = PHYSICS_TRIO,
        n_folds: int = 5,
        n_estimators: int = 200,
        max_depth: int | None = None,
        n_neighbors: int = 3,
        seed: int = 0,
        n_jobs: int | None = None,
    ) -> None:
        self.voters = voters
        self.top_ratio = top_ratio
        self.min_votes = min_votes
        self.max_features = max_features
        self.one_per_family = one_per_family
        self.always_keep = always_keep
        self.n_folds = n_folds
        self.n_estimators = n_estimators
        self.max_depth = max_depth
        self.n_neighbors = n_neighbors
        self.seed = seed
        self.n_jobs = n_jobs

    def fit_rows(self, rows: TrainingRows, /) -> Self:
        """Vote on training rows, with folds purged by the time at which their labels are known.

        Parameters
        ----------
        rows : TrainingRows
            n rows without undefined values (see `mmf.impute.MedianImputer`).

        Raises
        ------
        LeakError
            The rows were not admitted to training.
        DataError
            A value is undefined, a column of `always_keep` is absent, or one class is.
        """
        if not isinstance(rows, TrainingRows):
            raise LeakError("the council may see training rows only. Use Split.training(rows).")
        if n_undefined := int(np.count_nonzero(~np.isfinite(rows.x))):
            raise DataError(f"{n_undefined} values to vote on are undefined. Impute first (mmf.impute.MedianImputer).")
        return self.fit(rows.x, rows.label, columns=rows.columns, folds=time_folds(rows, self.n_folds))

    def fit(
        self,
        X: np.ndarray,
        y: np.ndarray,
        *,
        columns: Sequence[str] | None = None,
        folds: Sequence[Fold] | None = None,
    ) -> Self:
        """Vote on rows in time order.

        Parameters
        ----------
        X : array or frame
            (n, p) finite numbers, cast to float32.
        y : array
            (n,) of two classes; the higher counts as 1.
        columns : sequence of str, optional
            Names of the columns of an array; x0, x1, ... where not given.
        folds : sequence of (train, valid), optional
            Row indices; `TimeSeriesSplit(n_folds)` where not given, which purges nothing: use `fit_rows` or pass
            folds where labels overlap.

        Raises
        ------
        CallError
            An option or the names of the columns are wrong.
        DataError
            A column of `always_keep` is absent, or there are not two classes.
        """
        self._check_options()
        X, y = validate_data(self, X, y, dtype=np.float32, ensure_min_samples=self.n_folds + 1)
        self.columns_ = tuple(str(name) for name in self._names(columns))
        self._check_always_kept()
        codes = _two_classes(y)
        # voters see the columns in the order of their names, so that the order given cannot matter
        order = np.argsort(np.array(self.columns_))
        ballot = Ballot(
            columns=tuple(self.columns_[j] for j in order),
            X=np.asfortranarray(X[:, order]),
            y=codes,
            folds=tuple(folds or TimeSeriesSplit(self.n_folds).split(X)),
            seed=self.seed,
            n_threads=joblib.cpu_count() if self.n_jobs is None else joblib.effective_n_jobs(self.n_jobs),
        )
        self._count_votes(ballot)
        self.selected_ = tuple(self.votes_.filter("is_selected")["column"])
        return self

    def get_feature_names_out(self, input_features: Sequence[str] | None = None) -> np.ndarray:
        """Return the names of the columns that `transform` keeps, in its order (that of the fit)."""
        check_is_fitted(self)
        if input_features is None:
            input_features = self.columns_
        return super().get_feature_names_out(input_features)

    def __sklearn_tags__(self) -> Tags:
        """Tell scikit-learn that a target is needed and has two classes."""
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        tags.classifier_tags = ClassifierTags(multi_class=False)
        return tags

    def _get_support_mask(self) -> np.ndarray:
        check_is_fitted(self)
        return np.isin(self.columns_, self.selected_)

    def _names(self, columns: Sequence[str] | None) -> Sequence[str]:
        names = getattr(self, "feature_names_in_", None)
        if names is None:
            names = [f"x{j}" for j in range(self.n_features_in_)] if columns is None else columns
        if len(set(names)) != self.n_features_in_ or len(names) != self.n_features_in_:
            raise CallError(
                f"{self.n_features_in_} columns came with {len(names)} names, {len(set(names))} of them different. "
                "Give each column one name of its own."
            )
        return names

    def _check_options(self) -> None:
        check_voters(self.voters, self.min_votes)
        if not 0 < self.top_ratio <= 1:
            raise CallError(f"top_ratio {self.top_ratio} is not a share. Use a number above 0, at most 1.")
        for name, least in _LEAST.items():
            value = getattr(self, name)
            if value is None and name in _MAY_BE_ABSENT:
                continue
            if not isinstance(value, Integral) or value < least:
                raise CallError(f"{name} {value!r} is not a whole number from {least} up.")
        if len(set(self.always_keep)) != len(self.always_keep):
            raise CallError(f"always_keep names a column twice: {', '.join(self.always_keep)}. Name each once.")
        if self.max_features is not None and self.max_features < len(self.always_keep):
            raise CallError(
                f"max_features {self.max_features} has no room for the {len(self.always_keep)} columns that are "
                "always kept. Raise it."
            )

    def _check_always_kept(self) -> None:
        if absent := [name for name in self.always_keep if name not in self.columns_]:
            raise DataError(
                f"column {absent[0]} is always kept, but is not among the {len(self.columns_)} columns given. "
                "Build it with `mmf features build --set core`, or change always_keep."
            )

    def _count_votes(self, ballot: Ballot) -> None:
        f = anova_f(ballot.standardised, ballot.y)
        self.lasso_alpha_, self.is_lasso_empty_, self.agreement_ = None, False, None
        trees = self._trees(ballot) if "forest" in self.voters else np.zeros((0, len(f)))
        scores = {name_of(voter): self._score(voter, ballot, trees) for voter in self.voters}
        self.votes_ = self._table(ballot, scores, f)
        if len(trees) > 1:
            halves = (
                self._table(ballot, scores | {"forest": mean_importance(half)}, f) for half in (trees[::2], trees[1::2])
            )
            self.agreement_ = agreement(*halves, top_ratio=self.top_ratio)

    def _score(self, voter: BuiltIn | Voter, ballot: Ballot, trees: np.ndarray) -> np.ndarray:
        match voter:
            case "linear":
                return self._linear(ballot)
            case "forest":
                return mean_importance(trees)
            case "mutual":
                return mutual_information(
                    ballot.X, ballot.y, n_neighbors=self.n_neighbors, seed=self.seed, n_threads=ballot.n_threads
                )
            case _:
                return score_of(voter, ballot)

    def _linear(self, ballot: Ballot) -> np.ndarray:
        coefficients, self.lasso_alpha_ = lasso(
            ballot.standardised, ballot.y, folds=ballot.folds, n_threads=ballot.n_threads
        )
        self.is_lasso_empty_ = not coefficients.any()
        if self.is_lasso_empty_:
            logger.info("the Lasso kept none of %d columns; its ranks are those of ANOVA F", len(coefficients))
        return np.abs(coefficients)

    def _trees(self, ballot: Ballot) -> np.ndarray:
        return tree_importances(
            ballot.X,
            ballot.y,
            n_estimators=self.n_estimators,
            max_depth=self.max_depth,
            seed=self.seed,
            n_threads=ballot.n_threads,
        )

    def _table(self, ballot: Ballot, scores: dict[str, np.ndarray], f: np.ndarray) -> pl.DataFrame:
        return votes_table(
            ballot.columns,
            scores,
            f,
            top_ratio=self.top_ratio,
            min_votes=self.min_votes,
            max_features=self.max_features,
            one_per_family=self.one_per_family,
            always_keep=self.always_keep,
        )


# ------------------------------------------------------------------------------------

_LEAST = {"max_features": 1, "n_folds": 2, "n_estimators": 1, "max_depth": 1, "n_neighbors": 1, "seed": 0}
_MAY_BE_ABSENT = ("max_features", "max_depth")


def _two_classes(y: np.ndarray) -> np.ndarray:
    classes, codes = np.unique(y, return_inverse=True)
    if len(classes) != 2:
        raise DataError(
            f"the labels hold {len(classes)} class{'es' if classes.size > 1 else ''}, where the council needs two. "
            "Check the hurdle of the labels and the days of the run."
        )
    return codes.astype(np.int64)
