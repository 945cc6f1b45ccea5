"""The Money Machine Trader: a mixture of experts fitted out of fold."""

import re
from collections.abc import Callable, Mapping
from typing import Any, Self

import numpy as np
import polars as pl
from sklearn.base import clone

from mmf.calibration import PlattCalibration
from mmf.errors import CallError, DataError
from mmf.experts.protocol import Expert
from mmf.gate import GatingNetwork
from mmf.impute import MedianImputer
from mmf.rows import PHYSICS_TRIO, Rows, TrainingRows
from mmf.scheduler import Effort
from mmf.splits import out_of_fold_cut

Progress = Callable[[str, float], None]


class MoneyMachineTrader:
    """Experts weighted row by row by a gating network, and calibrated.

    `fit` runs one out-of-fold scheme, in time:

    1. Cut the training rows into A (the first 60 %) and B (the rest), purged by the label horizon.
    2. Fit the imputation and every expert on A; let them predict B.
    3. Fit the gate on B by the log-loss of the mixture of those predictions.
    4. Fit Platt's two calibration parameters on B.
    5. Fit the imputation and every expert again, on all training rows.

    Shuffled folds would not do: labels overlap, so a shuffled fold leaves each row's neighbours, and
    with them its label, in the other folds.

    Parameters
    ----------
    experts : mapping of str to Expert
        Unfitted experts by name; copies of them are fitted.
    gate : GatingNetwork
        Unfitted gate; a copy of it is fitted.
    seed : int
        Set as `seed` on every copy that has such a parameter.

    Attributes
    ----------
    columns_ : tuple of str
        Feature columns, in the order of the fit.
    imputer_ : MedianImputer
        Medians of all training rows.
    experts_ : dict of str to Expert
        Experts fitted on all training rows.
    gate_ : GatingNetwork
        Gate fitted on B.
    calibration_ : PlattCalibration
        Calibration fitted on B.
    oof_ : pl.DataFrame
        What `predict` returns, and `label`, for the rows of B by experts fitted on A. The experts
        have not seen these rows; the gate and the two calibration parameters were fitted on them.
    """

    def __init__(self, *, experts: Mapping[str, Expert], gate: GatingNetwork, seed: int = 0) -> None:
        for name in experts:
            if not re.fullmatch(r"[a-z][a-z0-9_]{0,31}", name):
                raise CallError(f"expert name {name!r} is not a name: use lower-case letters, digits and _.")
        if not experts:
            raise CallError("a trader needs at least one expert. See mmf.experts.registry.build_experts.")
        self.experts = experts
        self.gate = gate
        self.seed = seed

    def fit(self, rows: TrainingRows, /, *, effort: Effort, progress: Progress | None = None) -> Self:
        """Fit experts, gate and calibration.

        Parameters
        ----------
        rows : TrainingRows
            With the columns hurst_200, entropy_200 and fdi_200 among others; NaN is imputed.
        effort : Effort
            Estimators for the experts, epochs for the gate.
        progress : callable, optional
            Called with what begins and the share of the fit that is done, at last with 1.0.

        Raises
        ------
        CallError
            `rows` are not TrainingRows.
        DataError
            One of the trio is not among the columns, or a part of the rows holds one label only.
        """
        _check_training(rows)
        early, late = out_of_fold_cut(rows)
        _check_labels(early, "the earlier part")
        _check_labels(late, "the later part")
        steps = _Steps(progress, 2 * len(self.experts) + 1)

        imputer = MedianImputer().fit_rows(early)
        experts = self._fitted(_filled(imputer, early.x), early.label, effort, steps, "out of fold")
        opinions = _opinions(experts, _filled(imputer, late.x))
        steps.begin("gate")
        self.gate_ = self._fresh(self.gate).fit(
            late.matrix(PHYSICS_TRIO), _stacked(opinions), late.label, effort=effort
        )
        weights = self.gate_.weights(late.matrix(PHYSICS_TRIO))
        self.calibration_ = PlattCalibration.fit(_mixture(opinions, weights), late.label)
        label = pl.Series("label", late.label)
        self.oof_ = self._frame(late, opinions, weights).insert_column(1, label)

        self.columns_ = rows.columns
        self.imputer_ = MedianImputer().fit_rows(rows)
        self.experts_ = self._fitted(_filled(self.imputer_, rows.x), rows.label, effort, steps, "all rows")
        steps.begin("done")
        return self

    def predict(self, rows: Rows, /) -> pl.DataFrame:
        """Predict each row by itself.

        Returns
        -------
        pl.DataFrame
            One row for each of `rows`: open_time (Datetime ms, UTC), probability (calibrated
            mixture), then `<expert>_probability` for each expert (as it gave it), then
            `<expert>_weight` for each (the gate's, summing to 1).

        Raises
        ------
        DataError
            There are no rows, or a column that the trader was fitted on is absent.
        """
        if len(rows) == 0:
            raise DataError("there are no rows to predict. Take bars beyond the warm-up of the features.")
        opinions = _opinions(self.experts_, _filled(self.imputer_, rows.matrix(self.columns_)))
        return self._frame(rows, opinions, self._weights(rows))

    def telemetry(self, rows: Rows, /) -> dict[str, float]:
        """Return `share_<expert>`: the mean weight of each expert over the rows."""
        means = self._weights(rows).mean(axis=0)
        return {f"share_{name}": float(mean) for name, mean in zip(self.experts_, means, strict=True)}

    def vital_signs(self) -> dict[str, int]:
        """Return how much has been learned, by part; `total` sums the parts, `neural_params` are within it."""
        gate = self.gate_.n_parameters()
        parts = {"gating_network_params": gate}
        for expert in self.experts_.values():
            parts[expert.vital_sign] = parts.get(expert.vital_sign, 0) + expert.n_parameters()
        return parts | {"total": sum(parts.values()), "neural_params": gate}

    @property
    def collapsed_on_(self) -> str | None:
        """The expert to which the gate gives nearly all the weight, if there is one."""
        place = self.gate_.collapsed_on_
        return None if place is None else list(self.experts_)[place]

    def _fresh(self, estimator: Any) -> Any:
        copy = clone(estimator)
        return copy.set_params(seed=self.seed) if "seed" in copy.get_params() else copy

    def _fitted(self, X: np.ndarray, y: np.ndarray, effort: Effort, steps: "_Steps", what: str) -> dict[str, Expert]:
        fitted = {}
        for name, expert in self.experts.items():
            steps.begin(f"{name} expert, {what}")
            fitted[name] = self._fresh(expert).fit(X, y, effort=effort)
        return fitted

    def _weights(self, rows: Rows) -> np.ndarray:
        return self.gate_.weights(rows.matrix(PHYSICS_TRIO))

    def _frame(self, rows: Rows, opinions: dict[str, np.ndarray], weights: np.ndarray) -> pl.DataFrame:
        open_time = pl.Series(rows.open_time_ms, dtype=pl.Int64).cast(pl.Datetime("ms", "UTC"))
        columns = {
            "open_time": open_time,
            "probability": self.calibration_.apply(_mixture(opinions, weights)),
        }
        columns |= {f"{name}_probability": opinion for name, opinion in opinions.items()}
        columns |= {f"{name}_weight": weights[:, i] for i, name in enumerate(opinions)}
        return pl.DataFrame(columns)


# ------------------------------------------------------------------------------------


class _Steps:
    """Tells a listener what begins, and how much is done."""

    def __init__(self, listener: Progress | None, count: int) -> None:
        self._listener, self._count, self._begun = listener, count, 0

    def begin(self, what: str) -> None:
        if self._listener is not None:
            self._listener(what, self._begun / self._count)
        self._begun += 1


def _check_training(rows: TrainingRows) -> None:
    if not isinstance(rows, TrainingRows):
        raise CallError(f"a trader is fitted on TrainingRows, got {type(rows).__name__}. Use TrainingRows.of.")
    if absent := [name for name in PHYSICS_TRIO if name not in rows.columns]:
        raise DataError(
            f"the gate needs {', '.join(PHYSICS_TRIO)}; {', '.join(absent)} not among the {len(rows.columns)} "
            "columns of the training rows, run: mmf features build"
        )


def _check_labels(rows: TrainingRows, part: str) -> None:
    n_ones = int(rows.label.sum())
    if n_ones in (0, len(rows)):
        raise DataError(
            f"{part} of the training rows holds {n_ones} rows of label 1 among {len(rows)}; both labels are "
            "needed. Take more history or another hurdle."
        )


def _filled(imputer: MedianImputer, x: np.ndarray) -> np.ndarray:
    # always in C order: sums over the same numbers laid out otherwise differ in the last bits
    return np.ascontiguousarray(imputer.transform(x))


def _opinions(experts: Mapping[str, Expert], X: np.ndarray) -> dict[str, np.ndarray]:
    return {name: expert.predict_proba(X) for name, expert in experts.items()}


def _stacked(opinions: dict[str, np.ndarray]) -> np.ndarray:
    return np.column_stack(list(opinions.values()))


def _mixture(opinions: dict[str, np.ndarray], weights: np.ndarray) -> np.ndarray:
    return (_stacked(opinions) * weights).sum(axis=1)
