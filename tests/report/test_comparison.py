import re
from dataclasses import replace

from mmf.report.comparison import comparison_page
from mmf.report.run import RunRecord
from tests.report.records import VERDICT, record
from tests.report.test_page import own


def other(**changes) -> RunRecord:
    return record(run_id="20260202T000000-bbbbbb", **changes)


def rows_of(text: str) -> dict[str, list[str]]:
    lines = re.findall(r"<tr>(.*?)</tr>", text)
    cells = [[re.sub("<[^>]+>", "", cell) for cell in re.findall(r"<td[^>]*>(.*?)</td>", line)] for line in lines]
    return {first: rest for first, *rest in filter(None, cells)}


def test_two_runs_stand_beside_each_other_and_what_differs_is_named() -> None:
    config = record().card["config"] | {"seed": 4}
    edge = VERDICT | {"answer": "edge", "sentences": ["Edge: yes.", "b", "c"]}
    text = own(comparison_page(record(), other(config=config, verdict=edge)))
    assert "Inconclusive: so it is." in text
    assert "Edge: yes." in text
    rows = rows_of(text)
    assert rows["Net return"] == ["+2.1%", "+2.1%"]
    assert rows["config.seed"] == ["0", "4", "✕ differs"]
    assert rows["numpy"] == ["2.4.6", "2.4.6", "✓ same"]
    assert text.index("config.seed") < text.index("What is the same") < text.index("numpy")


def test_it_says_whether_the_rows_are_the_same() -> None:
    told = [
        own(comparison_page(record(hashes={"judged_rows": "x"}), other(hashes={"judged_rows": hashed}, **more)))
        for hashed, more in (("x", {}), ("y", {}), ("y", {"series": "another"}))
    ]
    assert "judged on the same rows" in told[0]
    assert "same stretch" in told[1]
    assert "judged on different rows" in told[2]


def test_alarms_say_whose_they_are() -> None:
    text = own(comparison_page(record(), other(suspicious=[{"reason": "too good"}])))
    assert "<li>B: too good</li>" in text


def test_runs_without_a_backtest_are_compared_by_what_they_have() -> None:
    text = own(comparison_page(*(replace(run, tables={}) for run in (record(verdict=None), other(verdict=None)))))
    assert "Neither run was backtested" in text
    assert "PR-AUC" in text
