import polars as pl
import pytest

from mmf.evaluation.replays import (
    HASHES,
    Line,
    Replay,
    compared,
    compared_hashes,
    environment_changes,
    selection_difference,
    table_difference,
)

SAME = dict.fromkeys(HASHES, "a" * 64)
HERE = {"packages": {"polars": "2.1", "numpy": "2.4"}, "python": "3.11.2", "machine": "Linux x86_64, 2 cores"}


def replay(*statuses: str) -> Replay:
    return Replay("R", tuple(Line(f"thing {i}", status) for i, status in enumerate(statuses)))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("statuses", "answer", "told"),
    [
        (("same", "same"), "same", "2 of 2 things"),
        (("same", "differs", "differs"), "differs", "The first thing that differs: thing 1."),
        (("not compared", "differs"), "differs", "thing 1"),
        (("same", "not compared"), "incomplete", "Not compared: thing 1."),
    ],
)
def test_the_answer_is_same_only_where_everything_was_compared(statuses, answer, told) -> None:
    assert replay(*statuses).answer == answer
    assert told in replay(*statuses).headline


def test_each_hash_is_compared_by_itself() -> None:
    found = compared_hashes(SAME, {**SAME, "selection": "b" * 64}, details={"selection": "only now: rsi_3."})
    assert [line.what for line in found] == [name.replace("_", " ") for name in HASHES]
    assert [line.what for line in found if line.status == "differs"] == ["selection"]
    assert found[2] == Line("selection", "differs", "a" * 12, "b" * 12, "only now: rsi_3.")
    assert found[0].detail == ""


def test_what_an_older_card_does_not_say_is_not_taken_for_the_same() -> None:
    assert compared("effort", None, {"epochs": 3}).status == "not compared"
    assert compared_hashes({}, SAME)[0].status == "not compared"


def test_versions_and_machines_that_changed_are_named() -> None:
    assert environment_changes(HERE, HERE) == []
    other = {**HERE, "packages": {"polars": "2.0", "torch": "2.9"}, "machine": "Linux aarch64, 4 cores"}
    assert environment_changes(other, HERE) == [
        "polars was 2.0, here it is 2.1",
        "torch was 2.9, here it is absent",
        "machine was Linux aarch64, 4 cores, here it is Linux x86_64, 2 cores",
        "numpy was absent, here it is 2.4",
    ]
    assert "python was absent, here it is 3.11.2" in environment_changes({}, HERE)


def test_columns_that_came_and_went_are_named() -> None:
    assert selection_difference(["a", "b"], ["b", "c"]) == "only then: a; only now: c."
    assert selection_difference(["a", "b"], ["b", "a"]) == "the same columns in another order."
    many = [f"c{i}" for i in range(9)]
    assert selection_difference(many, []) == "only then: c0, c1, c2, c3, c4 and 4 more."


def test_tables_that_differ_say_where_and_how_far() -> None:
    before = pl.DataFrame({"time": ["x", "y"], "p": [0.5, None], "q": [1.0, 2.0]})
    now = pl.DataFrame({"time": ["x", "z"], "p": [0.25, None], "q": [1.0, 2.0]})
    assert table_difference(before, now) == "2 columns differ: time, p by 0.25."
    assert table_difference(before, now[:1]) == "2 rows then, 1 now."
    assert table_difference(before, now.drop("q")) == "only then: q."
