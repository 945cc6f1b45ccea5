import re
from collections.abc import Iterator, Mapping
from dataclasses import replace

import polars as pl
import pytest

from mmf.report.comparison import comparison_page
from mmf.report.run import REFINERY, run_page
from tests.report.records import record
from tests.report.test_page import own

TITLES = (
    "Equity and drawdown",
    "Luck: the same trades at random times",
    "Each trade",
    "Costs",
    "Threshold sweep",
    "Scores beside what has to be beaten",
    "Reliability",
    "Probability over time",
    "Walk-forward folds",
    "Combinations of training and judged time",
    "Noise floor",
    "Trials so far",
    "Whom the gate trusts",
    "What each expert is worth",
    "Learning curve: cnn",
    "Feature drift",
    "Ranks in the council",
    "What each lag is worth",
    "Clusters of columns",
    "What Tensor Talk took away",
    "Latents and the label",
    "What the stable latents are made of",
)


def drawn(text: str) -> list[str]:
    return re.findall(r'<section class="holder"[^>]*>\n<h3>(.*?)</h3>', text)


def left_out(text: str) -> dict[str, str]:
    return dict(re.findall(r'<p class="absent"><strong>(.*?)\.</strong> (.*?)</p>', text))


def test_a_whole_run_is_drawn_whole() -> None:
    text = own(run_page(record()))
    assert tuple(drawn(text)) == TITLES
    assert left_out(text) == {}
    assert "Inconclusive: so it is." in text
    assert "core@v1@S2" in text


@pytest.mark.parametrize(
    ("table", "title", "command"),
    [
        ("noise_floor", "Noise floor", "mmf evaluate 20260101T000000-aaaaaa --noise-floor 20"),
        ("folds", "Walk-forward folds", "mmf evaluate 20260101T000000-aaaaaa --walk-forward 8"),
        ("audit", "Leak audit", "mmf audit 20260101T000000-aaaaaa"),
        ("equity", "Equity and drawdown", "mmf train bybit:linear:BTCUSDT:60"),
        ("clusters", "Clusters of columns", "mmf train bybit:linear:BTCUSDT:60"),
    ],
)
def test_a_table_that_is_absent_costs_its_picture_and_names_the_command(table: str, title: str, command: str) -> None:
    run = record()
    tables = {name: frame for name, frame in run.tables.items() if name != table}
    text = own(run_page(replace(run, tables=tables)))
    assert title not in drawn(text)
    assert f'<code class="command">{command}</code>' in left_out(text)[title]


def test_a_run_from_before_all_this_still_has_a_page() -> None:
    run = record()
    kept = ("run_id", "series", "table_state", "config", "scores")
    old = replace(run, card={name: run.card[name] for name in kept}, tables={})
    text = own(run_page(old))
    assert drawn(text) == ["Scores beside what has to be beaten"]
    assert "no verdict" in text


def test_empty_tables_leave_no_empty_picture() -> None:
    run = record(reliability=[], switched_off=[])
    names = ("trades", "random_schedules", "folds", "combinations", "noise_floor", "trials", "epochs", "drift", "audit")
    empty = {name: run.tables[name].clear() for name in names}
    text = own(run_page(replace(run, tables={**run.tables, **empty})))
    assert len(left_out(text)) == len(names) + 2
    assert all("Nothing to draw" in why for why in left_out(text).values())


def places(card: Mapping, above: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Every key of a card, by the way to it."""
    for name, value in card.items():
        yield (*above, name)
        if isinstance(value, Mapping):
            yield from places(value, (*above, name))


def without(card: Mapping, place: tuple[str, ...]) -> dict:
    first, *rest = place
    return {
        name: without(value, tuple(rest)) if name == first else value
        for name, value in card.items()
        if rest or name != first
    }


NEEDED = {("run_id",), ("config",), ("scores",)}  # what makes a file a card


def test_a_card_of_another_age_that_lacks_any_one_thing_still_has_its_pages() -> None:
    run, other = record(), record(run_id="20260202T000000-bbbbbb")
    drawn_from_cards = {name: run.tables[name] for name in ("cost_sensitivity", "random_schedules")}
    run = replace(run, card=run.card | {"scores": {name: run.card["scores"][name] for name in ("mixture", "trend")}})
    found = list(places(run.card))
    assert len(found) > 60
    for place in set(found) - NEEDED:
        older = replace(run, card=without(run.card, place), tables=drawn_from_cards)
        assert "Run card" in own(run_page(older)), place
        assert "What differs" in own(comparison_page(older, other)), place


@pytest.mark.parametrize("name", sorted(record().tables))
def test_a_table_of_another_age_costs_its_own_picture_alone(name: str) -> None:
    run = record()
    together = REFINERY if name in REFINERY else ("predictions", name)
    for column in run.tables[name].columns:
        tables = {one: run.tables[one] for one in together} | {name: run.tables[name].drop(column)}
        assert "Run card" in own(run_page(replace(run, tables=tables))), column


def test_the_audit_is_shown_with_what_failed_first() -> None:
    text = own(run_page(record()))
    assert text.index("one reads ahead") < text.index("all hold")
    assert "1 failed" in text
    assert "1 could not be made" in text
    assert text.index("one reads ahead") < text.index("no bars") < text.index("all hold")


def test_a_table_that_cannot_be_read_is_named() -> None:
    run = record()
    tables = {name: frame for name, frame in run.tables.items() if name != "drift"}
    text = own(run_page(replace(run, tables=tables, unreadable={"drift": "drift.parquet: cut off"})))
    assert "cut off" in left_out(text)["Feature drift"]


def test_what_is_too_good_is_loud() -> None:
    text = own(run_page(record(suspicious=[{"reason": "it knows the future"}])))
    assert text.index("it knows the future") < text.index('class="answer')


def test_names_with_markup_stay_names() -> None:
    run = record(series="bybit:linear:<b>X</b>:60")
    votes = run.tables["council_votes"].with_columns(pl.col("base", "column").str.replace("rsi", "<b>rsi</b>"))
    text = own(run_page(replace(run, tables={**run.tables, "council_votes": votes})))
    assert "<b>" not in text
    assert "&lt;b>rsi&lt;\\/b>" in text or "&lt;b>rsi&lt;/b>" in text
