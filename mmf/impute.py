"""Fill undefined features with the medians of training rows."""

from typing import Self

import numpy as np
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from mmf.errors import LeakError
from mmf.rows import TrainingRows


class MedianImputer(OneToOneFeatureMixin, TransformerMixin, BaseEstimator):
    """Replace NaN by the column's median over the rows of the fit.

    Attributes
    ----------
    median_ : np.ndarray
        (p,) in the dtype of the fit; 0 for a column without any number.
    empty_columns_ : tuple of str
        Names of those columns (x0, x1, ... where the fit was given no names).

    Examples
    --------
    >>> imputer = MedianImputer().fit(np.array([[1.0, 5.0], [np.nan, 7.0], [3.0, 6.0]]))
    >>> imputer.transform(np.array([[np.nan, np.nan]]))
    array([[2., 6.]])
    """

    def fit(self, X: np.ndarray, y: object = None, *, columns: tuple[str, ...] | None = None) -> Self:  # noqa: ARG002
        """Learn the medians.

        Parameters
        ----------
        X : array or frame
            (n, p) numbers, NaN where undefined; infinities are refused.
        y : object
            Ignored; scikit-learn passes it.
        columns : tuple of str, optional
            Names of the columns of an array.
        """
        X = validate_data(self, X, dtype=(np.float32, np.float64), ensure_all_finite="allow-nan")
        n_numbers = (~np.isnan(X)).sum(axis=0)
        names = self.get_feature_names_out(columns)
        # numpy's nanmedian is no faster and warns of columns without numbers
        self.median_ = np.array([_median(column) for column in X.T], dtype=X.dtype)
        self.empty_columns_ = tuple(str(name) for name in names[n_numbers == 0])
        return self

    def fit_rows(self, rows: TrainingRows, /) -> Self:
        """Learn the medians of training rows.

        Raises
        ------
        LeakError
            The rows were not admitted to training.
        """
        if not isinstance(rows, TrainingRows):
            raise LeakError("medians may be learnt from training rows only. Use Split.training(rows).")
        return self.fit(rows.x, columns=rows.columns)

    def transform(self, X: np.ndarray, /) -> np.ndarray:
        """Return X with each NaN replaced, (n, p) of the same dtype."""
        check_is_fitted(self)
        X = validate_data(self, X, dtype=(np.float32, np.float64), ensure_all_finite="allow-nan", reset=False)
        return np.where(np.isnan(X), self.median_.astype(X.dtype), X)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


# ------------------------------------------------------------------------------------


def _median(column: np.ndarray) -> float:
    numbers = column[~np.isnan(column)]
    return float(np.median(numbers)) if len(numbers) else 0.0
