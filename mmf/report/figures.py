"""The top and the bottom of a run's page: the answer, key figures, and where the result comes from."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import polars as pl

from mmf.report.cells import cell_text
from mmf.report.parts import Colour, Light, Table, Tile

BPS = 10_000
ROUNDED = 0.095  # shares from here on are told without decimals
VOLATILITY = "volatility only"
_PERFORMANCE = (
    "net_return", "sharpe", "max_drawdown", "n_trades", "hit_rate", "exposure", "turnover", "break_even_cost"
)  # fmt: skip
_COLOURS: dict[str, Colour] = {"edge": "green", "inconclusive": "amber", "no edge": "red", "suspicious": "red"}


def light(card: Mapping[str, Any], /, *, title: str = "") -> Light:
    """Return the verdict of a run card; grey where the run is older than verdicts are."""
    verdict = card.get("verdict") or {}
    if not {"answer", "sentences"} <= verdict.keys():
        missing = ("This run has no verdict: it was trained before runs were backtested.", "Train the series again.")
        return Light("grey", "no verdict", missing, title)
    return Light(_COLOURS.get(verdict["answer"], "grey"), verdict["answer"], tuple(verdict["sentences"]), title)


def headline(card: Mapping[str, Any], /) -> str:
    """Return the verdict in one sentence."""
    return light(card).sentences[0]


def alarms(card: Mapping[str, Any], /) -> list[str]:
    """Return what is too good to be true, in words."""
    return [str(finding.get("reason", finding)) for finding in card.get("suspicious") or []]


def tiles(card: Mapping[str, Any], /) -> list[Tile]:
    """Return the key figures of a run card; those of the backtest only where there was one."""
    return [*_trading_tiles(card), *_score_tiles(card)]


def side_cost(card: Mapping[str, Any], /) -> float:
    """Return what a fill costs as a share of what is traded: fee and slippage."""
    costs = (card.get("config") or {}).get("costs") or {}
    return 1 - (1 - costs.get("fee", 0.0)) * (1 - costs.get("slippage", 0.0))


def lineage(card: Mapping[str, Any], /) -> list[Table]:
    """Return the run card as folded tables: where the data comes from, configuration, hashes and versions."""
    environment = card.get("environment", {})
    facts = {name: card.get(name) for name in ("run_id", "created_at", "series", "table_state", "definition_hash")}
    facts |= {name: environment.get(name) for name in ("python", "machine")}
    data = facts | _flat({"rows": card.get("rows", {})})
    groups = {
        "Data lineage": ("The table state holds the data exactly: definitions, and a snapshot of the warehouse.", data),
        "Configuration": ("The same, asked again of the same table state, gives the same result.", configuration(card)),
        "Hashes": ("sha256 of what went in and what came out: equal hashes are equal numbers.", card.get("hashes")),
        "Versions": ("Packages that the result depends on.", environment.get("packages")),
        "Vital signs": ("How large the parts of the model are.", card.get("vital_signs")),
    }
    return [
        Table(title, caption, facts_frame(shown), is_folded=True) for title, (caption, shown) in groups.items() if shown
    ]


def configuration(card: Mapping[str, Any], /) -> dict[str, Any]:
    """Return all that a run was asked for, by dotted name."""
    names = ("config", "trading", "effort", "effort_reasons", "thresholds")
    return _flat({name: card[name] for name in names if card.get(name) is not None})


def facts_frame(facts: Mapping[str, Any], /) -> pl.DataFrame:
    """Return names and values as a frame of two text columns."""
    rows = [(name.replace("_", " "), cell_text(value)) for name, value in facts.items()]
    return pl.DataFrame(rows, schema={"what": pl.String, "value": pl.String}, orient="row")


# ------------------------------------------------------------------------------------


def _trading_tiles(card: Mapping[str, Any]) -> Iterator[Tile]:
    verdict = card.get("verdict") or {}
    if not verdict.get("performance"):
        return
    found = dict.fromkeys(_PERFORMANCE) | verdict["performance"]
    yield Tile("Net return", _share(found["net_return"], "+.1%"), f"98 % sure: {_range(verdict.get('interval'))}")
    yield Tile("Buy and hold", _share(verdict.get("buy_and_hold"), "+.1%"), "of the same stretch")
    yield Tile("Timing adds", _range(verdict.get("timing")), "98 % sure, to holding as much all the time")
    yield Tile("Random entry times", _share(verdict.get("p_random"), ".1%"), "did as well or better")
    yield Tile(
        "Sharpe, a year", _share(found["sharpe"], ".2f"), f"max. drawdown {_share(found['max_drawdown'], '.1%')}"
    )
    yield Tile("Trades", cell_text(found["n_trades"]), f"{_share(found['hit_rate'], '.0%')} gained")
    turnover = _share(found["turnover"], ",.0f")
    yield Tile("In the market", _share(found["exposure"], ".0%"), f"turnover {turnover} times a year")
    even = found["break_even_cost"]
    yield Tile(
        "Break-even cost",
        "-" if even is None else f"{even * BPS:.1f} bps",
        f"{side_cost(card) * BPS:.1f} bps are paid a side",
    )
    yield Tile("Deflated Sharpe", _share(verdict.get("deflated_sharpe"), ".0%"), "sure that it is above luck")
    overfitting = verdict.get("overfitting_probability")
    note = "overfitting not known yet" if overfitting is None else f"{overfitting:.0%} likely overfitted"
    yield Tile("Trials", cell_text(verdict.get("n_trials")), note)


def _score_tiles(card: Mapping[str, Any]) -> Iterator[Tile]:
    scores = card.get("scores") or {}
    mixture = scores.get("mixture")
    if not mixture:
        return
    beside = scores.get(VOLATILITY, {}).get("pr_auc")
    coin = mixture.get("base_rate")
    yield Tile("PR-AUC", _score(mixture.get("pr_auc")), f"coin {_score(coin)}, volatility {_score(beside)}")
    n, independent = mixture.get("n"), mixture.get("n_effective")
    yield Tile("Independent rows", _share(independent, ",.0f"), f"of {_share(n, ',')} judged: labels overlap")


def _flat(tree: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in tree.items():
        path = f"{above}.{name}" if above else name
        if isinstance(value, Mapping):
            found |= _flat(value, path)
        else:
            found[path] = ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else value
    return found


def _range(bounds: Sequence[float] | None) -> str:
    # a sign that decides must not be rounded away
    return " to ".join(f"{x:+.1%}" if abs(x) < ROUNDED else f"{x:+.0%}" for x in bounds) if bounds else "-"


def _share(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)


def _score(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
