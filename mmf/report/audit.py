"""The page of a leak audit."""

from itertools import groupby

import polars as pl

from mmf.evaluation.leaks import Check, LeakAudit
from mmf.report.page import page
from mmf.report.parts import Colour, Group, Light, Table, Tile

_COLOURS: dict[str, Colour] = {"clean": "green", "leak found": "red", "incomplete": "amber"}
_QUESTIONS = {
    "Record": "Is what lies in the run's folder what the run recorded?",
    "Features": "Could a row know bars that came after it?",
    "Labels": "Is what was predicted what happened, and was it known when it was used?",
    "Split": "Were the judged rows kept apart in time from all that was fitted?",
    "Selection": "Would council and refinery have chosen the same, had the judged rows been others?",
    "Target proxies": "Does a single column, a score or the scoring itself know the answer?",
    "Model": "Does the stored model say what the run said, whatever comes later?",
}


def audit_page(audit: LeakAudit, /) -> str:
    """Return the verdict page of an audit as HTML: the answer on top, then every check with what was measured."""
    counts = {status: sum(check.status == status for check in audit.checks) for status in ("pass", "fail", "skipped")}
    tiles = [Tile(*tile) for tile in zip(("Passed", "Failed", "Not checked"), map(str, counts.values()), strict=True)]
    groups = [
        Group(name, _QUESTIONS[name], [_table(list(checks))])
        for name, checks in groupby(audit.checks, key=lambda check: check.group)
    ]
    light = Light(_COLOURS[audit.answer], audit.answer, audit.sentences)
    summary = "What the run left behind, against rows that were read, labelled and cut anew from its own snapshot."
    return page(f"Leak audit of {audit.run_id}", summary, groups, lights=[light], tiles=tiles)


# ------------------------------------------------------------------------------------


def _table(checks: list[Check]) -> Table:
    columns = {
        "what_must_hold": [check.name for check in checks],
        "is": [check.status for check in checks],
        "what_was_measured": [check.finding for check in checks],
    }
    if any(check.next_step for check in checks):
        columns["what_to_do"] = [check.next_step for check in checks]
    n_passed = sum(check.status == "pass" for check in checks)
    title = f"{n_passed} of {len(checks)} passed"
    return Table(title, _METHODS[checks[0].group], pl.DataFrame(columns), status="is")


_METHODS = {
    "Record": "The card in the folder beside the one that the warehouse keeps.",
    "Features": "Stored values beside values computed anew; the same table where bars after some time are other ones.",
    "Labels": "Counted again from the bars, one by one.",
    "Split": "Counts, times and hashes of the card beside a plain count.",
    "Selection": "Fitted again in a market of the same past and another future.",
    "Target proxies": "How well columns and scores tell the target, beside how well an honest one can.",
    "Model": "What the stored model says now beside what the run said.",
}
