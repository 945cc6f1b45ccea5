"""Trend expert: gradient boosting over shallow trees."""

from typing import ClassVar, Self

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.ensemble import HistGradientBoostingClassifier
from threadpoolctl import threadpool_limits

from mmf.scheduler import Effort


class TrendExpert(BaseEstimator):
    """Histogram gradient boosting, kept shallow because the labels overlap.

    Neighbouring rows share most of their horizon, so n rows hold about n / horizon outcomes. Leaves
    of 200 rows are some five outcomes of 36 bars, and no rows are held out for early stopping: a
    random holdout would contain the neighbours of the rows trained on.

    Parameters
    ----------
    learning_rate : float
        Shrinkage of each tree.
    max_leaf_nodes, min_samples_leaf : int
        Size of a tree.
    max_features : float
        Share of the columns that a split chooses from; most columns are near copies of others.
    l2_regularization : float
        Penalty on leaf values.
    seed : int
        Draws the columns of each split.

    Attributes
    ----------
    boosting_ : HistGradientBoostingClassifier
        The ensemble of `effort.n_estimators` trees.

    Notes
    -----
    Fits on one thread: the same on every machine, and OpenMP's spinning threads are up to 20 times
    slower than one where the cores are shared.
    """

    name: ClassVar[str] = "trend"
    vital_sign: ClassVar[str] = "trend_expert_nodes"

    def __init__(
        self,
        *,
        learning_rate: float = 0.05,
        max_leaf_nodes: int = 15,
        min_samples_leaf: int = 200,
        max_features: float = 0.3,
        l2_regularization: float = 1.0,
        seed: int = 0,
    ) -> None:
        self.learning_rate = learning_rate
        self.max_leaf_nodes = max_leaf_nodes
        self.min_samples_leaf = min_samples_leaf
        self.max_features = max_features
        self.l2_regularization = l2_regularization
        self.seed = seed

    def fit(self, X: np.ndarray, y: np.ndarray, *, effort: Effort) -> Self:
        """Grow `effort.n_estimators` trees on (n, p) features and (n,) labels 0.0 or 1.0."""
        boosting = HistGradientBoostingClassifier(
            max_iter=effort.n_estimators,
            learning_rate=self.learning_rate,
            max_leaf_nodes=self.max_leaf_nodes,
            min_samples_leaf=self.min_samples_leaf,
            max_features=self.max_features,
            l2_regularization=self.l2_regularization,
            early_stopping=False,
            random_state=self.seed,
        )
        with threadpool_limits(1):
            self.boosting_ = boosting.fit(X, y)
        return self

    def predict_proba(self, X: np.ndarray) -> np.ndarray:
        """Return (n,) float64 probabilities of label 1."""
        with threadpool_limits(1):
            return self.boosting_.predict_proba(X)[:, 1]

    def n_parameters(self) -> int:
        """Count the nodes of all trees, leaves included."""
        # scikit-learn has no public way to the trees of this estimator
        trees = (tree for group in self.boosting_._predictors for tree in group)  # noqa: SLF001
        return sum(len(tree.nodes) for tree in trees)
