"""Runs side by side, from their cards."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from mmf.cards import series_of
from mmf.errors import CallError

Card = Mapping[str, Any]


@dataclass(frozen=True)
class Compared:
    """How runs differ.

    Attributes
    ----------
    facts : pl.DataFrame
        One row a fact (`series`, `table state`, `verdict`, ...), one column a run, as text.
    config : pl.DataFrame
        The same of the settings that differ.
    scores : pl.DataFrame
        model, score, then one column a run; null where a run lacks it.
    is_same_rows : bool
        Whether all were judged on the very same rows: else their scores do not compare.
    """

    facts: pl.DataFrame
    config: pl.DataFrame
    scores: pl.DataFrame
    is_same_rows: bool


SCORES = ("pr_auc", "roc_auc", "precision", "recall", "brier", "log_loss")


def compare_runs(cards: Sequence[Card], /) -> Compared:
    """Compare two runs or more.

    Parameters
    ----------
    cards : sequence of mapping
        As `mmf.pipeline.artifacts.run_card` writes them; what an older card lacks is a dash.

    Raises
    ------
    CallError
        Fewer than two different runs.
    """
    ids = [card["run_id"] for card in cards]
    if len(set(ids)) < 2 or len(set(ids)) < len(ids):
        raise CallError("name two different runs or more. See them: mmf runs list")
    settings = [dict(_flat(card.get("config", {}))) for card in cards]
    names = [name for name in dict.fromkeys(n for one in settings for n in one) if _differs(name, settings)]
    judged = {card.get("hashes", {}).get("judged_rows") for card in cards}
    return Compared(
        facts=_table(ids, {fact: [_text(read(card)) for card in cards] for fact, read in _FACTS.items()}),
        config=_table(ids, {name: [_text(one.get(name)) for one in settings] for name in names}),
        scores=_scores(cards),
        is_same_rows=len(judged) == 1 and None not in judged,
    )


# ------------------------------------------------------------------------------------


def _performance(name: str, form: str):
    def read(card: Card) -> str | None:
        value = ((card.get("verdict") or {}).get("performance") or {}).get(name)
        return None if value is None else format(value, form)

    return read


_FACTS = {
    "series": lambda card: ", ".join(series_of(card)) or None,
    "table state": lambda card: card.get("table_state"),
    "created": lambda card: card.get("created_at"),
    "training rows": lambda card: _rows(card, "training"),
    "judged rows": lambda card: _rows(card, "judged"),
    "effort": lambda card: card.get("effort"),
    "columns selected": lambda card: card.get("council", {}).get("selected"),
    "columns refined": lambda card: (card.get("tensor_flex") or {}).get("count_stable"),
    "verdict": lambda card: (card.get("verdict") or {}).get("answer"),
    "net return": _performance("net_return", "+.1%"),
    "Sharpe": _performance("sharpe", ".2f"),
    "trades": _performance("n_trades", "d"),
    "threshold": lambda card: _rounded(card.get("thresholds", {}).get("mixture")),
    "data hash": lambda card: _short(card.get("hashes", {}).get("judged_rows")),
    "selection hash": lambda card: _short(card.get("hashes", {}).get("selection")),
    "predictions hash": lambda card: _short(card.get("hashes", {}).get("predictions")),
}


def _rows(card: Card, part: str) -> str | None:
    span = card.get("rows", {}).get(part)
    return span and f"{span['count']:,}  {span['first']} to {span['last']}"


def _rounded(value: float | None) -> str | None:
    return None if value is None else f"{value:.3f}"


def _short(text: str | None) -> str | None:
    return text and text[:12]


def _text(value: object) -> str:
    return "-" if value is None else str(value)


def _flat(config: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for name, value in config.items():
        found += _flat(value, f"{prefix}{name}.") if isinstance(value, Mapping) else [(f"{prefix}{name}", value)]
    return found


def _differs(name: str, settings: Sequence[Mapping[str, Any]]) -> bool:
    values = [_text(one.get(name)) for one in settings]
    return len(set(values)) > 1


def _table(ids: Sequence[str], rows: Mapping[str, Sequence[str]]) -> pl.DataFrame:
    columns = {"": list(rows)} | {run_id: [values[i] for values in rows.values()] for i, run_id in enumerate(ids)}
    return pl.DataFrame(columns, schema=dict.fromkeys(columns, pl.String))


def _scores(cards: Sequence[Card]) -> pl.DataFrame:
    models = dict.fromkeys(model for card in cards for model in card.get("scores", {}))
    rows = [
        (model, score, *(card.get("scores", {}).get(model, {}).get(score) for card in cards))
        for model in models
        for score in SCORES
    ]
    schema = {"model": pl.String, "score": pl.String, **{card["run_id"]: pl.Float64 for card in cards}}
    return pl.DataFrame(rows, schema=schema, orient="row")
