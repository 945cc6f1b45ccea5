"""How time is cut: every split is chronological and purged by the instant at which a label is known."""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from mmf.bars import Interval
from mmf.errors import CallError, DataError, LeakError
from mmf.rows import Rows, TrainingRows

Cut = TypeVar("Cut")


@dataclass(frozen=True)
class Split:
    """Training rows, and the later rows on which a fit is judged.

    Attributes
    ----------
    train, test : np.ndarray
        Row indices (int64) in the order of the rows; labelled rows only.
    test_start_ms : int
        The open_time of the first test row, by which every training label is known.
    """

    train: np.ndarray
    test: np.ndarray
    test_start_ms: int

    def training(self, rows: Rows, /) -> TrainingRows:
        """Return the rows that a fit may see."""
        return TrainingRows.of(rows.take(self.train), known_before_ms=self.test_start_ms)

    def testing(self, rows: Rows, /) -> Rows:
        """Return the rows that judge it."""
        return rows.take(self.test)


@dataclass(frozen=True)
class Combination:
    """Training rows around one or more test blocks.

    Attributes
    ----------
    train : np.ndarray
        Row indices (int64) in time order; labelled rows only.
    tests : tuple of np.ndarray
        Row indices of each test block.
    """

    train: np.ndarray
    tests: tuple[np.ndarray, ...]

    def training(self, rows: Rows, /) -> TrainingRows:
        """Return the rows that a fit may see.

        Raises
        ------
        LeakError
            The label of a training row overlaps the time of a test block.
        """
        chosen = rows.take(self.train)
        for block in self.tests:
            starts, ends = rows.open_time_ms[block], rows.label_end_ms[block]
            overlaps = (chosen.label_end_ms > starts[0]) & (chosen.open_time_ms < ends.max())
            if overlaps.any():
                raise LeakError(
                    f"{int(overlaps.sum())} of {len(chosen)} training rows have labels that overlap a test block. "
                    "Purge the combination by the label horizon (mmf.splits.combinatorial_purged)."
                )
        return TrainingRows.of(chosen, known_before_ms=int(chosen.label_end_ms.max(initial=0)))


def chronological_split(rows: Rows, /, *, test_share: float = 0.2) -> Split:
    """Keep the last rows for judging and purge the training rows before them.

    Parameters
    ----------
    rows : Rows
        Rows without a label (their horizon is not over, or its last bar is absent) fall on neither side.
    test_share : float
        Share of the labelled rows that judges, rounded up; of several symbols, to whole instants.

    Raises
    ------
    DataError
        One side would be empty.

    Notes
    -----
    A training row is purged where its label is known only after the first test row opens, by time and not by a
    number of rows. 17,520 rows with a horizon of 36 intervals leave 17,484 with labels, 13,987 before the test and
    13,951 after the purge.
    """
    before, test = _cut(rows, 1 - test_share)
    start_ms = int(rows.open_time_ms[test[0]])
    return Split(_known_by(rows, before, start_ms), test, start_ms)


def out_of_fold_cut(rows: TrainingRows, /, *, share: float = 0.6) -> tuple[TrainingRows, TrainingRows]:
    """Cut training rows in time into A, on which base experts are fitted, and B, which they predict out of fold.

    A holds the first `share` of the rows less those whose label is known only after B begins.
    """
    before, after = _cut(rows, share)
    start_ms = int(rows.open_time_ms[after[0]])
    a = rows.take(_known_by(rows, before, start_ms))
    return TrainingRows.of(a, known_before_ms=start_ms), rows.take(after)


def time_folds(rows: TrainingRows, /, n_folds: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Cut training rows into folds that each train on the past and validate on what follows.

    Parameters
    ----------
    rows : TrainingRows
        n rows.
    n_folds : int
        Folds; each validates on n // (n_folds + 1) rows and trains on the rows before, purged by time.

    Returns
    -------
    list of (train, valid)
        Row indices, earliest fold first.
    """
    size = len(rows) // (n_folds + 1)
    if n_folds < 1 or size < 1:
        raise DataError(f"{len(rows)} training rows cannot be cut into {n_folds} folds. Use more rows or fewer folds.")
    index, times = np.arange(len(rows)), rows.open_time_ms
    starts = [instant_start(times, len(rows) - size * k) for k in range(n_folds, 0, -1)]
    stops = [*starts[1:], len(rows)]
    return [(_known_by(rows, index[:s], int(times[s])), index[s:e]) for s, e in zip(starts, stops, strict=True)]


def instant_start(open_time_ms: np.ndarray, row: int, /) -> int:
    """Return the first row of the same time as this one: a cut never parts the symbols of one instant."""
    return int(np.searchsorted(open_time_ms, open_time_ms[row]))


def walk_forward(
    rows: Rows, /, *, interval: Interval, train_slots: int, test_slots: int, expand: bool = False
) -> list[Split]:
    """Slide a training window and the test window after it through time.

    Parameters
    ----------
    rows : Rows
        Rows without a label fall on neither side.
    interval : Interval
        Length of a slot.
    train_slots, test_slots : int
        Lengths of the windows in intervals, holes counted; between them lies a gap as long as the label horizon.
    expand : bool
        Whether the training window keeps its start.

    Notes
    -----
    The windows are `skfolio.model_selection.WalkForward` over every slot between the first and the last row: it
    purges by a number of observations, which is a length of time only if holes count too. A window without rows is
    left out.
    """
    from skfolio.model_selection import WalkForward  # noqa: PLC0415 - 2 s that no other split should pay

    slots = _Slots.of(rows, interval)
    windows = _cuts(
        lambda: WalkForward(
            test_size=test_slots, train_size=train_slots, expand_train=expand, purged_size=slots.purge
        ).split(slots.all),
        len(slots.all),
    )
    pairs = [(slots.rows_in(train), slots.rows_in(test)) for train, test in windows]
    return [Split(train, test, int(rows.open_time_ms[test[0]])) for train, test in pairs if len(train) and len(test)]


def expanding_folds(rows: Rows, /, n_folds: int, *, interval: Interval, start_share: float = 0.5) -> list[Split]:
    """Cut the time behind the first `start_share` into folds, each trained on all the time before it, purged.

    Parameters
    ----------
    rows : Rows
        Rows without a label fall on neither side.
    n_folds : int
        Folds of equal time; one without labelled rows is left out.
    interval : Interval
        Length of a slot.
    start_share : float
        Share of the time from the first labelled row to the last that is trained on only.

    Raises
    ------
    CallError
        There is no fold, or the share is not within 0..1.
    DataError
        The time is too short.
    """
    if n_folds < 1 or not 0 < start_share < 1:
        raise CallError(f"{n_folds} folds behind a share of {start_share:g}: ask for one fold or more, and a share.")
    index = _labelled(rows)
    if len(index) == 0:
        raise DataError("no row has a label. Ingest more bars or shorten the horizon.")
    times = rows.open_time_ms[index]
    n_slots = int((times[-1] - times[0]) // interval.ms) + 1
    purge = max(0, -int(((times - rows.label_end_ms[index]) // interval.ms).min()) - 1)
    size = math.floor(n_slots * (1 - start_share)) // n_folds
    n_train = n_slots - n_folds * size - purge
    if size < 1 or n_train < 1:
        raise DataError(
            f"{n_slots} slots of time cannot be cut into {n_folds} folds with {purge} purged before each. Ingest more "
            "bars, or ask for fewer folds."
        )
    return walk_forward(rows, interval=interval, train_slots=n_train, test_slots=size, expand=True)


def combinatorial_purged(
    rows: Rows, /, *, interval: Interval, n_folds: int = 10, n_test_folds: int = 2, embargo: int | None = None
) -> list[Combination]:
    """Test on every choice of `n_test_folds` blocks out of `n_folds`, training on the rest.

    Parameters
    ----------
    rows : Rows
        Rows without a label fall on neither side.
    interval : Interval
        Length of a slot.
    n_folds, n_test_folds : int
        Blocks of equal time, and how many of them each combination tests on.
    embargo : int, optional
        Intervals left out after the purge behind each test block; the label horizon where not given.

    Notes
    -----
    The blocks are `skfolio.model_selection.CombinatorialPurgedCV` over every slot between the first and the last row
    (see `walk_forward`). Training rows lie after some test rows, so this estimates how a method fares; it is no
    simulation of trading.

    References
    ----------
    M. Lopez de Prado, Advances in Financial Machine Learning, 2018, chapter 12.
    """
    from skfolio.model_selection import CombinatorialPurgedCV  # noqa: PLC0415 - 2 s that no other split should pay

    slots = _Slots.of(rows, interval)
    combinations = _cuts(
        lambda: CombinatorialPurgedCV(
            n_folds=n_folds,
            n_test_folds=n_test_folds,
            purged_size=slots.purge,
            embargo_size=slots.purge if embargo is None else embargo,
        ).split(slots.all),
        len(slots.all),
    )
    return [
        Combination(slots.rows_in(train), tuple(block for test in tests if len(block := slots.rows_in(test))))
        for train, tests in combinations
    ]


# ------------------------------------------------------------------------------------


def _cut(rows: Rows, share: float) -> tuple[np.ndarray, np.ndarray]:
    """Indices of the labelled rows, cut after the first `share` of them."""
    if not 0 < share < 1:
        raise CallError(f"a share of {share:g} leaves one side of the cut empty. Use a number between 0 and 1.")
    labelled = _labelled(rows)
    n_before = math.floor(round(share * len(labelled), 6))
    if len(labelled):
        n_before = instant_start(rows.open_time_ms[labelled], n_before)
    if n_before == 0:
        raise DataError(
            f"{len(labelled)} labelled rows are too few to cut at {share:g}. Ingest more bars or shorten the horizon."
        )
    return labelled[:n_before], labelled[n_before:]


def _labelled(rows: Rows) -> np.ndarray:
    return np.flatnonzero(~np.isnan(rows.label))


def _known_by(rows: Rows, index: np.ndarray, start_ms: int) -> np.ndarray:
    """Those of the index whose label is known when the judged rows begin."""
    kept = index[rows.label_end_ms[index] <= start_ms]
    if len(kept) == 0:
        raise DataError(
            f"none of {len(index)} training rows has a label that is known before the judged rows begin. "
            "Ingest more bars or shorten the horizon."
        )
    return kept


@dataclass(frozen=True)
class _Slots:
    """The slots in time of the labelled rows.

    Attributes
    ----------
    all : np.ndarray
        Every slot between the first and the last, one observation each.
    index, slot : np.ndarray
        Labelled rows, and the slot of each, ascending.
    purge : int
        Slots that a label spans.
    """

    all: np.ndarray
    index: np.ndarray
    slot: np.ndarray
    purge: int

    @classmethod
    def of(cls, rows: Rows, interval: Interval) -> "_Slots":
        index = _labelled(rows)
        if len(index) == 0:
            raise DataError("no row has a label. Ingest more bars or shorten the horizon.")
        times = rows.open_time_ms[index]
        slot = (times - times[0]) // interval.ms
        span = int(-((times - rows.label_end_ms[index]) // interval.ms).min())
        return cls(np.arange(slot[-1] + 1), index, slot, max(0, span - 1))

    def rows_in(self, slots: np.ndarray) -> np.ndarray:
        return self.index[np.isin(self.slot, slots)]


def _cuts(split: Callable[[], Iterable[Cut]], n_slots: int) -> list[Cut]:
    try:
        return list(split())
    except ValueError as error:
        raise DataError(
            f"{n_slots} slots of time cannot be cut like this: {error} Ingest more bars or choose other windows."
        ) from error
