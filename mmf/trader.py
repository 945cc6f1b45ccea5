"""The Money Machine Trader: a mixture of experts fitted out of fold."""

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import polars as pl
from sklearn.base import clone

from mmf.calibration import PlattCalibration
from mmf.errors import CallError, DataError
from mmf.experts.fits import FitFolder, identity_of
from mmf.experts.fitting import EARLY, WHOLE, Fitted, fit_experts
from mmf.experts.neural import choose_device
from mmf.experts.protocol import EpochRecord, Expert, JoinedExpert, View
from mmf.experts.scheme import EarlyView, Seen, out_of_fold_scheme, stored_rows
from mmf.experts.stretch import Opinion, Stretch, opinion, padded, places_of, with_history
from mmf.experts.trend import TrendExpert
from mmf.gate import GatingNetwork
from mmf.impute import MedianImputer
from mmf.rows import PHYSICS_TRIO, Rows, TrainingRows, symbol_columns
from mmf.scheduler import Effort

Progress = Callable[[str, float], None]

EXPERTS_SHARE = 0.99  # of the time that a fit takes; the rest is the gate's


class MoneyMachineTrader:
    """Experts weighted row by row by a gating network, and calibrated.

    `fit` runs one out-of-fold scheme, in time:

    1. Cut the training rows into A (the first 60 %) and B (the rest), purged by the label horizon.
    2. Fit the imputation and every expert on A; let them predict B. A neural fit stops early on the
       last 10 % of A, purged, and does not train on them. They read columns that were chosen and
       distilled on A too (`EarlyView`): chosen on A and B, columns of pure noise rank B at an AUC
       of 0.55.
    3. Fit the gate, and the heads of experts made of several models, on B by the log-loss of the
       mixture of those predictions.
    4. Fit Platt's two calibration parameters on B.
    5. Fit the imputation and every expert again, on all training rows, neural ones for the number of
       epochs found on A.

    Shuffled folds would not do: labels overlap, so a shuffled fold leaves each row's neighbours, and
    with them its label, in the other folds.

    Several symbols make one model: every expert reads beside its columns which symbol a row is of, networks follow
    each symbol's own bars, GraphVisionary sees the symbols of an instant beside each other, and cuts go by time, so
    that no symbol's label reaches into what another is asked about. The gate reads the trio alone.

    Parameters
    ----------
    experts : mapping of str to Expert
        Unfitted experts by name; copies of them are fitted.
    gate : GatingNetwork
        Unfitted gate; a copy of it is fitted.
    seed : int
        Set as `seed` on every copy that has such a parameter, and on the models within it.

    Attributes
    ----------
    symbols_ : tuple of str
        Symbols of the rows fitted on.
    views_ : dict of str to tuple of str
        Columns of each view, as `fit` was given them, and those that tell several symbols apart.
    columns_ : tuple of str
        All columns that are read: those of the views, and the trio.
    absent_ : dict of str to str
        Why an expert, or the graph within the trend expert, was left out.
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
        have not seen these rows; gate, heads and the two calibration parameters were fitted on them.
    epochs_ : pl.DataFrame
        Epochs that the neural fits have run: expert, fit ("out of fold" or "all rows"), epoch,
        n_updates, loss, validation_loss.
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

    def fit(
        self,
        rows: TrainingRows,
        /,
        *,
        effort: Effort,
        history: Rows | None = None,
        views: Mapping[View, tuple[str, ...]] | None = None,
        early: EarlyView | None = None,
        folder: Path | None = None,
        n_threads: int = 2,
        progress: Progress = lambda *_: None,
    ) -> Self:
        """Fit experts, gate and calibration.

        Parameters
        ----------
        rows : TrainingRows
            With the columns of the views, and hurst_200, entropy_200 and fdi_200; NaN is imputed.
        effort : Effort
            Estimators and epochs for the experts, epochs for the gate.
        history : Rows, optional
            All stored rows of the symbols, in which the training rows are found by open_time. Rows between them, and
            before them, are read as context by the experts that look back; labels are never looked at, and rows
            after the last training row neither. Needed where an expert looks back.
        views : mapping of {"selected", "latents"} to tuple of str, optional
            Columns of the classic experts, and all latents. By default all columns of the rows are `selected`. Without
            latents (no refinery) the CNN and GraphVisionary are left out: see `absent_`.
        early : EarlyView, optional
            The same rows through columns that were chosen on A alone: what the first fits read. Without it they read
            the columns of `rows`; where those were chosen by the labels of B too, the predictions of B look better than
            they are.
        folder : Path, optional
            Where finished fits, and unfinished ones after each epoch, are kept, so that an interrupted call that is
            repeated goes on where it was; the result is the same to the last bit. It is of use until the model is
            stored; remove it then.
        n_threads : int
            Experts fitted at a time, each on one thread. Changes no result.
        progress : callable, optional
            Called, by one thread at a time, with what begins or is done and the share of the fit that is done, at
            last with 1.0.

        Raises
        ------
        CallError
            `rows` are not TrainingRows, or `history` is absent or does not hold them.
        DataError
            One of the trio is not among the columns, or a part of the rows holds one label only.
        """
        _check_training(rows)
        self.symbols_ = rows.symbols
        self.views_ = _told_apart(views if views is not None else {"selected": rows.columns}, rows.symbols)
        experts, self.absent_ = _in_use(self.experts, self.views_)
        experts = {name: self._fresh(expert) for name, expert in experts.items()}
        self.columns_ = tuple(dict.fromkeys([*(c for view in self.views_.values() for c in view), *PHYSICS_TRIO]))
        rows = rows.with_symbol_columns().select(self.columns_)
        history = None if history is None else history.among(rows.symbols).with_symbol_columns()
        needs_history = any(expert.context_bars for expert in experts.values())
        seen = Seen(rows, stored_rows(rows, history, needs_history=needs_history))
        first = seen if early is None else early.seen(rows, needs_history=needs_history)
        self.imputer_ = MedianImputer().fit_rows(rows)
        scheme, late = out_of_fold_scheme(seen, first, self.imputer_)
        columns = {
            fit: {name: views[expert.reads] for name, expert in experts.items()}
            for fit, views in (
                (EARLY, self.views_ if early is None else _told_apart(early.views, rows.symbols)),
                (WHOLE, self.views_),
            )
        }
        read = (part for one in (first, seen) for part in (one.rows, one.stored))
        identity = identity_of(experts, columns, read, effort=effort, device=str(choose_device()))
        fitted = fit_experts(
            experts,
            columns,
            scheme,
            effort=effort,
            folder=FitFolder(folder, identity),
            n_threads=n_threads,
            progress=lambda what, share: progress(what, EXPERTS_SHARE * share),
        )
        self.epochs_ = _epochs(fitted)
        self.experts_ = {name: found.expert for name, found in fitted.items()}
        progress("gate", EXPERTS_SHARE)
        self._fit_gate(late, {name: found.opinion for name, found in fitted.items()}, effort)
        progress("done", 1.0)
        return self

    def predict(self, rows: Rows, /, *, history: Rows | None = None) -> pl.DataFrame:
        """Predict rows in time order.

        Parameters
        ----------
        rows : Rows
            At least the columns that the trader was fitted on. A trader of several symbols is asked about some of them;
            GraphVisionary listens to those that have a row at the same time.
        history : Rows, optional
            Consecutive stored rows of the symbols up to the last of `rows`, among which these may be. Experts that look
            back read them; without it, `rows` are taken as consecutive and nothing is known before the first.

        Returns
        -------
        pl.DataFrame
            One row for each of `rows`: open_time (Datetime ms, UTC), symbol where the trader knows
            several, probability (calibrated mixture), is_padded (whether an expert read zeros in
            place of bars before the history),
            `<expert>_probability` for each expert (as it gave it), `<model>_probability` for each
            model that is joined within one, then `<expert>_weight` for each expert (the gate's,
            summing to 1).

        Raises
        ------
        DataError
            There are no rows, a column that the trader was fitted on is absent, or it was not fitted on one of the
            symbols.
        """
        if len(rows) == 0:
            raise DataError("there are no rows to predict. Take bars beyond the warm-up of the features.")
        rows, history = self._placed(rows), None if history is None else self._placed(history)
        rows = rows.select(self.columns_)
        reach = max(expert.context_bars for expert in self.experts_.values())
        read = with_history(rows, history, reach=reach)
        stretch, places = Stretch.of(read, self.imputer_), places_of(read, rows)
        opinions = {
            name: opinion(expert, stretch, places, self.views_[expert.reads]) for name, expert in self.experts_.items()
        }
        return self._frame(rows, opinions, self._weights(rows), is_padded=padded(stretch, places, reach=reach))

    def vital_signs(self) -> dict[str, int]:
        """Return how much has been learned, by part.

        `total` sums the parts, those of networks included; `neural_params` are within it.
        """
        parts = {"gating_network_params": self.gate_.n_parameters()}
        for expert in self.experts_.values():
            for name, count in expert.vital_signs().items():
                parts[name] = parts.get(name, 0) + count
        neural = sum(count for name, count in parts.items() if name.endswith("_params"))
        return parts | {"total": sum(parts.values()), "neural_params": neural}

    @property
    def collapsed_on_(self) -> str | None:
        """The expert to which the gate gives nearly all the weight, if there is one."""
        place = self.gate_.collapsed_on_
        return None if place is None else list(self.experts_)[place]

    def _fresh(self, estimator: Any) -> Any:
        copy = clone(estimator)
        return copy.set_params(**{key: self.seed for key in copy.get_params() if re.fullmatch("(.*__)?seed", key)})

    def _fit_gate(self, late: TrainingRows, opinions: dict[str, Opinion], effort: Effort) -> None:
        trio, told = late.matrix(PHYSICS_TRIO), list(opinions.values())
        parts = {i: said.logits for i, said in enumerate(told) if said.logits is not None}
        probabilities = np.column_stack([said.probability for said in told])
        self.gate_ = self._fresh(self.gate).fit(trio, probabilities, late.label, effort=effort, parts=parts)
        for i, (name, said) in enumerate(opinions.items()):
            expert = self.experts_[name]
            if said.logits is not None and isinstance(expert, JoinedExpert):
                expert.head_ = self.gate_.heads_[i]
                opinions[name] = replace(said, probability=expert.head_.probability(said.logits))
        weights = self.gate_.weights(trio)
        self.calibration_ = PlattCalibration.fit(_mixture(opinions, weights), late.label)
        frame = self._frame(late, opinions, weights, is_padded=np.zeros(len(late), bool))
        self.oof_ = frame.insert_column(1, pl.Series("label", late.label))

    def _placed(self, rows: Rows) -> Rows:
        """Rows whose symbols stand where those of the fit do; of a trader of one symbol, rows as they are."""
        if len(self.symbols_) == 1 and len(rows.symbols) == 1:
            return rows
        return rows.among(self.symbols_).with_symbol_columns()

    def _weights(self, rows: Rows) -> np.ndarray:
        return self.gate_.weights(rows.matrix(PHYSICS_TRIO))

    def _frame(
        self, rows: Rows, opinions: dict[str, Opinion], weights: np.ndarray, *, is_padded: np.ndarray
    ) -> pl.DataFrame:
        columns: dict[str, Any] = {
            "open_time": pl.Series(rows.open_time_ms, dtype=pl.Int64).cast(pl.Datetime("ms", "UTC"))
        }
        if len(self.symbols_) > 1:
            columns["symbol"] = rows.symbol_names
        columns |= {"probability": self.calibration_.apply(_mixture(opinions, weights)), "is_padded": is_padded}
        columns |= {f"{name}_probability": said.probability for name, said in opinions.items()}
        for said in opinions.values():
            columns |= {f"{name}_probability": told for name, told in said.parts().items()}
        columns |= {f"{name}_weight": weights[:, i] for i, name in enumerate(opinions)}
        return pl.DataFrame(columns)


# ------------------------------------------------------------------------------------


def _check_training(rows: TrainingRows) -> None:
    if not isinstance(rows, TrainingRows):
        raise CallError(f"a trader is fitted on TrainingRows, got {type(rows).__name__}. Use TrainingRows.of.")
    if absent := [name for name in PHYSICS_TRIO if name not in rows.columns]:
        raise DataError(
            f"the gate needs {', '.join(PHYSICS_TRIO)}; {', '.join(absent)} not among the {len(rows.columns)} "
            "columns of the training rows, run: mmf features build"
        )


def _told_apart(views: Mapping[View, tuple[str, ...]], symbols: tuple[str, ...]) -> dict[View, tuple[str, ...]]:
    """Views with the columns that tell symbols apart."""
    return {view: (*columns, *symbol_columns(symbols)) for view, columns in views.items()}


def _in_use(
    experts: Mapping[str, Expert], views: Mapping[View, tuple[str, ...]]
) -> tuple[dict[str, Expert], dict[str, str]]:
    """Experts whose columns are there, and why the others are not."""
    used, absent = {}, {}
    for name, expert in experts.items():
        if expert.reads not in views:
            absent[name] = f"it reads {expert.reads}, and there are none without the refinery"
        elif isinstance(expert, TrendExpert) and expert.graph is not None and "latents" not in views:
            absent[expert.graph.name] = "it reads latents, and there are none without the refinery"
            used[name] = clone(expert).set_params(graph=None)
        else:
            used[name] = expert
    joined = [expert for expert in used.values() if isinstance(expert, TrendExpert) and expert.graph is not None]
    names = [*used, *(part for expert in joined for part in expert.part_names)]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise CallError(f"experts and the models within them hold {twice[0]!r} twice. Leave one of them out.")
    if not used:
        raise CallError(f"no expert is left: {'; '.join(f'{name}: {why}' for name, why in absent.items())}.")
    return used, absent


def _mixture(opinions: Mapping[str, Opinion], weights: np.ndarray) -> np.ndarray:
    return (np.column_stack([said.probability for said in opinions.values()]) * weights).sum(axis=1)


def _epochs(fitted: Mapping[str, Fitted]) -> pl.DataFrame:
    def told(name: str, fit: str, records: tuple[EpochRecord, ...]) -> list[tuple[Any, ...]]:
        return [(name, fit, r.epoch, r.n_updates, r.loss, r.validation_loss) for r in records]

    lines = [
        line
        for name, found in fitted.items()
        for line in (*told(name, EARLY, found.early_history), *told(name, WHOLE, found.expert.history_))
    ]
    return pl.DataFrame(lines, schema=_EPOCHS, orient="row")


_EPOCHS = {
    "expert": pl.String,
    "fit": pl.String,
    "epoch": pl.Int64,
    "n_updates": pl.Int64,
    "loss": pl.Float64,
    "validation_loss": pl.Float64,
}
