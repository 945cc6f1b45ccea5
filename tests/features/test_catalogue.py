"""The committed catalogue is what the registry says."""

import re
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import pytest

from mmf.features.catalogue import PAGE, entries, page, pages
from mmf.features.catalogue_charts import PANELS
from mmf.features.record import Computation, Feature
from mmf.features.registry import feature_set

DOCS = Path(__file__).parents[2] / "docs"
NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:e[-+]\d+)?")


@pytest.fixture(scope="module")
def generated() -> dict[str, str]:
    return pages()


def test_the_committed_page_is_what_the_registry_gives():
    assert (DOCS / PAGE).read_text(encoding="utf-8") == page(), "run: just catalogue"


def test_the_committed_charts_are_what_the_features_give(generated: dict[str, str]):
    committed = {f"images/{path.name}" for path in (DOCS / "images").glob("features_*.svg")}
    assert committed == generated.keys() - {PAGE}
    for name in committed:
        old, new = (DOCS / name).read_text(encoding="utf-8"), generated[name]
        assert NUMBER.sub("N", old) == NUMBER.sub("N", new), f"{name}: run just catalogue"
        # a coordinate is rounded to a tenth of a pixel, and a processor may round a logarithm in another way
        numbers = [np.array(NUMBER.findall(text), float) for text in (old, new)]
        np.testing.assert_allclose(*numbers, atol=0.15, rtol=0.01, err_msg=f"{name}: run just catalogue")


def test_a_chart_is_well_formed_and_shows_its_columns(generated: dict[str, str]):
    for family, panels in PANELS.items():
        root = ET.fromstring(generated[f"images/features_{family}.svg"])
        drawn = [text.text for text in root.iter("{http://www.w3.org/2000/svg}text")]
        lines = list(root.iter("{http://www.w3.org/2000/svg}polyline"))
        columns = [column for panel in panels for column in panel.columns]
        assert set(columns) <= set(drawn)
        assert len(lines) == 1 + len(columns)
        assert all(len(line.attrib["points"].split()) == 400 for line in lines)


def test_every_column_of_core_has_its_line():
    text = page()
    named = re.findall(r"^\| `([a-z0-9_W]+)`(?:, W = ([\d ]+))? \|", text, re.MULTILINE)
    windows = re.search(r"series: ([\d ]+),", text)
    assert windows is not None
    columns = {stem.replace("W", w) for stem, own in named for w in (own or windows[1]).split() if "W" in stem} | {
        stem for stem, _ in named if "W" not in stem
    }
    assert set(feature_set("core").columns) <= columns


def members(*, reach, words) -> list[Feature]:
    def none(close):
        return {}

    compute = Computation.kernel(none, "close")
    return [Feature(f"x_{w}", "test", "-", words(w), "none", "never", compute, memory=reach(w)) for w in (3, 5, 8)]


@pytest.mark.parametrize(
    ("reach", "earlier_bars"),
    [
        (lambda w: w, "W (fading)"),
        (lambda w: 24 * w, "24 W (fading)"),
        (lambda w: w - 1, "W - 1 (fading)"),
        (lambda w: 2 * w + 3, "2 W + 3 (fading)"),
        (lambda w: 7, "7 (fading)"),
        (lambda w: min(9 * w, 50), "27 45 50 (fading)"),
    ],
)
def test_windows_are_written_as_one_line(reach, earlier_bars: str):
    (entry,) = entries(members(reach=reach, words=lambda w: f"Mean of {w} bars, first {2 * w - 1} rows, 3 sigma."))
    assert entry.columns == "`x_W`, W = 3 5 8"
    assert entry.definition == "Mean of W bars, first 2 W - 1 rows, 3 sigma."
    assert entry.earlier_bars == earlier_bars


def test_windows_that_mean_different_things_keep_their_lines():
    found = entries(members(reach=lambda w: w, words=lambda w: f"Mean of {w * w} bars."))
    assert [(entry.columns, entry.definition) for entry in found] == [
        ("`x_3`", "Mean of 9 bars."),
        ("`x_5`", "Mean of 25 bars."),
        ("`x_8`", "Mean of 64 bars."),
    ]
