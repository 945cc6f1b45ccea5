"""Trend expert: gradient boosting over shallow trees, joined with GraphVisionary."""

from dataclasses import replace
from typing import ClassVar, Self

import numpy as np
from sklearn.base import BaseEstimator, clone
from sklearn.ensemble import HistGradientBoostingClassifier
from threadpoolctl import threadpool_limits

from mmf.experts.graph_visionary import GraphVisionary
from mmf.experts.head import LogisticHead, logits_of
from mmf.experts.layout import Layout
from mmf.experts.protocol import ALONE, EpochRecord, Session, View
from mmf.scheduler import Effort
from mmf.threads import single_threaded


class TrendExpert(BaseEstimator):
    """Histogram gradient boosting, kept shallow because the labels overlap, beside GraphVisionary.

    Neighbouring rows share most of their horizon, so n rows hold about n / horizon outcomes. Leaves
    of 200 rows are some five outcomes of 36 bars, and no rows are held out for early stopping: a
    random holdout would contain the neighbours of the rows trained on.

    Boosting sees each row by itself, GraphVisionary the 15 bars before it too. A logistic head joins
    their logits; until the trader fits it, together with its gate, it averages them.

    Parameters
    ----------
    graph : GraphVisionary or None
        Unfitted; a copy of it is fitted. None: boosting alone.
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
    graph_ : GraphVisionary or None
        Fitted on the panel of all symbols.
    head_ : LogisticHead
        Equal weights after `fit`.

    Notes
    -----
    Boosting fits on one thread: the same on every machine, and OpenMP's spinning threads are up to 20
    times slower than one where the cores are shared.
    """

    name: ClassVar[str] = "trend"
    reads: ClassVar[View] = "selected"

    def __init__(
        self,
        *,
        graph: GraphVisionary | None = None,
        learning_rate: float = 0.05,
        max_leaf_nodes: int = 15,
        min_samples_leaf: int = 200,
        max_features: float = 0.3,
        l2_regularization: float = 1.0,
        seed: int = 0,
    ) -> None:
        self.graph = graph
        self.learning_rate = learning_rate
        self.max_leaf_nodes = max_leaf_nodes
        self.min_samples_leaf = min_samples_leaf
        self.max_features = max_features
        self.l2_regularization = l2_regularization
        self.seed = seed

    @property
    def context_bars(self) -> int:
        """Bars before its own that an answer reads: 15 with GraphVisionary, none without."""
        return 0 if self.graph is None else self.graph.context_bars

    @property
    def history_(self) -> tuple[EpochRecord, ...]:
        """One record an epoch of GraphVisionary."""
        return () if self.graph_ is None else self.graph_.history_

    @property
    def part_names(self) -> tuple[str, ...]:
        """The models in the order of the columns of `parts`."""
        return ("boosting",) if self.graph is None else ("boosting", self.graph.name)

    def fit(
        self,
        X: np.ndarray,
        y: np.ndarray,
        *,
        effort: Effort,
        session: Session = ALONE,
        layout: Layout | None = None,
    ) -> Self:
        """Grow `effort.n_estimators` trees on the labelled rows, and train GraphVisionary.

        Boosting takes all labelled rows, those of early stopping and before it too.

        Parameters
        ----------
        X, y : np.ndarray
            (n, p) features and (n,) labels 0.0, 1.0, or NaN for context.
        effort : Effort
            Trees, and epochs at most.
        session : Session
            Of GraphVisionary.
        layout : Layout, optional
            Which rows GraphVisionary sees beside each other; without it all are of one symbol.
        """
        known = ~np.isnan(y)
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
            self.boosting_ = boosting.fit(X[known], y[known])
        self.graph_ = self._fit_graph(X, y, effort, session, layout or Layout.single(len(X)))
        self.head_ = LogisticHead.equal(len(self.part_names))
        return self

    def parts(self, X: np.ndarray, /, *, layout: Layout | None = None) -> np.ndarray:
        """Return (n, parts) float64 logits: of boosting, then of GraphVisionary, where there is one.

        Rows are consecutive; the first 15 lack bars that GraphVisionary reads.
        """
        with single_threaded():
            told = [self.boosting_.predict_proba(X)[:, 1]]
        if self.graph_ is not None:
            lies = layout or Layout.single(len(X))
            told.append(lies.rows(self.graph_.predict_proba(lies.panel(X, empty=0.0), present=lies.present)))
        return logits_of(np.column_stack(told))

    def predict_proba(self, X: np.ndarray, /, *, layout: Layout | None = None) -> np.ndarray:
        """Return (n,) float64 probabilities of label 1, the parts joined by the head."""
        return self.head_.probability(self.parts(X, layout=layout))

    def vital_signs(self) -> dict[str, int]:
        """Count the nodes of all trees, leaves included, and the parameters of graph and head."""
        # scikit-learn has no public way to the trees of this estimator
        trees = (tree for group in self.boosting_._predictors for tree in group)  # noqa: SLF001
        signs = {"trend_expert_nodes": sum(len(tree.nodes) for tree in trees)}
        if self.graph_ is not None:
            signs |= self.graph_.vital_signs() | {"trend_head_params": len(self.head_.weights) + 1}
        return signs

    def _fit_graph(
        self, X: np.ndarray, y: np.ndarray, effort: Effort, session: Session, layout: Layout
    ) -> GraphVisionary | None:
        if self.graph is None:
            return None
        stop_on, purged = (
            None if rows is None else layout.panel(rows, empty=False) for rows in (session.stop_on, session.purged)
        )
        return clone(self.graph).fit(
            layout.panel(X, empty=0.0),
            layout.panel(y, empty=np.nan),
            present=layout.present,
            effort=effort,
            session=replace(session, stop_on=stop_on, purged=purged),
        )
