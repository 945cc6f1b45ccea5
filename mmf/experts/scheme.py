"""The one out-of-fold scheme: which bars each fit sees, and what it may learn from them."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from mmf.errors import CallError, DataError
from mmf.experts.protocol import View
from mmf.experts.stretch import Stretch, places_of
from mmf.impute import MedianImputer
from mmf.rows import Rows, TrainingRows
from mmf.splits import out_of_fold_cut

STOP_SHARE = 0.1  # of the earlier rows, by which a neural fit stops early


@dataclass(frozen=True)
class Seen:
    """Training rows and their history as one selection of columns shows them.

    Attributes
    ----------
    rows : TrainingRows
        What is trained on.
    stored : Rows
        From `stored_rows`.
    """

    rows: TrainingRows
    stored: Rows


@dataclass(frozen=True)
class EarlyView:
    """Training rows as a selection and a refinery show them that have seen the labels of A alone.

    Attributes
    ----------
    rows : TrainingRows
        All training rows.
    history : Rows or None
        All stored rows of all symbols.
    views : mapping of {"selected", "latents"} to tuple of str
        Columns of the classic experts, and all latents.
    """

    rows: TrainingRows
    history: Rows | None
    views: Mapping[View, tuple[str, ...]]

    def seen(self, rows: TrainingRows, /, *, needs_history: bool) -> Seen:
        """Return what the first fits see.

        Raises
        ------
        CallError
            They are not the same rows.
        """
        if not (np.array_equal(self.rows.keys, rows.keys) and np.array_equal(self.rows.label, rows.label)):
            raise CallError("the early view holds other rows than the training rows. Refine the same rows twice.")
        columns = tuple(dict.fromkeys(c for view in self.views.values() for c in view))
        own = self.rows.select(columns).with_symbol_columns()
        history = None if self.history is None else self.history.among(rows.symbols).with_symbol_columns()
        return Seen(own, stored_rows(own, history, needs_history=needs_history))


@dataclass(frozen=True)
class Block:
    """What one fit sees.

    Attributes
    ----------
    stretch : Stretch
        All bars up to the last one trained on, of all symbols.
    label : np.ndarray
        (n,) 0.0, 1.0, or NaN for bars that are context only.
    stop_on, purged : np.ndarray or None
        (n,) bool: see `mmf.experts.protocol.Session`.
    """

    stretch: Stretch
    label: np.ndarray
    stop_on: np.ndarray | None = None
    purged: np.ndarray | None = None


@dataclass(frozen=True)
class Scheme:
    """The two fits of every expert, and what it is asked in between.

    Attributes
    ----------
    early : Block
        The earlier rows, with those that early stopping looks at.
    asked : Stretch
        The bars up to the end of the later rows, filled as the earlier ones are.
    places : np.ndarray
        Where the later rows lie among them.
    whole : Block
        All rows.
    """

    early: Block
    asked: Stretch
    places: np.ndarray
    whole: Block


def stored_rows(rows: TrainingRows, history: Rows | None, /, *, needs_history: bool) -> Rows:
    """Return the history up to the last training row, with the columns of the rows and its labels taken away.

    Parameters
    ----------
    rows : TrainingRows
        What is trained on.
    history : Rows or None
        All stored rows of the series; None: the rows themselves.
    needs_history : bool
        Whether an expert looks back, so that there must be one.

    Raises
    ------
    CallError
        The history is absent though it is needed, lacks a training row or holds other features of one.
    """
    if history is None:
        if needs_history:
            raise CallError(
                "experts that look back need the history: all stored rows of the series up to the last training "
                "row. Hand it over, or leave those experts out."
            )
        history = rows
    kept = history.take(history.open_time_ms <= rows.open_time_ms[-1])
    x = kept.matrix(rows.columns)
    if not np.array_equal(x[places_of(kept, rows)], rows.x, equal_nan=True):
        raise CallError("the history holds other features of the training rows than the rows themselves.")
    nothing = np.full(len(kept), np.nan), np.zeros(len(kept), np.int64)
    named = {"symbols": kept.symbols, "symbol": kept.symbol}
    return Rows(kept.open_time_ms, x, rows.columns, *nothing, **named)


def out_of_fold_scheme(whole: Seen, early: Seen, imputer: MedianImputer, /) -> tuple[Scheme, TrainingRows]:
    """Cut the training rows in time, and return the scheme and the later rows.

    Parameters
    ----------
    whole : Seen
        What the second fits see, and the gate.
    early : Seen
        The same rows with the columns that the first fits see: chosen and distilled on the earlier rows alone, or those
        of `whole` where columns were not chosen by their labels.
    imputer : MedianImputer
        Fitted on the training rows of `whole`.

    Raises
    ------
    DataError
        One of the two parts holds one label only.
    """
    known, _ = out_of_fold_cut(early.rows)
    _, late = out_of_fold_cut(whole.rows)
    _check_labels(known, "the earlier part")
    _check_labels(late, "the later part")
    first = early.stored.take(early.stored.open_time_ms <= known.open_time_ms[-1])
    kept, tail = out_of_fold_cut(known, share=1 - STOP_SHARE)
    earlier = MedianImputer().fit_rows(known)
    stop_on, trained = _marked(first, tail), _marked(first, kept)
    scheme = Scheme(
        early=Block(
            stretch=Stretch.of(first, earlier),
            label=_labels(first, known),
            stop_on=stop_on,
            purged=_marked(first, known) & ~stop_on & ~trained,
        ),
        asked=Stretch.of(early.stored, earlier),
        places=places_of(early.stored, late),
        whole=Block(Stretch.of(whole.stored, imputer), _labels(whole.stored, whole.rows)),
    )
    return scheme, late


# ------------------------------------------------------------------------------------


def _check_labels(rows: TrainingRows, part: str) -> None:
    n_ones = int(rows.label.sum())
    if n_ones in (0, len(rows)):
        raise DataError(
            f"{part} of the training rows holds {n_ones} rows of label 1 among {len(rows)}; both labels are "
            "needed. Take more history or another hurdle."
        )


def _labels(stored: Rows, rows: TrainingRows) -> np.ndarray:
    label = np.full(len(stored), np.nan)
    label[places_of(stored, rows)] = rows.label
    return label


def _marked(stored: Rows, rows: Rows) -> np.ndarray:
    marked = np.zeros(len(stored), bool)
    marked[places_of(stored, rows)] = True
    return marked
