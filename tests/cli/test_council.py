import json
from pathlib import Path

from tests.cli.runner import Run

SERIES = "simulated:linear:BTCUSDT:60"


def test_it_shows_how_votes_spread_and_draws_them(mmf: Run) -> None:
    mmf("ingest", "simulated", "--bars", "2700", "--seed", "3")
    mmf("features", "build", SERIES)
    shown = mmf("council", SERIES, "--chart", "council.html", "--noise-check", "2", "--stability")
    for title in ("Votes by feature", "Votes by lag", "Two seeds of the forest", "parts of time", "shifted in time"):
        assert title in shown
    assert "columns are above the noise of two voters" in shown
    page = Path("council.html").read_text()
    for title in (
        "Clusters of columns",
        "What Tensor Talk took away",
        "Stability over time",
        "Columns above the noise",
    ):
        assert f"<h3>{title}</h3>" in page
    content = json.loads(mmf("council", SERIES, "--json", "--one-per-family", "--max-features", "40"))
    selected = [row["base"] for row in content["votes"] if row["is_selected"]]
    assert len(selected) == len(set(selected)) == 40
    assert len(content["votes"]) == 1_365
    assert [row["lag"] for row in content["by_lag"]] == [0, 1, 2, 3, 5, 8, 13]
    assert (content["stability"], content["noise"], content["suspicious"]) == (None, None, [])
    assert "Use 2 or more" in mmf("council", SERIES, "--noise-check", "1", exit_code=2)
    assert "no folder" in mmf("council", SERIES, "--chart", "none/c.html", exit_code=2)
