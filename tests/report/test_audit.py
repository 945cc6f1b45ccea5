import re

import pytest

from mmf.evaluation.leaks import Check, LeakAudit
from mmf.report.audit import audit_page
from tests.report.test_page import own

PASSED = Check("Features", "no bar was forming", "pass", "9 bars.")
FAILED = Check("Split", "purged as the horizon asks", "fail", "36 rows too many.", "Train again.")
SKIPPED = Check("Model", "the stored model says the same", "skipped", "no model <here>.", "Restore it.")


@pytest.mark.parametrize(
    ("checks", "answer", "colour", "sentence"),
    [
        ((PASSED,), "clean", "green", "Nothing in R was seen to know the future."),
        ((PASSED, FAILED, SKIPPED), "leak found", "red", "R is not to be believed: one check failed."),
        ((PASSED, SKIPPED), "incomplete", "amber", "What could be checked of R is clean."),
        ((), "incomplete", "amber", "0 of 0 checks passed."),
    ],
)
def test_the_answer_stands_on_top_with_its_colour(checks, answer, colour, sentence) -> None:
    audit = LeakAudit("R", checks)
    assert audit.answer == answer
    text = own(audit_page(audit))
    assert f'class="answer {colour}"' in text
    assert f'<p class="word">{answer}</p>' in text
    assert sentence in text


def test_every_check_is_shown_in_its_group_with_what_to_do() -> None:
    text = own(audit_page(LeakAudit("R", (PASSED, FAILED, SKIPPED))))
    assert re.findall(r'<h2 class="group"[^>]*>(.*?)</h2>', text) == ["Features", "Split", "Model"]
    assert text.count("what to do") == 2  # not where all passed
    assert "no model &lt;here&gt;." in text
    assert re.findall(r'status (\w+)">. (\w+)', text) == [("good", "pass"), ("bad", "fail"), ("open", "skipped")]
