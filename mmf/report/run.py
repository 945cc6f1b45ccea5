"""The page of one run."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import polars as pl

from mmf.cards import series_of
from mmf.report.evidence import audit_tables, combination_charts, fold_charts, noise_floor_charts, trial_charts
from mmf.report.figures import alarms, light, lineage, side_cost, tiles
from mmf.report.inside import drift_charts, epoch_charts, gate_charts, uplift_charts
from mmf.report.page import page
from mmf.report.parts import Chart, Group, Note, Part, Table
from mmf.report.scores import probability_charts, reliability_charts, score_charts
from mmf.report.selection import council_charts, refinery_charts, strongest
from mmf.report.trading import cost_charts, equity_charts, schedule_charts, sweep_charts, trade_charts

REFINERY = ("clusters", "members", "latents", "loadings")


@dataclass(frozen=True)
class RunRecord:
    """What a run left behind.

    Attributes
    ----------
    card : mapping
        The run card; an older one may lack keys.
    tables : mapping of str to pl.DataFrame
        By name: `predictions`, those of `tables/` and the refinery's; one that is absent is not drawn.
    unreadable : mapping of str to str
        By name, why a table that is there could not be read.
    """

    card: Mapping[str, Any]
    tables: Mapping[str, pl.DataFrame]
    unreadable: Mapping[str, str]

    @property
    def run_id(self) -> str:
        """Which run it is."""
        return str(self.card["run_id"])

    @property
    def verdict(self) -> Mapping[str, Any]:
        """The card's verdict; empty where it has none."""
        return self.card.get("verdict") or {}


class Picture(NamedTuple):
    """What is drawn from which tables, and how to get them.

    Attributes
    ----------
    title : str
        Named where it cannot be drawn.
    needs : tuple of str
        Tables without which it is not drawn.
    draw : callable(RunRecord)
        Returns what is shown; nothing where the tables hold nothing to draw.
    command : str
        What writes the tables, with RUN for the run's name; empty where every run has them.
    """

    title: str
    needs: tuple[str, ...]
    draw: Callable[[RunRecord], Sequence[Part]]
    command: str = ""


def run_page(run: RunRecord, /) -> str:
    """Return the page of a run as HTML.

    A picture whose table is not there is left out, with a line that says how to get it.
    """
    card = run.card
    rows = card.get("rows", {}).get("judged", {})
    summary = (
        f"{', '.join(series_of(card)) or 'unknown series'}, table state {card.get('table_state', 'unknown')}; "
        f"judged on {rows.get('count', 0):,} rows from {rows.get('first', '?')} to {rows.get('last', '?')} UTC "
        "that no fit has seen."
    )
    groups: list[Part | Group] = [
        Group(title, lead, list(_parts(run, pictures))) for title, lead, pictures in _CONTENTS
    ]
    groups.append(Group("Run card", "Where the result comes from, and how to get it again.", _run_card(run)))
    title = f"Run {run.run_id}"
    return page(title, summary, groups, lights=[light(card)], tiles=tiles(card), alarms=alarms(card))


# ------------------------------------------------------------------------------------


def _parts(run: RunRecord, pictures: tuple[Picture, ...]) -> Iterator[Part]:
    for picture in pictures:
        absent = [name for name in picture.needs if name not in run.tables]
        try:
            shown = [] if absent else picture.draw(run)
        except pl.exceptions.ColumnNotFoundError as error:
            column = str(error).partition("\n")[0]
            yield Note(picture.title, f"Its table was written by another version of MMF: {column} is absent.")
            continue
        yield from shown or [_left_out(run, picture, absent)]


def _left_out(run: RunRecord, picture: Picture, absent: list[str]) -> Note:
    why = [run.unreadable[name] for name in absent if name in run.unreadable]
    if why:
        return Note(picture.title, f"Its table cannot be read: {why[0]}")
    if not absent:
        return Note(picture.title, "Nothing to draw: its table is empty, or the run has no such part.")
    if picture.command:
        command = picture.command.replace("RUN", run.run_id)
        return Note(picture.title, "It takes work of its own and was not asked for yet. To get it:", command)
    text = f"The run left no {absent[0].replace('_', ' ')} behind. A new training does:"
    return Note(picture.title, text, f"mmf train {' '.join(series_of(run.card)) or 'SERIES'}")


def _run_card(run: RunRecord) -> list[Table]:
    regimes = run.card.get("telemetry_by_regime")
    shares = Table(
        "Gate by regime",
        "Mean shares over tertiles of Hurst exponent and entropy, cut on training rows. Equal rows mean that the gate "
        "does not mind the regime.",
        pl.DataFrame(regimes or [], infer_schema_length=None),
        is_folded=True,
    )
    return [*lineage(run.card), *([shares] if regimes else [])]


def _draw_equity(run: RunRecord) -> list[Chart]:
    return equity_charts(run.tables["equity"])


def _draw_schedules(run: RunRecord) -> list[Chart]:
    return schedule_charts(run.tables["random_schedules"], run.verdict)


def _draw_trades(run: RunRecord) -> list[Chart]:
    return trade_charts(run.tables["trades"])


def _draw_sweep(run: RunRecord) -> list[Chart]:
    return sweep_charts(run.tables["threshold_sweep"])


def _draw_costs(run: RunRecord) -> list[Chart]:
    return cost_charts(run.tables["cost_sensitivity"], run.verdict, side_cost(run.card))


def _draw_scores(run: RunRecord) -> list[Chart]:
    return score_charts(run.tables.get("score_intervals"), run.card["scores"])


def _draw_reliability(run: RunRecord) -> list[Chart]:
    told = pl.DataFrame(run.card.get("reliability") or [])
    return reliability_charts(told, horizon=(run.card["config"].get("label") or {}).get("horizon") or 1)


def _draw_probability(run: RunRecord) -> list[Chart]:
    threshold = (run.card.get("thresholds") or {}).get("mixture")
    return probability_charts(run.tables["predictions"], threshold, run.tables.get("trades"))


def _draw_noise(run: RunRecord) -> list[Chart]:
    mixture = run.card["scores"].get("mixture") or {}
    return noise_floor_charts(run.tables["noise_floor"], {name: mixture.get(name) for name in ("roc_auc", "pr_auc")})


def _draw_drift(run: RunRecord) -> list[Chart]:
    loadings = run.tables.get("loadings")
    return drift_charts(run.tables["drift"], {} if loadings is None else strongest(loadings))


def _draw_gate(run: RunRecord) -> list[Chart]:
    return gate_charts(run.tables["predictions"], run.tables.get("market"))


_CONTENTS: tuple[tuple[str, str, tuple[Picture, ...]], ...] = (
    (
        "Money",
        "Would it have made money after costs, and is that more than luck?",
        (
            Picture("Equity and drawdown", ("equity",), _draw_equity),
            Picture("Luck: the same trades at random times", ("random_schedules",), _draw_schedules),
            Picture("Each trade", ("trades",), _draw_trades),
            Picture("Costs", ("cost_sensitivity",), _draw_costs),
            Picture("Threshold sweep", ("threshold_sweep",), _draw_sweep),
        ),
    ),
    (
        "Scores",
        "Does the model know anything that a plain look at volatility does not?",
        (
            Picture("Scores beside what has to be beaten", (), _draw_scores),
            Picture("Reliability", (), _draw_reliability),
            Picture("Probability over time", ("predictions",), _draw_probability),
        ),
    ),
    (
        "Evidence",
        "Does it hold on other stretches of time, and what does the same pipeline make of nothing?",
        (
            Picture(
                "Walk-forward folds",
                ("folds",),
                lambda run: fold_charts(run.tables["folds"]),
                "mmf evaluate RUN --walk-forward 8",
            ),
            Picture(
                "Combinations of training and judged time",
                ("combinations",),
                lambda run: combination_charts(run.tables["combinations"]),
                "mmf evaluate RUN --combinations",
            ),
            Picture("Noise floor", ("noise_floor",), _draw_noise, "mmf evaluate RUN --noise-floor 20"),
            Picture("Trials so far", ("trials",), lambda run: trial_charts(run.tables["trials"], run.run_id)),
            Picture("Leak audit", ("audit",), lambda run: audit_tables(run.tables["audit"]), "mmf audit RUN"),
        ),
    ),
    (
        "Inside",
        "Whom does the gate trust, what did the parts learn, and has the market moved since?",
        (
            Picture("Whom the gate trusts", ("predictions",), _draw_gate),
            Picture(
                "What each expert is worth", (), lambda run: uplift_charts(run.card.get("switched_off") or [])
            ),
            Picture("Learning curves", ("epochs",), lambda run: epoch_charts(run.tables["epochs"])),
            Picture("Feature drift", ("drift",), _draw_drift),
        ),
    ),
    (
        "Selection",
        "What did the council vote for, and what did the refinery make of it?",
        (
            Picture(
                "Ranks in the council", ("council_votes",), lambda run: council_charts(run.tables["council_votes"])
            ),
            Picture(
                "Clusters of columns", REFINERY, lambda run: refinery_charts(*(run.tables[name] for name in REFINERY))
            ),
        ),
    ),
)  # fmt: skip
