"""What a run leaves behind: card, predictions, model and votes."""

import json
import os
import platform
import secrets
import shutil
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import polars as pl

from mmf import model_store
from mmf.evaluation.trials import TRIAL_SCHEMA
from mmf.experts.graph_visionary import GraphVisionary
from mmf.experts.registry import EXPERTS
from mmf.experts.trend import TrendExpert
from mmf.pipeline.hashes import predictions_hash, rows_hash, selection_hash
from mmf.pipeline.ledger import EQUITY, traded_of
from mmf.pipeline.refine import FOLDER, save_refined
from mmf.pipeline.stages import RunResult
from mmf.rows import PHYSICS_TRIO, Rows
from warehouse import Warehouse

LATEST_PREDICTIONS = "money_machine_snapshot.parquet"
LATEST_CARD = "money_machine_snapshot.json"
TABLES = "tables"  # within a run's folder
_PACKAGES = ("money-machine-framework", "duckdb", "numba", "numpy", "polars", "pyarrow", "scikit-learn", "torch")


@dataclass(frozen=True)
class RunArtifacts:
    """Where a run's files lie.

    Attributes
    ----------
    run_id : str
        Time and a random part, such as `20260102T030405-1a2b3c`; it sorts by time.
    folder : Path
        `ARTIFACTS/runs/RUN`, with card.json, predictions.parquet, model/ and tensor_flex/.
    predictions, card : Path
        The latest run's, `ARTIFACTS/money_machine_snapshot.{parquet,json}`.
    content : dict
        The card.
    """

    run_id: str
    folder: Path
    predictions: Path
    card: Path
    content: dict[str, Any]


def save_run(warehouse: Warehouse, result: RunResult, root: Path, /) -> RunArtifacts:
    """Write a run's files, make it the latest, and record it and its votes in the warehouse.

    The run's folder appears whole, by one rename; the latest run's files are replaced by renames.

    Parameters
    ----------
    warehouse : Warehouse
        Receives votes and predictions (tables `council_votes`, `predictions`) and the card (`runs`).
    result : RunResult
        What `mmf.pipeline.train.train` returned.
    root : Path
        Folder of the artifacts; made where it does not exist.
    """
    run_id = f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{secrets.token_hex(3)}"
    card = run_card(run_id, result)
    folder = root / "runs" / run_id
    staged = root / "runs" / f".{run_id}"
    staged.mkdir(parents=True)
    extra = {
        "run_id": run_id,
        "threshold": result.trained.thresholds["mixture"],
        "definition_hash": card["definition_hash"],
    }
    model_store.save(result.trained.trader, staged / "model", extra=extra)
    save_refined(result.refined, staged / FOLDER)
    result.judged.predictions.write_parquet(staged / "predictions.parquet")
    (staged / TABLES).mkdir()
    for name, table in run_tables(result, card).items():
        table.write_parquet(staged / TABLES / f"{name}.parquet")
    (staged / "card.json").write_text(json.dumps(card, indent=2) + "\n", encoding="utf-8")
    staged.rename(folder)
    _record(warehouse, run_id, result, card)
    saved = RunArtifacts(run_id, folder, root / LATEST_PREDICTIONS, root / LATEST_CARD, card)
    _replace(folder / "predictions.parquet", saved.predictions)
    _replace(folder / "card.json", saved.card)
    save_refined(result.refined, root / FOLDER)
    return saved


def run_card(run_id: str, result: RunResult, /) -> dict[str, Any]:
    """Return all that a result can be traced and checked by, as JSON types."""
    prepared, state = result.prepared, result.prepared.state
    return {
        "run_id": run_id,
        "created_at": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
        "series": state.series_names,
        "table_state": str(state),
        "definition_hash": state.definition_hash,
        "config": result.config.as_dict(),
        "rows": {
            "training": _span(prepared.training),
            "judged": _span(prepared.judged),
            "purged": prepared.n_purged,
            "not_warm": prepared.dataset.n_cold,
            "missing_bars": prepared.dataset.n_missing_bars,
        },
        "effort": result.trained.recommendation.effort.as_dict(),
        "effort_reasons": list(result.trained.recommendation.reasons),
        "scheduler_memory": result.memory.as_dict(),
        "council": _council(result),
        "suspicious": [finding.as_dict() for finding in (*result.selected.suspicious, *result.judged.suspicious)],
        "tensor_flex": None if result.refined.flex is None else result.refined.flex.report(),
        "vital_signs": result.trained.trader.vital_signs(),
        "telemetry": dict(result.judged.telemetry),
        "telemetry_by_regime": result.judged.regimes.to_dicts(),
        "switched_off": [asdict(uplift) for uplift in result.judged.uplift],
        "reliability": result.judged.reliability.to_dicts(),
        "epochs": result.trained.trader.epochs_.to_dicts(),
        "experts_left_out": result.trained.trader.absent_,
        "collapsed_on": result.trained.trader.collapsed_on_,
        "thresholds": dict(result.trained.thresholds),
        "scores": {name: scores.as_dict() for name, scores in result.judged.scores.items()},
        "verdict": _verdict(result),
        "trading": asdict(result.config.rules),
        "has_funding": result.traded.has_funding,
        "is_threshold_allowed": result.trained.is_threshold_allowed,
        "hashes": run_hashes(result),
        "environment": environment(),
    }


def run_hashes(result: RunResult, /) -> dict[str, str]:
    """Return the hashes by which two runs are told apart, stage by stage."""
    prepared = result.prepared
    return {
        "training_rows": rows_hash(prepared.training),
        "judged_rows": rows_hash(prepared.judged),
        "selection": selection_hash(result.selected.columns),
        "refined_rows": rows_hash(result.refined.apply(prepared.training)),
        "predictions": predictions_hash(result.judged.predictions),
    }


def run_tables(result: RunResult, card: dict[str, Any], /) -> dict[str, pl.DataFrame]:
    """Return what a report draws from, by the name of its file in the run's folder `tables`."""
    prepared, judged, traded = result.prepared, result.judged, result.traded
    trio = pl.DataFrame(prepared.judged.matrix(PHYSICS_TRIO), schema=list(PHYSICS_TRIO)).fill_nan(None)
    return {
        "market": judged.predictions.select("open_time", "symbol").hstack(trio),
        "trades": traded.trades,
        "equity": traded.equity,
        "threshold_sweep": result.trained.sweep,
        "cost_sensitivity": traded.cost_sensitivity,
        "random_schedules": _random_schedules(result),
        "drift": judged.drift,
        "score_intervals": judged.intervals,
        "council_votes": result.selected.council.votes_,
        "epochs": result.trained.trader.epochs_,
        "trials": pl.concat([traded.trials, _this_trial(card)]),
    }


def environment() -> dict[str, Any]:
    """Return the versions that a result depends on."""
    return {
        "packages": {name: version(name) for name in _PACKAGES},
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
    }


# ------------------------------------------------------------------------------------


def _record(warehouse: Warehouse, run_id: str, result: RunResult, card: dict[str, Any]) -> None:
    run = pl.lit(run_id).alias("run_id")
    names = ("exchange", "category", "symbol", "interval")
    keys = pl.DataFrame([one.key for one in result.prepared.state.all_series], schema=list(names), orient="row")
    votes = result.selected.council.votes_.select(run, pl.col("column").alias("feature"), pl.exclude("column"))
    commit = warehouse.begin(f"votes and predictions of run {run_id}")
    commit.write("council_votes", None, votes, start=0, stop=1)
    predictions = _all_columns(result.judged.predictions).join(keys, on="symbol", how="left", maintain_order="left")
    commit.write("predictions", None, predictions.select(run, *names, pl.exclude(names)), start=0, stop=1)
    for name, table in _logged(result).items():
        if not table.is_empty():
            commit.write(name, None, table.select(run, pl.all()), start=0, stop=1)
    commit.publish()
    warehouse.save_run(
        run_id,
        kind="train",
        status="finished",
        table_state=card["table_state"],
        config=card["config"],
        card=card,
    )


def _logged(result: RunResult) -> dict[str, pl.DataFrame]:
    """What a report draws, by the name of its table in the warehouse."""
    judged, traded = result.judged, result.traded
    return {
        "trades": traded.trades,
        EQUITY: traded.equity,
        "threshold_sweep": result.trained.sweep,
        "cost_sensitivity": traded.cost_sensitivity,
        "random_schedules": _random_schedules(result),
        "scores": judged.intervals,
        "reliability": judged.reliability,
        "drift": judged.drift.rename({"column": "feature"}),
        "epochs": result.trained.trader.epochs_,
    }


def _random_schedules(result: RunResult) -> pl.DataFrame:
    return pl.DataFrame({"net_return": result.traded.verdict.random_returns})


def _verdict(result: RunResult) -> dict[str, Any]:
    traded = result.traded
    return traded.verdict.as_dict() | {
        "buy_and_hold": float(traded.equity["buy_and_hold"][-1] - 1),
        "overfitting_probability": traded.overfitting_probability,
    }


def _this_trial(card: dict[str, Any]) -> pl.DataFrame:
    performance = card["verdict"]["performance"]
    row = {
        "run_id": card["run_id"],
        "created_at": card["created_at"],
        "predictions_hash": card["hashes"]["predictions"],
        "traded": traded_of(card),
        "pr_auc": card["scores"]["mixture"]["pr_auc"],
        "net_return": performance["net_return"],
        "sharpe": performance["sharpe"],
    }
    return pl.DataFrame([row], schema=TRIAL_SCHEMA)


def _all_columns(predictions: pl.DataFrame) -> pl.DataFrame:
    """Return the same columns whatever experts were in use, null for those that were not: the table has one schema."""
    opinions = [f"{name}_{what}" for what in ("probability", "weight") for name in EXPERTS]
    parts = [f"{name}_probability" for name in TrendExpert(graph=GraphVisionary()).part_names]
    head = ("open_time", "symbol", "close", "label", "probability", "is_padded")
    absent = {name: pl.lit(None, pl.Float64) for name in (*opinions, *parts) if name not in predictions.columns}
    return predictions.with_columns(**absent).select(*head, *opinions, *parts)


def _council(result: RunResult) -> dict[str, Any]:
    council = result.selected.council
    return {
        "columns": council.votes_.height,
        "selected": len(council.selected_),
        "lasso_alpha": council.lasso_alpha_,
        "is_lasso_empty": bool(council.is_lasso_empty_),
    }


def _span(rows: Rows) -> dict[str, Any]:
    first, last = (datetime.fromtimestamp(rows.open_time_ms[i] / 1000, UTC) for i in (0, -1))
    return {"count": len(rows), "first": f"{first:%Y-%m-%d %H:%M}", "last": f"{last:%Y-%m-%d %H:%M}"}


def _replace(source: Path, target: Path) -> None:
    """Copy beside the target, then rename: a reader sees the old file or the new one."""
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
    shutil.copyfile(source, temporary)
    temporary.replace(target)
