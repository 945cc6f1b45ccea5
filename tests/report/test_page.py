import json
import re

import plotly.graph_objects as go
import polars as pl
import pytest

from mmf.report.cells import cell_text
from mmf.report.page import page
from mmf.report.parts import Chart, Group, Light, Note, Table, Tile

BARS = Chart("A <title>", "Read & weep: `mmf`.", go.Figure(go.Bar(x=["a</script>", "b"], y=[1, 2]), {"height": 300}))
MARKUP = "<img src=x onerror=alert(1)>"


def own(text: str) -> str:
    """The page without the drawing library."""
    start = text.rindex("<script>", 0, text.index("plotly.js v"))
    return text[:start] + text[text.index("</script>", start) :]


def data_of(text: str) -> list[dict]:
    return [json.loads(part) for part in re.findall(r'<script type="application/json">(.*?)</script>', text, re.DOTALL)]


def test_a_page_is_whole_and_fetches_nothing() -> None:
    text = page("Title & more", "In short.", [BARS])
    assert "Plotly" in text
    assert re.findall(r'(?:src|href)="[^#]|url\(|@import', own(text)) == []
    assert "<title>Title &amp; more</title>" in text
    assert "A &lt;title&gt;" in text
    assert "Read &amp; weep: <code>mmf</code>." in text
    assert 'style="height:300px"' in text


def test_text_of_the_data_cannot_end_the_script() -> None:
    assert data_of(page("t", "s", [BARS]))[0]["data"][0]["x"] == ["a&lt;/script>", "b"]


def test_no_text_becomes_markup() -> None:
    chart = Chart(MARKUP, MARKUP, go.Figure(go.Scatter(x=[1], y=[MARKUP], name=MARKUP, customdata=[[MARKUP]])))
    table = Table(MARKUP, MARKUP, pl.DataFrame({MARKUP: [MARKUP], "is": [MARKUP]}), status="is")
    text = page(
        MARKUP,
        MARKUP,
        [Group(MARKUP, MARKUP, [chart, table, Note(MARKUP, MARKUP, MARKUP)])],
        lights=[Light("red", MARKUP, (MARKUP, MARKUP), MARKUP)],
        tiles=[Tile(MARKUP, MARKUP, MARKUP)],
        alarms=[MARKUP],
    )
    assert "<img" not in own(text)
    assert own(text).count("&lt;img") >= 22


def test_alarms_stand_before_the_answer_and_the_answer_before_all_else() -> None:
    text = own(page("t", "s", [BARS], lights=[Light("red", "no edge", ("So it is.",))], alarms=["too good"]))
    places = [text.index(part) for part in ("too good", "So it is.", 'id="chart-0"')]
    assert places == sorted(places)


@pytest.mark.parametrize(("colour", "sign"), [("green", "✓"), ("amber", "?"), ("red", "✕")])
def test_a_light_has_a_word_and_a_sign_beside_its_colour(colour: str, sign: str) -> None:
    text = page("t", "s", [], lights=[Light(colour, "the word", ("So it is.",))])
    assert f'<span class="lamp {colour} lit">{sign}</span>' in text
    assert own(text).count("lamp") - own(text).count(".lamp") == 3
    assert 'aria-label="the word"' in text


def test_the_contents_lead_to_each_group() -> None:
    text = own(page("t", "s", [Group("One", "", [BARS]), Group("Two", "", [BARS, BARS])]))
    assert re.findall(r'href="#([^"]+)"', text) == ["group-0", "group-1"]
    assert re.findall(r'id="(group-\d)"', text) == ["group-0", "group-1"]
    assert re.findall(r'id="(chart-\d)"', text) == ["chart-0", "chart-1", "chart-2"]


def test_the_first_chart_is_number_0_whatever_stands_before_it() -> None:
    table, note = Table("Figures", "", pl.DataFrame({"a": [1]})), Note("Absent", "Not there.")
    text = own(page("t", "s", [note, BARS, Group("One", "", [table, note, BARS, table, BARS])]))
    assert re.findall(r'id="(chart-\d)"', text) == ["chart-0", "chart-1", "chart-2"]


def test_a_table_shows_its_status_with_a_sign_and_may_be_folded() -> None:
    frame = pl.DataFrame({"check_name": ["a", "b", "c"], "n_rows": [1200, 2, 3], "status": ["pass", "fail", "skipped"]})
    text = own(page("t", "s", [Table("Checks", "All.", frame, status="status", is_folded=True)]))
    assert "<summary>Checks</summary>" in text
    assert re.findall(r'class="status (\w+)">(.) (\w+)<', text) == [
        ("good", "✓", "pass"),
        ("bad", "✕", "fail"),
        ("open", "•", "skipped"),
    ]
    assert '<th class="text">check name</th>' in text
    assert '<td class="number">1,200</td>' in text


def test_what_is_not_there_is_named_with_the_command_that_gets_it() -> None:
    text = page("t", "s", [Note("Noise floor", "Not asked for:", "mmf evaluate R --noise-floor 20")])
    assert '<code class="command">mmf evaluate R --noise-floor 20</code>' in text


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "-"), (True, "yes"), (12_345, "12,345"), (0.123456, "0.1235"), (12_345.6, "12,346"), ("S17", "S17")],
)
def test_cells(value: object, text: str) -> None:
    assert cell_text(value) == text
