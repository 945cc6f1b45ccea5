"""Evaluate a run and die on the way, as a machine or a person makes it.

python -m tests.pipeline.evaluation_worker WAREHOUSE RUN_FOLDER kill|interrupt
"""

import os
import signal
import sys
from collections.abc import Generator, Iterable
from pathlib import Path

from mmf.pipeline.evaluate import evaluate
from mmf.pipeline.executors import Processes, Serial
from mmf.pipeline.part_task import PartTask, StagedPart
from tests.pipeline.evaluations import FOLDS
from warehouse import Warehouse


class Deadly(PartTask):
    """A part that is fitted, and killed before it is kept."""

    def compute(self) -> StagedPart:
        super().compute()
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError


class KillsTheSecond(Serial):
    """Computes one part, and dies in the second."""

    def run(self, tasks: Iterable[PartTask], /, *, in_flight: int | None = None) -> Generator[str, None, None]:
        first, second, *_ = tasks
        yield from super().run([first])
        deadly = {name: getattr(second, name) for name in ("name", "source", "config", "kept", "work", "n_threads")}
        yield from super().run([Deadly(**deadly)])


class Interrupt:
    """Press Ctrl-C, once, when the processes are at work."""

    def __init__(self) -> None:
        self.is_pressed = False

    def __call__(self, _: str, share: float) -> None:
        if share > 0.1 and not self.is_pressed:
            self.is_pressed = True
            os.kill(os.getpid(), signal.SIGINT)


if __name__ == "__main__":
    with Warehouse.open(Path(sys.argv[1])) as warehouse:
        if sys.argv[3] == "kill":
            evaluate(warehouse, Path(sys.argv[2]), FOLDS, executor=KillsTheSecond())
        else:
            with Processes(2) as executor:
                evaluate(warehouse, Path(sys.argv[2]), FOLDS, executor=executor, on_progress=Interrupt())
