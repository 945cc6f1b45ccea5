"""The trial ledger as the warehouse holds it."""

from collections.abc import Mapping
from typing import Any

import polars as pl

from mmf.cards import series_of
from mmf.evaluation.trials import TRIAL_SCHEMA, Ledger, traded_as
from warehouse import Warehouse

EQUITY = "equity"  # the warehouse's table


def read_ledger(warehouse: Warehouse, /, *series: str) -> Ledger:
    """Return all trainings on some series that the warehouse has recorded, oldest first, whatever their configuration.

    A training on several series together counts for each of them.

    Parameters
    ----------
    warehouse : Warehouse
        Where they were recorded.
    *series : str
        As the run cards name them.
    """
    runs = [run for run in warehouse.runs() if run.kind == "train"]
    cards = [run.card for run in runs if set(series) & set(series_of(run.card))]
    trials = pl.DataFrame(sorted(map(_trial, cards)), schema=TRIAL_SCHEMA, orient="row")
    with warehouse.pin() as snapshot:
        if not snapshot.files(EQUITY) or trials.is_empty():
            return Ledger(trials)
        kept = pl.col("run_id").is_in(trials["run_id"].to_list())
        equity = snapshot.scan(EQUITY).filter(kept).select("run_id", "open_time", "equity").collect()
    return Ledger(trials, equity)


def traded_of(card: Mapping[str, Any], /) -> str | None:
    """Return how a run traded what it predicted; None where its card is older and does not say."""
    rules, threshold = card.get("trading"), card.get("thresholds", {}).get("mixture")
    return None if rules is None or threshold is None else traded_as(rules, threshold)


# ------------------------------------------------------------------------------------


def _trial(card: dict[str, Any]) -> tuple[Any, ...]:
    """Runs from before there was a verdict have no figures of trading."""
    performance = (card.get("verdict") or {}).get("performance") or {}
    return (
        card["run_id"],
        card.get("created_at"),
        card.get("hashes", {}).get("predictions"),
        traded_of(card),
        card.get("scores", {}).get("mixture", {}).get("pr_auc"),
        performance.get("net_return"),
        performance.get("sharpe"),
    )
