import json
import re
import shutil
import subprocess
from pathlib import Path

import plotly.graph_objects as go
import polars as pl
import pytest

from mmf.report.page import Chart, page
from mmf.report.selection import council_charts, refinery_charts

BARS = Chart("A <title>", "Read & weep.", go.Figure(go.Bar(x=["a</script>", "b"], y=[1, 2]), {"height": 300}))


def data_of(text: str) -> list[dict]:
    return [json.loads(part) for part in re.findall(r'<script type="application/json">(.*?)</script>', text, re.DOTALL)]


def test_a_page_is_whole_and_fetches_nothing() -> None:
    text = page("Title & more", "In short.", [BARS])
    assert "Plotly" in text
    outside = text.replace(text[text.index("<script>") : text.index("</head>")], "")
    assert re.findall(r'(?:src|href)="', outside) == []
    assert "<title>Title &amp; more</title>" in text
    assert "A &lt;title&gt;" in text
    assert 'style="height:300px"' in text


def test_text_of_the_data_cannot_end_the_script() -> None:
    text = page("t", "s", [BARS])
    assert data_of(text)[0]["data"][0]["x"] == ["a</script>", "b"]


VOTES = pl.DataFrame(
    {
        "column": ["a", "a_lag_1", "b", "b_lag_1"],
        "base": ["a", "a", "b", "b"],
        "lag": [0, 1, 0, 1],
        "count_votes": [3, 2, 1, 0],
        "is_selected": [True, True, False, False],
        "mean_rank": [1.0, 2.0, 3.0, 4.0],
    }
)


def test_the_council_is_drawn_with_the_best_feature_on_top() -> None:
    ranks, lags = council_charts(VOTES)
    heat = ranks.figure.data[0]
    assert list(heat.y) == ["b", "a"]
    assert [list(row) for row in heat.z] == [[3.0, 4.0], [1.0, 2.0]]
    assert [list(row) for row in heat.customdata] == [[1, 0], [3, 2]]
    assert list(lags.figure.data[0].y) == [0.5, 0.5]


CLUSTERS = pl.DataFrame({"cluster": [0, 1]})
MEMBERS = pl.DataFrame({"column": ["a", "a_lag_1", "b"], "cluster": [0, 0, 1]})
LATENTS = pl.DataFrame(
    {
        "latent": ["latent_00_1", "latent_01_1"],
        "alignment": [0.1, -0.3],
        "stability": [0.2, 0.9],
        "is_stable": [False, True],
    }
)
LOADINGS = pl.DataFrame(
    {
        "latent": ["latent_00_1", "latent_00_1", "latent_01_1"],
        "base": ["a", "a", "b"],
        "correlation": [0.9, -0.95, 1.0],
        "is_member": [True, True, True],
    }
)


def test_the_refinery_is_drawn() -> None:
    clusters, latents, loadings = refinery_charts(CLUSTERS, MEMBERS, LATENTS, LOADINGS)
    assert dict(zip(clusters.figure.data[0].labels, clusters.figure.data[0].parents, strict=True)) == {
        "cluster 0": "",
        "cluster 1": "",
        "a": "cluster 0",
        "a_lag_1": "cluster 0",
        "b": "cluster 1",
    }
    assert list(latents.figure.data[0].x) == ["latent_01_1", "latent_00_1"]
    assert list(loadings.figure.data[0].x) == ["latent_01_1"]
    assert list(loadings.figure.data[0].y) == ["b"]


@pytest.mark.skipif(shutil.which("chromium") is None, reason="there is no chromium to open the page in")
def test_a_browser_draws_every_chart_without_a_complaint(tmp_path: Path) -> None:
    charts = [*council_charts(VOTES), *refinery_charts(CLUSTERS, MEMBERS, LATENTS, LOADINGS)]
    (tmp_path / "page.html").write_text(page("t", "s", charts), encoding="utf-8")
    browser = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=5000"]
    options = [f"--user-data-dir={tmp_path / 'profile'}", "--enable-logging=stderr", "--dump-dom"]
    done = subprocess.run(
        [*browser, *options, (tmp_path / "page.html").as_uri()], capture_output=True, text=True, timeout=120, check=True
    )
    assert [line for line in done.stderr.splitlines() if "CONSOLE" in line] == []
    assert done.stdout.count('class="main-svg"') >= len(charts)
