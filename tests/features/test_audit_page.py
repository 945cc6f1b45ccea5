from html.parser import HTMLParser

import polars as pl
import pytest

from mmf.features.audit_page import audit_page

FOUND = pl.DataFrame(
    {
        "column": ["rsi_14", "hurst_200", "mine"],
        "family": ["momentum", "chaos", "<user>"],
        "kind": ["memory", "lookback", "lookback"],
        "declared": [336, 200, 3],
        "measured": [290, 200, 5],
        "leak_rows": [0, 0, 12],
        "verdict": ["sound", "sound", "a < b"],
        "is_sound": [True, True, False],
    }
)


class Tags(HTMLParser):
    """Open tags, which must all be closed; widths of bars; rows by class."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.widths: list[float] = []
        self.rows: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag != "meta":
            self.open.append(tag)
        if tag == "tr":
            self.rows.append(given.get("class") or "")
        if (style := given.get("style") or "").startswith("width:"):
            self.widths.append(float(style[6:-1]))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.fixture
def tags() -> Tags:
    parsed = Tags()
    parsed.feed(audit_page(FOUND, title="core & mine"))
    return parsed


def test_the_page_is_whole_and_marks_what_failed(tags: Tags):
    assert tags.open == []
    assert tags.rows == ["", "family", "", "family", "", "family", "failed"]


def test_bars_grow_with_memory(tags: Tags):
    declared, measured = tags.widths[::2], tags.widths[1::2]
    assert declared[0] == 100
    assert declared[0] > declared[1] > declared[2] > 0
    assert measured[0] < declared[0]
    assert measured[1] == declared[1]
    assert measured[2] > declared[2]


def test_text_is_escaped_and_nothing_is_fetched():
    page = audit_page(FOUND, title="core & mine")
    assert "core &amp; mine" in page
    assert "&lt;user&gt;" in page
    assert "a &lt; b" in page
    assert "2 of 3 columns are sound" in page
    assert "http" not in page
