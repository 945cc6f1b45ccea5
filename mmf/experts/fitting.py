"""Fits of all experts: each first out of fold, then on all rows; beside each other, and resumable."""

import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeVar

import numpy as np
from sklearn.base import clone
from threadpoolctl import threadpool_limits

from mmf.experts.fits import FitFolder
from mmf.experts.protocol import EpochRecord, Expert, Session
from mmf.experts.scheme import Scheme
from mmf.experts.stretch import Opinion, opinion
from mmf.experts.training import best_epoch, one_thread
from mmf.scheduler import Effort

Progress = Callable[[str, float], None]
Result = TypeVar("Result")

EARLY = "out of fold"
WHOLE = "all rows"


@dataclass(frozen=True)
class Fitted:
    """What the two fits of one expert give.

    Attributes
    ----------
    opinion : Opinion
        On the later rows, by the expert fitted on the earlier ones.
    expert : Expert
        Fitted on all rows.
    early_history : tuple of EpochRecord
        Epochs of the earlier fit, empty for an expert that has none.
    """

    opinion: Opinion
    expert: Expert
    early_history: tuple[EpochRecord, ...]


def fit_experts(
    experts: Mapping[str, Expert],
    columns: Mapping[str, Mapping[str, tuple[str, ...]]],
    scheme: Scheme,
    /,
    *,
    effort: Effort,
    folder: FitFolder,
    n_threads: int,
    progress: Progress,
) -> dict[str, Fitted]:
    """Fit every expert on the earlier rows, ask it about the later ones, and fit it again on all rows.

    Parameters
    ----------
    experts : mapping of str to Expert
        Unfitted; copies of them are fitted.
    columns : mapping of str to mapping of str to tuple of str
        What each of them reads, in the fit out of fold and in that on all rows.
    scheme : Scheme
        The rows.
    effort : Effort
        The second fit of a network runs for the epochs that the first one kept.
    folder : FitFolder
        Where finished and unfinished fits are kept.
    n_threads : int
        Experts that are fitted at a time, each on one thread: the number changes no result.
    progress : callable(what, share)
        Called by one thread at a time, at last with 1.0.
    """
    told = _Told(progress, {name: effort.epochs if expert.context_bars else 1 for name, expert in experts.items()})

    fits = _Fits(scheme, columns, effort, folder, told)
    # the longest first, so that the others fit in beside it
    order = sorted(experts, key=lambda name: -experts[name].context_bars)
    with one_thread(), threadpool_limits(1):  # of the whole process, so around all threads
        done = _beside(
            [partial(fits.twice, name, experts[name]) for name in order],
            n_threads=n_threads,
            stop=told.stop,
        )
    fitted = dict(zip(order, done, strict=True))
    return {name: fitted[name] for name in experts}


# ------------------------------------------------------------------------------------


class _Stopped(Exception):  # noqa: N818 - no error: another fit has failed, and this one ends too
    pass


class _Told:
    """Tells a listener what is done, one thread at a time, and ends the fits when one of them has failed."""

    def __init__(self, listener: Progress, epochs: Mapping[str, int]) -> None:
        self._listener, self._lock = listener, threading.Lock()
        self._total = {(fit, name): n for fit in (EARLY, WHOLE) for name, n in epochs.items()}
        self._done = dict.fromkeys(self._total, 0.0)
        self.stop = threading.Event()

    def say(self, fit: str, name: str, what: str, share: float) -> None:
        if self.stop.is_set():
            raise _Stopped
        with self._lock:
            self._done[fit, name] = share * self._total[fit, name]
            self._listener(f"{name} expert, {fit}{what}", sum(self._done.values()) / sum(self._total.values()))


@dataclass(frozen=True)
class _Fits:
    """What is the same for the fits of all experts."""

    scheme: Scheme
    columns: Mapping[str, Mapping[str, tuple[str, ...]]]
    effort: Effort
    folder: FitFolder
    told: _Told

    def twice(self, name: str, expert: Expert) -> Fitted:
        early = self.once(name, EARLY, expert, self.effort)
        said = opinion(early, self.scheme.asked, self.scheme.places, self.columns[EARLY][name])
        found = replace(self.effort, epochs=best_epoch(early.history_)) if early.history_ else self.effort
        return Fitted(said, self.once(name, WHOLE, expert, found), early.history_)

    def once(self, name: str, fit: str, expert: Expert, effort: Effort) -> Expert:
        self.told.say(fit, name, "", 0.0)
        fitted = self.folder.finished(fit, name)
        if fitted is None:
            fitted = self._fit(name, fit, clone(expert), effort)
            self.folder.keep(fit, name, fitted)
        self.told.say(fit, name, ", done", 1.0)
        return fitted

    def _fit(self, name: str, fit: str, expert: Expert, effort: Effort) -> Expert:
        block = self.scheme.early if fit == EARLY else self.scheme.whole
        columns = self.columns[fit][name]
        session = Session(
            stop_on=block.stop_on,
            purged=block.purged,
            folder=self.folder.unfinished(fit, name),
            identity=self.folder.identity,
            on_epoch=lambda _, record: self.told.say(
                fit, name, f", epoch {record.epoch}", record.epoch / effort.epochs
            ),
        )
        rows = slice(None) if expert.context_bars else np.flatnonzero(~np.isnan(block.label))
        return expert.fit(
            block.stretch.matrix(columns, rows),
            block.label[rows],
            effort=effort,
            session=session,
            layout=block.stretch.layout(rows),
        )


def _beside(jobs: Sequence[Callable[[], Result]], *, n_threads: int, stop: threading.Event) -> list[Result]:
    """Run jobs on threads; when one fails the others are told to stop, and its error is raised."""
    with ThreadPoolExecutor(n_threads) as pool:
        futures = [pool.submit(job) for job in jobs]
        try:
            done, _ = wait(futures, return_when=FIRST_EXCEPTION)
            errors = [error for future in done if (error := future.exception()) is not None]
            for error in errors:
                raise error
        finally:
            stop.set()
            for future in futures:
                future.cancel()
    return [future.result() for future in futures]
