import re
from dataclasses import replace

import polars as pl
import pytest

from mmf.report.run import run_page
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
        ("equity", "Equity and drawdown", "mmf train bybit:linear:BTCUSDT:60"),
        ("clusters", "Clusters of columns", "mmf train bybit:linear:BTCUSDT:60"),
    ],
)
def test_a_table_that_is_absent_costs_its_picture_and_names_the_command(table: str, title: str, command: str) -> None:
    run = record()
    tables = {name: frame for name, frame in run.tables.items() if name != table}
    text = own(run_page(replace(run, tables=tables)))
    assert title not in drawn(text)
    assert f"<code>{command}</code>" in left_out(text)[title]


def test_a_run_from_before_all_this_still_has_a_page() -> None:
    run = record()
    kept = ("run_id", "series", "table_state", "config", "scores")
    old = replace(run, card={name: run.card[name] for name in kept}, tables={})
    text = own(run_page(old))
    assert drawn(text) == ["Scores beside what has to be beaten"]
    assert "no verdict" in text


def test_empty_tables_leave_no_empty_picture() -> None:
    run = record(reliability=[], switched_off=[])
    names = ("trades", "random_schedules", "folds", "combinations", "noise_floor", "trials", "epochs", "drift")
    empty = {name: run.tables[name].clear() for name in names}
    text = own(run_page(replace(run, tables={**run.tables, **empty})))
    assert len(left_out(text)) == len(names) + 2
    assert all("Nothing to draw" in why for why in left_out(text).values())


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
