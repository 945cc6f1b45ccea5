"""Tensor-Flex as a scikit-learn transformer."""

import logging
from collections.abc import Sequence
from dataclasses import replace
from numbers import Integral
from typing import Any, Literal, Self, TypeVar

import joblib
import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils import ClassifierTags, Tags
from sklearn.utils.validation import _check_feature_names_in, check_is_fitted, validate_data
from threadpoolctl import threadpool_limits

from mmf.errors import CallError, DataError, LeakError
from mmf.impute import MedianImputer
from mmf.rows import PHYSICS_TRIO, Rows, TrainingRows
from mmf.tensor_flex import tables
from mmf.tensor_flex.distil import distil
from mmf.tensor_flex.moments import moments
from mmf.tensor_flex.projection import location_and_spread, project, standardised
from mmf.tensor_flex.stability import stability, time_blocks
from mmf.threads import single_threaded

Mode = Literal["selected", "full_latents"]
AnyRows = TypeVar("AnyRows", bound=Rows)

logger = logging.getLogger(__name__)


class TensorFlex(TransformerMixin, BaseEstimator):
    """Distil many correlated columns into few latents.

    1. Columns are clustered by their correlation.
    2. Tensor Talk: each cluster is regressed on its most similar clusters, and a share of the prediction subtracted.
    3. The principal components of what is left of each cluster are the latents.
    4. Stability selection keeps the latents that lean the same way to the label in nearly every half of the folds.

    All four read one correlation matrix and the columns' products with the label by fold; rows are passed over once.
    Where no latent is stable, as on noise, `selected` gives the bypassed columns alone.

    Parameters
    ----------
    max_clusters : int
        Clusters at most.
    mode : {"selected", "full_latents"}
        What `transform` gives after the bypassed columns: stable latents or all of them. One fit serves both; set
        the mode at any time.
    bypass : sequence of str
        Columns that come first, unchanged, NaN included.
    merge_above : float
        Mean absolute correlation above which clusters are one, however few there are.
    n_neighbors : int
        Clusters that each is regressed on; 0 leaves out the talk.
    explained_variance : float
        Share of a cluster's variance at which no further component is taken.
    max_components : int
        Components of a cluster at most.
    n_folds : int
        Folds in time, of which every half votes on stability; an even number reads all rows alike.
    min_t : float
        Standard errors from zero beyond which a half selects a latent.
    min_stability : float
        Share of the halves that must select a latent, with the same sign.
    n_shifts : int
        Labels shifted in time, on which the latents that chance would keep are counted.
    n_jobs : int, optional
        Threads; as many as there are processors where not given.

    Attributes
    ----------
    columns_ : tuple of str
        All columns in the order of the fit.
    refined_columns_, constant_columns_ : tuple of str
        Columns distilled, in the order of their names, and those left out because they do not vary.
    median_, mean_, scale_ : np.ndarray
        (p,) of the refined columns; NaN becomes the median.
    weights_ : np.ndarray
        (p, q) float64: latents are standardised columns @ weights.
    clusters_, members_, latents_, loadings_, folds_ : pl.DataFrame
        What was done; see `mmf.tensor_flex.tables`.
    shifted_stable_ : np.ndarray
        (n_shifts,) count of latents that each shifted label would have kept.

    Notes
    -----
    The result does not depend on the order of the columns. On one machine it is the same to the last bit on any
    number of threads: BLAS is held to one thread and fed tiles of a fixed size, which also makes the latents of a
    row independent of the rows transformed beside it. Another BLAS, or another kind of processor, may round
    differently, and a latent whose stability lies on the threshold may then change sides.
    """

    def __init__(
        self,
        *,
        max_clusters: int = 64,
        mode: Mode = "selected",
        bypass: Sequence[str] = PHYSICS_TRIO,
        merge_above: float = 0.8,
        n_neighbors: int = 3,
        explained_variance: float = 0.9,
        max_components: int = 3,
        n_folds: int = 10,
        min_t: float = 1.0,
        min_stability: float = 0.75,
        n_shifts: int = 20,
        n_jobs: int | None = None,
    ) -> None:
        self.max_clusters = max_clusters
        self.mode = mode
        self.bypass = bypass
        self.merge_above = merge_above
        self.n_neighbors = n_neighbors
        self.explained_variance = explained_variance
        self.max_components = max_components
        self.n_folds = n_folds
        self.min_t = min_t
        self.min_stability = min_stability
        self.n_shifts = n_shifts
        self.n_jobs = n_jobs

    def fit_rows(self, rows: TrainingRows, /) -> Self:
        """Learn from training rows, with folds purged by the time at which their labels are known.

        Raises
        ------
        LeakError
            The rows were not admitted to training.
        CallError
            An option is wrong.
        DataError
            A column of `bypass` is absent, one class is, or a fold would be empty.
        """
        if not isinstance(rows, TrainingRows):
            raise LeakError("the refinery may see training rows only. Use Split.training(rows).")
        self._check_options()
        return self.fit(rows.x, rows.label, columns=rows.columns, folds=time_blocks(rows, self.n_folds))

    def fit(
        self,
        X: np.ndarray,
        y: np.ndarray,
        *,
        columns: Sequence[str] | None = None,
        folds: Sequence[np.ndarray] | None = None,
    ) -> Self:
        """Learn from rows in time order.

        Parameters
        ----------
        X : array or frame
            (n, p) numbers, NaN where undefined, cast to float32.
        y : array
            (n,) of two classes; the higher counts as 1.
        columns : sequence of str, optional
            Names of the columns of an array; x0, x1, ... where not given.
        folds : sequence of np.ndarray, optional
            Row indices of each of `n_folds` folds in time; equal parts where not given, which purges nothing: use
            `fit_rows` or pass folds where labels overlap.

        Raises
        ------
        CallError
            An option, the names of the columns or the number of folds are wrong.
        DataError
            A column of `bypass` is absent, or there are not two classes.
        """
        self._check_options()
        if folds is not None and len(folds) != self.n_folds:
            raise CallError(f"{len(folds)} folds came where n_folds says {self.n_folds}. Make them alike.")
        X, y = validate_data(
            self, X, y, dtype=np.float32, ensure_all_finite="allow-nan", ensure_min_samples=self.n_folds
        )
        self.columns_ = self._names(columns)
        codes = _two_classes(y)
        names = sorted(set(self.columns_) - set(self.bypass))
        x = np.asfortranarray(X[:, self._places(names)])
        n_threads = joblib.cpu_count() if self.n_jobs is None else joblib.effective_n_jobs(self.n_jobs)
        with threadpool_limits(1, "blas"):
            self._learn(names, x, codes, folds or np.array_split(np.arange(len(X)), self.n_folds), n_threads)
        logger.info(
            "%d of %d latents are stable; on labels shifted in time %.1f would be",
            self.latents_["is_stable"].sum(),
            self.latents_.height,
            self.shifted_stable_.mean() if self.n_shifts else np.nan,
        )
        return self

    def transform(self, X: np.ndarray) -> np.ndarray:
        """Return (n, columns) float32: bypassed columns, then latents, of rows that need not have been seen.

        Parameters
        ----------
        X : array or frame
            (n, p) columns in the order of the fit.
        """
        check_is_fitted(self)
        self._check_mode(self.mode)
        X = validate_data(self, X, dtype=np.float32, ensure_all_finite="allow-nan", reset=False)
        return self._refine(X, self.mode)

    def transform_rows(self, rows: AnyRows, /, *, mode: Mode | None = None) -> AnyRows:
        """Return rows of the same kind with bypassed columns and latents in place of their columns.

        Parameters
        ----------
        rows : Rows
            Holding all columns of the fit, by name.
        mode : {"selected", "full_latents"}, optional
            The estimator's own where not given.

        Raises
        ------
        DataError
            A column is absent.
        """
        check_is_fitted(self)
        mode = self._check_mode(mode or self.mode)
        return replace(rows, x=self._refine(rows.matrix(self.columns_), mode), columns=self.names(mode))

    def names(self, mode: Mode, /) -> tuple[str, ...]:
        """Return the names of the columns that a mode gives: those bypassed, then `latent_<cluster>_<component>`."""
        check_is_fitted(self)
        kept = self.latents_ if self._check_mode(mode) == "full_latents" else self.latents_.filter("is_stable")
        return (*self.bypass, *kept["latent"])

    def get_feature_names_out(self, input_features: Sequence[str] | None = None) -> np.ndarray:
        """Return the names of the columns that `transform` gives."""
        check_is_fitted(self)
        _check_feature_names_in(self, input_features)
        return np.array(self.names(self.mode), dtype=object)

    def report(self) -> dict[str, Any]:
        """Return what was done as JSON types; see `mmf.tensor_flex.tables.report`."""
        check_is_fitted(self)
        return tables.report({name: getattr(self, f"{name}_") for name in tables.TABLES}, self.shifted_stable_)

    def __sklearn_tags__(self) -> Tags:
        """Tell scikit-learn that a target of two classes is needed and that NaN is welcome."""
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.target_tags.required = True
        tags.classifier_tags = ClassifierTags(multi_class=False)
        tags.transformer_tags.preserves_dtype = ["float32"]
        return tags

    def _learn(
        self, names: Sequence[str], x: np.ndarray, codes: np.ndarray, folds: Sequence[np.ndarray], n_threads: int
    ) -> None:
        imputer = MedianImputer().fit(x) if names else None
        x = np.asfortranarray(imputer.transform(x)) if imputer else x
        mean, std = location_and_spread(x)
        varies = std > 0
        self.refined_columns_ = tuple(np.array(names, dtype=object)[varies])
        self.constant_columns_ = tuple(np.array(names, dtype=object)[~varies])
        self.median_ = imputer.median_[varies] if imputer else np.zeros(0, np.float32)
        self.mean_, self.scale_ = mean[varies], std[varies]
        Z = standardised(x[:, varies], self.mean_, self.scale_)
        known = moments(Z, codes, folds=folds, n_shifts=self.n_shifts, n_threads=n_threads)
        distilled = distil(
            known.correlation,
            known.label,
            max_clusters=self.max_clusters,
            merge_above=self.merge_above,
            n_neighbors=self.n_neighbors,
            explained_variance=self.explained_variance,
            max_components=self.max_components,
        )
        self.weights_ = np.ascontiguousarray(distilled.weights)  # BLAS rounds by the order of memory
        stable, *shifted = (stability(of_folds @ self.weights_, min_t=self.min_t) for of_folds in known.folds)
        self.shifted_stable_ = np.array([(share >= self.min_stability).sum() for share in shifted], np.int64)
        self.latents_ = tables.latents_table(distilled, known, stable, min_stability=self.min_stability)
        self.members_ = tables.members_table(self.refined_columns_, distilled, known)
        self.clusters_ = tables.clusters_table(self.refined_columns_, distilled, known, stable >= self.min_stability)
        self.loadings_ = tables.loadings_table(self.refined_columns_, distilled, known)
        self.folds_ = tables.folds_table(distilled, known)

    def _refine(self, X: np.ndarray, mode: Mode) -> np.ndarray:
        x = X[:, self._places(self.refined_columns_)]
        with single_threaded("blas"):
            latents = project(x, self.weights_, median=self.median_, mean=self.mean_, scale=self.scale_)
        is_kept = np.ones(latents.shape[1], bool) if mode == "full_latents" else self.latents_["is_stable"].to_numpy()
        return np.hstack([X[:, self._places(self.bypass)], latents[:, is_kept]], dtype=np.float32)

    def _places(self, names: Sequence[str]) -> list[int]:
        place = {name: j for j, name in enumerate(self.columns_)}
        return [place[name] for name in names]

    def _names(self, columns: Sequence[str] | None) -> tuple[str, ...]:
        names = getattr(self, "feature_names_in_", None)
        if names is None:
            names = [f"x{j}" for j in range(self.n_features_in_)] if columns is None else columns
        names = tuple(str(name) for name in names)
        if len(set(names)) != self.n_features_in_ or len(names) != self.n_features_in_:
            raise CallError(
                f"{self.n_features_in_} columns came with {len(names)} names, {len(set(names))} of them different. "
                "Give each column one name of its own."
            )
        if absent := [name for name in self.bypass if name not in names]:
            raise DataError(
                f"column {absent[0]} bypasses the refinery, but is not among the {len(names)} columns given. "
                "Build it with `mmf features build --set core`, or change bypass."
            )
        return names

    def _check_options(self) -> None:
        self._check_mode(self.mode)
        for name, least, most in _LIMITS:
            if not least <= getattr(self, name) <= most:
                raise CallError(f"{name} {getattr(self, name)} is not between {least} and {most}.")
            if name in _WHOLE and not isinstance(getattr(self, name), Integral):
                raise CallError(f"{name} {getattr(self, name)} is not a whole number.")
        if len(set(self.bypass)) != len(self.bypass):
            raise CallError(f"bypass names a column twice: {', '.join(self.bypass)}. Name each once.")

    @staticmethod
    def _check_mode(mode: str) -> Mode:
        match mode:
            case "selected" | "full_latents":
                return mode
            case _:
                raise CallError(f"mode {mode!r} is unknown. Use selected or full_latents.")


# ------------------------------------------------------------------------------------

_LIMITS = (
    ("max_clusters", 1, 1_000),
    ("merge_above", 0, 1),
    ("n_neighbors", 0, 1_000),
    ("explained_variance", 0, 1),
    ("max_components", 1, 1_000),
    ("n_folds", 4, 14),  # 3,432 halves of 14 folds
    ("min_t", 0, 100),
    ("min_stability", 0, 1),
    ("n_shifts", 0, 1_000),
)
_WHOLE = ("max_clusters", "n_neighbors", "max_components", "n_folds", "n_shifts")


def _two_classes(y: np.ndarray) -> np.ndarray:
    classes, codes = np.unique(y, return_inverse=True)
    if len(classes) != 2:
        raise DataError(
            f"the labels hold {len(classes)} class{'es' if classes.size > 1 else ''}, where the refinery needs two. "
            "Check the hurdle of the labels and the days of the run."
        )
    return codes.astype(np.float64)
