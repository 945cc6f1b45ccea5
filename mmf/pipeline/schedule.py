"""The scheduler's memory from one training to the next, and whether a series is due to be trained on again."""

import json
import os
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from mmf.bars import Series
from mmf.cards import series_of
from mmf.errors import DataError
from mmf.pipeline.config import TrainConfig
from mmf.pipeline.predict import LoadedRun, predict
from mmf.pipeline.stages import RunResult
from mmf.pipeline.state import TableState
from mmf.pipeline.tables import stored_bars
from mmf.scheduler import SchedulerMemory, non_overlapping, rolling_sharpe, should_retrain
from warehouse import Run, Warehouse

FOLDER = "scheduler"  # within the artifacts
N_LOSSES = 6  # trainings whose losses tell how stable they are
N_LOGGED = 200


@dataclass(frozen=True)
class Advice:
    """Whether to train, and in words why.

    Attributes
    ----------
    is_due : bool
        Whether a training is needed.
    reasons : tuple of str
        Why, or why not.
    run_id : str or None
        The run that is in use, if there is one.
    """

    is_due: bool
    reasons: tuple[str, ...]
    run_id: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return the advice as JSON takes it."""
        return asdict(self) | {"reasons": list(self.reasons)}


def advise(warehouse: Warehouse, state: TableState, config: TrainConfig, /, *, artifacts: Path) -> Advice:
    """Say whether a series, or several together, are due to be trained on, and log the answer.

    It is where no run has this configuration or these definitions, where the model is gone or damaged, and where the
    rolling Sharpe ratio of what the model has said out of sample, new bars included, has fallen by 20 %.

    Parameters
    ----------
    warehouse : Warehouse
        Knows the runs and the bars.
    state : TableState
        What would be trained on.
    config : TrainConfig
        How.
    artifacts : Path
        Where models and the scheduler's memory lie.

    Raises
    ------
    DataError
        The memory is not readable.
    """
    path = _path(artifacts, state.all_series, config)
    advice = _advised(warehouse, state, config, _read(path), artifacts)
    kept = _read(path)  # a training may have ended meanwhile
    _write(path, state.all_series, kept, log=advice.as_dict())
    return advice


def read_memory(artifacts: Path, series: Sequence[Series], config: TrainConfig, /) -> SchedulerMemory:
    """Return what the scheduler remembers of trainings on these series with this configuration, whatever their seeds.

    Raises
    ------
    DataError
        The file is not readable.
    """
    return _read(_path(artifacts, series, config)).memory


def remember(artifacts: Path, result: RunResult, run_id: str, /) -> SchedulerMemory:
    """Take a finished training into the memory, and return it."""
    series, config = result.prepared.state.all_series, result.config
    path = _path(artifacts, series, config)
    kept = _read(path)
    memory = kept.memory
    loss = result.judged.scores["mixture"].log_loss
    losses = memory.validation_losses if loss is None else (*memory.validation_losses, loss)
    told = result.judged.predictions.with_columns(is_long=pl.col("probability") > result.trained.thresholds["mixture"])
    _, sharpes = _sharpes(told, result.prepared.dataset.named_bars, series, config)
    memory = SchedulerMemory(losses[-N_LOSSES:], _newest_of(sharpes))
    kept = replace(kept, memory=memory, run_id=run_id)
    _write(path, series, kept, log={"is_due": True, "reasons": ["trained"], "run_id": run_id})
    return memory


# ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Kept:
    """What the file holds: the memory, the run that it was told of last, and what was answered."""

    memory: SchedulerMemory = field(default_factory=SchedulerMemory)
    run_id: str | None = None
    log: tuple[Any, ...] = ()

    def reference(self, run: Run, ends_ms: np.ndarray, sharpes: np.ndarray) -> float | None:
        """The ratio when the run was trained; where there was none yet, the first that there is."""
        is_its_own = self.run_id in (None, run.run_id)  # older files do not say
        if is_its_own and self.memory.reference_sharpe is not None:
            return self.memory.reference_sharpe
        defined = np.flatnonzero(np.isfinite(sharpes))
        then = defined[ends_ms[defined] <= _last(run).timestamp() * 1_000]
        chosen = then[-1:] if len(then) else defined[:1]
        return float(sharpes[chosen[0]]) if len(chosen) else None


def _advised(warehouse: Warehouse, state: TableState, config: TrainConfig, kept: _Kept, artifacts: Path) -> Advice:
    run = _newest(warehouse, state.all_series, config)
    if run is None:
        return Advice(is_due=True, reasons=("no run with this configuration yet",))
    if run.card["definition_hash"] != state.definition_hash:
        return Advice(is_due=True, reasons=("the features are defined otherwise now",), run_id=run.run_id)
    try:
        loaded = LoadedRun.load(artifacts / "runs" / run.run_id).named_by(warehouse)
    except DataError as error:
        return Advice(is_due=True, reasons=(f"its model cannot be read: {error}",), run_id=run.run_id)
    with warehouse.pin(state.snapshot) as snapshot:
        first = datetime.strptime(run.card["rows"]["judged"]["first"], "%Y-%m-%d %H:%M").replace(tzinfo=UTC)
        told = predict(snapshot, loaded, start=first)
        bars = pl.concat(
            [stored_bars(snapshot, one).with_columns(pl.lit(one.symbol).alias("symbol")) for one in state.all_series]
        )
    n_new = told.filter(pl.col("open_time") > _last(run)).height
    ends_ms, sharpes = _sharpes(told, bars, state.all_series, config)
    reference = kept.reference(run, ends_ms, sharpes)
    is_due, reason = should_retrain(reference=reference, current=_newest_of(sharpes))
    return Advice(is_due=is_due, reasons=(reason, f"{n_new:,} bars have come since {run.run_id}"), run_id=run.run_id)


def _newest(warehouse: Warehouse, series: Sequence[Series], config: TrainConfig) -> Run | None:
    """The newest training on just these series that was asked to do the same, whatever its seed."""
    wanted, names = _asked(config.as_dict()), tuple(map(str, series))
    same = [
        run
        for run in warehouse.runs()
        if run.kind == "train" and series_of(run.card) == names and _asked(run.card["config"]) == wanted
    ]
    return max(same, key=lambda run: run.run_id, default=None)


def _last(run: Run) -> datetime:
    return datetime.strptime(run.card["rows"]["judged"]["last"], "%Y-%m-%d %H:%M").replace(tzinfo=UTC)


def _newest_of(sharpes: np.ndarray) -> float | None:
    return float(sharpes[-1]) if len(sharpes) and np.isfinite(sharpes[-1]) else None


def _sharpes(
    told: pl.DataFrame, bars: pl.DataFrame, series: Sequence[Series], config: TrainConfig
) -> tuple[np.ndarray, np.ndarray]:
    """When each horizon ended, and rolling Sharpe ratios of the returns over them, 0 where the model was not long.

    The return of several symbols is their mean.
    """
    horizon_ms = config.label.horizon * series[0].grid.ms
    close = bars.select(pl.col("open_time").to_physical().alias("ms"), "symbol", "close")
    times = np.unique(told["open_time"].to_physical().to_numpy())
    chosen = times[non_overlapping(times, horizon_ms=horizon_ms)]
    timed = told.with_columns(ms=pl.col("open_time").to_physical()).filter(pl.col("ms").is_in(chosen.tolist()))
    ends = close.select(pl.col("ms") - horizon_ms, "symbol", pl.col("close").alias("end"))
    known = timed.select("ms", "symbol", "is_long", "close").join(ends, on=("ms", "symbol"), maintain_order="left")
    gained = known.select((pl.col("end") / pl.col("close") - 1) * pl.col("is_long")).to_series().to_numpy()
    begins_ms, first, counts = np.unique(known["ms"].to_numpy(), return_index=True, return_counts=True)
    returns = np.add.reduceat(gained, first) / counts if len(gained) else gained
    return begins_ms + horizon_ms, rolling_sharpe(returns)


def _asked(config: Mapping[str, Any]) -> Any:
    """A configuration without its seed, as JSON types."""
    return json.loads(json.dumps({name: value for name, value in config.items() if name != "seed"}))


def _path(artifacts: Path, series: Sequence[Series], config: TrainConfig) -> Path:
    asked = _asked(config.as_dict())
    name = str(series[0]).replace(":", "-")
    if len(series) > 1:
        asked, name = [asked, *map(str, series)], f"{name}-and-{len(series) - 1}"
    digest = sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()[:12]
    return artifacts / FOLDER / f"{name}-{digest}.json"


def _read(path: Path) -> _Kept:
    if not path.exists():
        return _Kept()
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        stored, run_id, log = found["memory"], found.get("run_id"), tuple(found["log"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"the scheduler's memory {path} is not readable ({error!r}). Delete it and train.") from error
    return _Kept(SchedulerMemory.from_dict(stored), run_id, log)


def _write(path: Path, series: Sequence[Series], kept: _Kept, *, log: dict[str, Any]) -> None:
    """Replace the file in one step; the log keeps its newest lines."""
    path.parent.mkdir(parents=True, exist_ok=True)
    line = {"at": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"} | log
    head = {"series": " ".join(map(str, series)), "run_id": kept.run_id, "memory": kept.memory.as_dict()}
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    temporary.write_text(json.dumps(head | {"log": [*kept.log, line][-N_LOGGED:]}, indent=1) + "\n", encoding="utf-8")
    temporary.replace(path)
