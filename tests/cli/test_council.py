import json
from pathlib import Path

from tests.cli.runner import Run

SERIES = "simulated:linear:BTCUSDT:60"


def test_it_shows_how_votes_spread_and_draws_them(mmf: Run) -> None:
    mmf("ingest", "simulated", "--bars", "2700", "--seed", "3")
    mmf("features", "build", SERIES)
    shown = mmf("council", SERIES, "--chart", "council.html", "--noise-check", "2")
    for title in ("Votes by feature", "Votes by lag", "Two seeds of the forest", "labels shifted in time"):
        assert title in shown
    assert "Clusters of columns" in Path("council.html").read_text()
    content = json.loads(mmf("council", SERIES, "--json"))
    assert len(content["votes"]) == 1_365
    assert [row["lag"] for row in content["by_lag"]] == [0, 1, 2, 3, 5, 8, 13]
    assert (content["stability"], content["noise"], content["suspicious"]) == (None, None, [])
    assert "no folder" in mmf("council", SERIES, "--chart", "none/c.html", exit_code=2)
