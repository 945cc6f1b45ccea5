"""Parts of an evaluation as tasks: computed in any process, kept when finished, resumed where they stopped."""

import io
import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import polars as pl
from threadpoolctl import threadpool_limits

from mmf.bars import Series
from mmf.errors import CallError, DataError, LeakError
from mmf.features.registry import FeatureSet
from mmf.markets.surrogates import Kind, surrogate
from mmf.model_files import MANIFEST, read_files, write_files
from mmf.pipeline.config import TrainConfig
from mmf.pipeline.dataset import compute_dataset
from mmf.pipeline.material import Material
from mmf.pipeline.part import PartResult, judge_part, traded_figures
from mmf.pipeline.prepare import Loaded, Prepared, cut, cut_around
from mmf.pipeline.state import TableState
from mmf.splits import Combination, Split, chronological_split

DIGEST = 16  # hexadecimal digits at the end of the name of a kept part
STOP = "stop"  # within the folder of unfinished parts: all of them end when it appears
_SHARE = "share"
_FIGURES, _PREDICTIONS = "figures.json", "predictions.parquet"


def on_one_thread() -> None:
    """Let the process at hand compute on one thread: the others of the machine belong to the parts beside it."""
    os.environ["LOKY_MAX_CPU_COUNT"] = "1"  # what joblib.cpu_count() returns


class Source(Protocol):
    """Where the rows of a part come from."""

    @property
    def is_traded(self) -> bool:
        """Whether its judged rows follow all of its training rows, so that trading them can be told."""
        ...

    def prepared(self) -> Prepared:
        """Return training and judged rows."""
        ...


@dataclass(frozen=True)
class FoldSource:
    """A fold of a walk-forward: nothing behind `stop_ms` is there."""

    material: Material
    split: Split
    stop_ms: int
    is_traded: bool = True

    def prepared(self) -> Prepared:
        """Return training and judged rows."""
        return cut(self.material.load(), self.split, stop_ms=self.stop_ms)


@dataclass(frozen=True)
class CombinationSource:
    """Blocks of time that are judged, with training rows before, between and behind them."""

    material: Material
    combination: Combination
    is_traded: bool = False

    def prepared(self) -> Prepared:
        """Return training and judged rows."""
        return cut_around(self.material.load(), self.combination)


@dataclass(frozen=True)
class SurrogateSource:
    """A surrogate of the run's bars, cut as the run was."""

    bars: Path
    state: TableState
    features: FeatureSet
    config: TrainConfig
    since_ms: int
    kind: Kind
    seed: int
    is_traded: bool = True

    def prepared(self) -> Prepared:
        """Return training and judged rows."""
        series: Series = self.state.series
        bars = surrogate(pl.read_parquet(self.bars), self.kind, seed=self.seed)
        dataset = compute_dataset(
            bars, self.features, series, since_ms=self.since_ms, label=self.config.label, lags=self.config.lags
        )
        split = chronological_split(dataset.rows, test_share=self.config.test_share)
        return cut(Loaded(self.state, dataset), split)


@dataclass(frozen=True)
class PartTask:
    """One part.

    Attributes
    ----------
    name : str
        For messages, such as `fold 3`.
    source : Source
        Its rows.
    config : TrainConfig
        Of the run.
    kept : Path
        Folder of the finished part, named after all that decides it.
    work : Path
        Folder of the unfinished one, beside those of the others.
    n_threads : int
        Experts fitted at a time.
    """

    name: str
    source: Source
    config: TrainConfig
    kept: Path
    work: Path
    n_threads: int = 1

    def compute(self) -> "StagedPart":
        """Train and judge; a repeated call goes on with the fits that were finished.

        Raises
        ------
        CallError, DataError, LeakError
            The message names the part.
        InterruptedError
            The evaluation was stopped.
        """
        self.work.mkdir(parents=True, exist_ok=True)
        try:
            with threadpool_limits(1):  # sums over several threads differ in their last bits
                self._tell("rows", 0.0)
                prepared = self.source.prepared()
                result = judge_part(
                    prepared,
                    self.config,
                    folder=self.work / "fits",
                    n_threads=self.n_threads,
                    on_progress=self._tell,
                )
                figures = result.figures
                if self.source.is_traded:
                    figures |= traded_figures(prepared, result.predictions, self.config)
        except (CallError, DataError, LeakError) as error:
            raise type(error)(f"{self.name}: {error}") from error
        return StagedPart(self, PartResult(figures, result.predictions))

    def result(self) -> PartResult | None:
        """Return what a finished part left behind; None where it is not there or not whole."""
        if not self.kept.is_dir():
            return None
        try:
            files = read_files(self.kept)
            return PartResult(json.loads(files[_FIGURES]), pl.read_parquet(io.BytesIO(files[_PREDICTIONS])))
        except (DataError, KeyError, ValueError, pl.exceptions.PolarsError):
            return None

    def clear(self) -> None:
        """Remove a part that is kept but damaged, and what an earlier call said of its progress; fits stay."""
        shutil.rmtree(self.kept, ignore_errors=True)
        (self.work / _SHARE).unlink(missing_ok=True)

    def share_done(self) -> float:
        """Return how far the part is, as it last said; 1.0 once it is kept."""
        try:
            return float((self.work / _SHARE).read_text(encoding="ascii"))
        except (OSError, ValueError):
            return float((self.kept / MANIFEST).exists())

    def _tell(self, _: str, share: float) -> None:
        if (self.work.parent / STOP).exists():
            raise InterruptedError(f"{self.name} was stopped; what was fitted is kept.")
        draft = self.work / f"{_SHARE}.{os.getpid()}"
        draft.write_text(f"{share:.4f}", encoding="ascii")
        draft.replace(self.work / _SHARE)


@dataclass(frozen=True)
class StagedPart:
    """A part that is computed and not kept yet."""

    task: PartTask
    result: PartResult

    def store(self) -> str:
        """Keep it durably, remove what was kept while it was unfinished, and return its name."""
        told = io.BytesIO()
        self.result.predictions.write_parquet(told)
        files = {_FIGURES: json.dumps(self.result.figures).encode(), _PREDICTIONS: told.getvalue()}
        kept = self.task.kept
        write_files(kept, files)
        shutil.rmtree(self.task.work, ignore_errors=True)
        # of other code or settings: nothing asks for them any more
        for other in kept.parent.glob(f"{kept.name.rpartition('_')[0]}_{'?' * DIGEST}"):
            if other != kept:
                shutil.rmtree(other)
        return self.task.name
