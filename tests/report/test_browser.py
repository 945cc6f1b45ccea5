"""The pages in a real browser; skipped where there is none."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import plotly.graph_objects as go
import pytest
from playwright.sync_api import sync_playwright

from mmf.report.comparison import comparison_page
from mmf.report.page import page
from mmf.report.parts import Chart
from mmf.report.run import run_page
from tests.report.records import record

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium to open the pages in")

ALL_DRAWN = "[...document.querySelectorAll('section.holder')].every((holder) => holder.dataset.drawn)"
# a chart that shows nothing has axes, but not one of these
MARKS = ".scatterlayer path, .barlayer path, .heatmaplayer image, .treemaplayer path"
EMPTY = f"[...document.querySelectorAll('.chart')].filter((chart) => !chart.querySelector('{MARKS}')).map((c) => c.id)"


@pytest.fixture(scope="module")
def browser() -> Iterator:
    with sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("pages")
    texts = {
        "run": run_page(record(suspicious=[{"reason": "it knows the future"}])),
        "comparison": comparison_page(record(), record(run_id="20260202T000000-bbbbbb")),
    }
    for name, text in texts.items():
        (folder / f"{name}.html").write_text(text, encoding="utf-8")
    return {name: folder / f"{name}.html" for name in texts}


@pytest.fixture
def open_page(browser) -> Iterator:
    contexts, complaints = [], []

    def opened(path: Path, **options):
        contexts.append(browser.new_context(offline=True, **options))
        shown = contexts[-1].new_page()
        shown.on("console", lambda message: complaints.append(message.text))
        shown.on("pageerror", lambda error: complaints.append(str(error)))
        shown.on("request", lambda request: complaints.append(request.url) if "://" in request.url[5:] else None)
        shown.goto(path.as_uri())
        shown.wait_for_function(ALL_DRAWN)
        return shown

    yield opened
    for context in contexts:
        context.close()
    assert complaints == []


SCREENS = {
    "wide": {"viewport": {"width": 1200, "height": 900}},
    "dark": {"viewport": {"width": 1200, "height": 900}, "color_scheme": "dark"},
    "phone": {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True},
}


@pytest.mark.parametrize("screen", SCREENS)
@pytest.mark.parametrize("name", ["run", "comparison"])
def test_every_chart_is_drawn_and_the_page_is_no_wider_than_the_screen(open_page, pages, name, screen) -> None:
    shown = open_page(pages[name], **SCREENS[screen])
    assert shown.locator("section.holder").count() == {"run": 22, "comparison": 3}[name]
    assert shown.evaluate(EMPTY) == []
    width = SCREENS[screen]["viewport"]["width"]
    assert shown.evaluate("document.documentElement.scrollWidth") <= width
    assert shown.evaluate("Math.max(...[...document.querySelectorAll('.main-svg')].map((s) => s.clientWidth))") <= width


def test_text_is_light_on_a_dark_screen_and_dark_on_a_light_one(open_page, pages) -> None:
    shown = open_page(pages["comparison"], **SCREENS["wide"])
    colour = "() => getComputedStyle(document.querySelector('#chart-0 .xtick text')).fill"
    assert shown.evaluate(colour) == "rgb(28, 30, 33)"
    shown.emulate_media(color_scheme="dark")
    shown.wait_for_function(f"({colour})() === 'rgb(228, 230, 235)'")


def test_pointing_at_a_line_tells_its_figures(open_page, pages) -> None:
    shown = open_page(pages["comparison"], **SCREENS["wide"])
    shown.locator("#chart-0").scroll_into_view_if_needed()
    shown.locator("#chart-0 .nsewdrag").first.hover()
    assert "A, holding" in shown.locator("#chart-0 .hoverlayer").text_content(timeout=5000)


def test_the_legend_hides_a_line(open_page, pages) -> None:
    shown = open_page(pages["comparison"], **SCREENS["wide"])
    shown.locator("#chart-0").scroll_into_view_if_needed()
    visible = "() => document.getElementById('chart-0').data.map((trace) => trace.visible ?? true)"
    assert shown.evaluate(visible) == [True] * 4
    shown.locator("#chart-0 .legendtoggle").nth(2).click()
    shown.wait_for_function(f"({visible})()[2] === 'legendonly'")


def test_drawing_a_box_zooms_and_two_clicks_go_back(open_page, pages) -> None:
    shown = open_page(pages["comparison"], **SCREENS["wide"])
    shown.locator("#chart-0").scroll_into_view_if_needed()
    box = shown.locator("#chart-0 .nsewdrag").first.bounding_box()
    span = "() => document.getElementById('chart-0').layout.xaxis.range.reduce((a, b) => new Date(b) - new Date(a))"
    whole = shown.evaluate(span)
    shown.mouse.move(box["x"] + 200, box["y"] + 40)
    shown.mouse.down()
    shown.mouse.move(box["x"] + 400, box["y"] + 150, steps=5)
    shown.mouse.up()
    shown.wait_for_function(f"({span})() < {whole} / 2")
    shown.mouse.dblclick(box["x"] + 300, box["y"] + 100)
    shown.wait_for_function(f"({span})() > {whole} * 0.9")


def test_a_finger_scrolls_past_charts(open_page, pages) -> None:
    shown = open_page(pages["run"], **SCREENS["phone"])
    assert shown.evaluate("[...document.querySelectorAll('.chart')].map((c) => c.layout.dragmode)") == [False] * 22


def test_the_contents_lead_there_and_the_run_card_unfolds(open_page, pages) -> None:
    shown = open_page(pages["run"], **SCREENS["wide"])
    shown.get_by_role("link", name="Run card").click()
    shown.get_by_text("Data lineage").click()
    assert shown.get_by_text("core@v1@S2", exact=True).is_visible()


def test_names_with_markup_are_shown_as_they_are_written(open_page, tmp_path) -> None:
    bars = go.Bar(x=["<b>bold</b>", "R&D"], y=[1, 2], name="<i>n</i>", showlegend=True)
    (tmp_path / "page.html").write_text(page("<b>t</b>", "s", [Chart("t", "c", go.Figure(bars))]), encoding="utf-8")
    shown = open_page(tmp_path / "page.html", **SCREENS["wide"])
    assert shown.locator(".xtick text").all_text_contents() == ["<b>bold</b>", "R&D"]
    assert shown.locator(".legendtext").all_text_contents() == ["<i>n</i>"]
    assert shown.locator("h1").text_content() == "<b>t</b>"
