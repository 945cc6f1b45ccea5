"""Features on the command line, those of a user's file among them."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.runner import Run

ROOT = Path(__file__).parents[2]
SERIES = "simulated:linear:TESTUSDT:60"
FILE = """
import polars as pl

from mmf.features.user import feature


@feature(lookback=1)
def jump():
    return pl.col("close") / pl.col("close").shift(1)


@feature(lookback=0)
def tomorrow():
    return pl.col("close").shift(-1)
"""
SETTINGS = """
[features]
file = "mine.py"

[features.sets]
mine = ["chaos", "jump"]
leaky = ["tomorrow", "jump"]
"""


@pytest.fixture
def settled(mmf: Run) -> Run:
    Path("mine.py").write_text(FILE)
    Path("mmf.toml").write_text(SETTINGS)
    return mmf


def ingested(mmf: Run, *, bars: int = 700) -> None:
    mmf("ingest", "simulated", "--symbol", "TESTUSDT", "--bars", str(bars))


def test_a_set_is_listed_with_what_it_costs(settled: Run) -> None:
    listed = json.loads(settled("features", "list", "--set", "mine", "--cost", "--json"))

    assert [one["name"] for one in listed][-2:] == ["fdi_200", "jump"]
    assert listed[-1]["family"] == "user"
    assert all(one["us/bar"] >= 0 for one in listed)
    assert "us/bar" not in settled("features", "list", "--set", "mine")
    assert "there is no family 'trend' in mine. There are: chaos, user." in settled(
        "features", "list", "--set", "mine", "--family", "trend", exit_code=2
    )


def test_a_definition_is_shown_with_its_cost(settled: Run) -> None:
    shown = json.loads(settled("features", "show", "rsi_14", "--json"))
    assert shown["memory"] == 336
    assert shown["computed_with"] == 10
    assert shown["us_per_bar"] >= 0
    text = settled("features", "show", "jump_lag_3")
    assert "jump, read 3 bars back" in text
    assert "us/bar" in text
    assert "rsi_14, read 2 bars back and in interval 240" in settled("features", "show", "rsi_14_ctx_240_lag_2")
    assert "'hurts_200' is no column" in settled("features", "show", "hurts_200", exit_code=2)
    assert "names 2 features" in settled("features", "show", "hurst_*", exit_code=2)


def test_a_leaky_feature_fails_the_audit(settled: Run) -> None:
    options = ("--set", "leaky", "--cuts", "16", "--histories", "1")
    error = settled("features", "audit", *options, "--html", "page.html", exit_code=1)

    assert "1 of 2 columns failed the audit: tomorrow." in error
    assert "sees the future" in Path("page.html").read_text(encoding="utf-8")


def test_a_sound_set_passes_on_stored_bars(settled: Run) -> None:
    ingested(settled)
    options = ("--series", SERIES, "--cuts", "16", "--histories", "1", "--json")
    found = json.loads(
        settled("features", "audit", "--set", "mine", "--feature", "jump", "--feature", "fdi_*", *options)
    )

    assert [(one["column"], one["declared"], one["measured"]) for one in found] == [
        ("fdi_100", 99, 99),
        ("fdi_200", 199, 199),
        ("jump", 1, 1),
    ]
    assert "Bring more bars in" in settled("features", "audit", "--series", SERIES, exit_code=1)


def test_the_lookup_of_a_longer_interval_is_audited_too(settled: Run) -> None:
    options = ("--set", "mine", "--cuts", "8", "--histories", "1", "--context", "4h", "--json")
    found = json.loads(settled("features", "audit", "--feature", "jump", "--feature", "fdi_100", *options))

    assert [(one["column"], one["is_sound"]) for one in found] == [
        (name, True) for name in ("fdi_100", "jump", "fdi_100_ctx_240", "jump_ctx_240")
    ]
    assert "is no longer than" in settled("features", "audit", "--feature", "fdi_100", "--context", "15", exit_code=2)


def test_the_plan_tells_what_the_build_then_does(settled: Run) -> None:
    ingested(settled)
    settled("ingest", "simulated", "--symbol", "TESTUSDT", "--bars", "300", "--interval", "240")
    options = (SERIES, "--set", "mine", "--context", "4h", "--json")

    planned = json.loads(settled("features", "plan", *options))
    assert [(job["series"], job["n_rows_due"]) for job in planned["jobs"]] == [
        (SERIES, 700),
        ("simulated:linear:TESTUSDT:240", 300),
    ]
    built = json.loads(settled("features", "build", *options))
    assert [(one["series"], one["n_rows"], one["n_columns"]) for one in built] == [
        (SERIES, 700, 7),
        ("simulated:linear:TESTUSDT:240", 300, 7),
    ]
    again = json.loads(settled("features", "plan", *options))
    assert [job["n_chunks_due"] for job in again["jobs"]] == [0, 0]
    table = settled("features", "plan", "simulated:*:*:60", "--set", "mine")
    assert "to build" in table
    assert "at a time" in table
    assert "takes about" in settled("features", "plan", SERIES, "--max-memory", "1", exit_code=2)
    assert "no stored series is called like 'bybit:*:*:60'" in settled("features", "build", "bybit:*:*:60", exit_code=1)
    assert "is no pattern of series" in settled("features", "build", "*USDT", exit_code=2)
    assert "is no longer than the interval" in settled("features", "build", SERIES, "--context", "60", exit_code=2)


def test_an_edited_feature_makes_a_version_and_the_diff_tells(settled: Run) -> None:
    ingested(settled)
    settled("features", "build", SERIES, "--set", "mine")
    Path("mine.py").write_text(FILE.replace("shift(1)", "shift(2)"))
    settled("features", "build", SERIES, "--set", "mine")

    listed = json.loads(settled("features", "versions", "--json"))
    assert [(one["version"], one["after"], one["code"]) for one in listed] == [
        ("mine@v1", None, "another: read-only"),
        ("mine@v2", "mine@v1", "this"),
    ]
    found = json.loads(settled("features", "diff", "mine@v1", "mine@v2", "--json"))
    assert found["changed"] == ["jump"]
    assert not found["is_equal"]
    assert {one["column"]: one["n_differing"] > 600 for one in found["columns"]}["jump"]
    printed = settled("features", "diff", "mine@v1", "mine@v2")
    assert "6 of 7 shared columns are equal bit for bit" in printed
    assert "mine@v2" in settled("features", "versions", "mine")
    assert "no rows of mine@v9 are stored" in settled("features", "diff", "mine@v1", "mine@v9", exit_code=1)


def test_workers_of_their_own_find_the_file_of_the_user(settled: Run) -> None:
    """Processes are spawned, so the command runs as a program here."""
    ingested(settled)
    command = ["mmf", "features", "build", SERIES, "--set", "mine", "--workers", "2", "--json"]
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; from cli.main import main; sys.argv = {command}; main()"],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)[0]["n_columns"] == 7


def test_a_file_to_start_from_is_sound(mmf: Run) -> None:
    mmf("features", "new", "own/features.py", exit_code=2)
    mmf("features", "new", "my_features.py")

    found = json.loads(mmf("features", "audit", "--set", "mine", "--feature", "user", "--json"))
    names = ("close_place", "illiquidity", "efficiency_20", "efficiency_100")
    assert [(one["column"], one["verdict"]) for one in found] == [(name, "sound") for name in names]
    brisk = json.loads(mmf("features", "list", "--set", "brisk", "--json"))
    assert brisk[-1]["name"] == "efficiency_20"
    assert "exists already" in mmf("features", "new", "my_features.py", exit_code=2)


def test_a_relative_file_lies_beside_the_settings(settled: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("inner").mkdir()
    settings = Path("mmf.toml").resolve()
    monkeypatch.chdir("inner")
    assert "jump" in settled("features", "show", "jump", "--config", str(settings))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("def f(:\n", "mine.py, line 1: invalid syntax"),
        (FILE.replace("def jump", "def rsi_14"), "mine.py: MMF has a feature 'rsi_14' already"),
    ],
)
def test_a_faulty_file_is_one_line(settled: Run, text: str, message: str) -> None:
    Path("mine.py").write_text(text)
    assert settled("features", "list", "--set", "mine", exit_code=2).count("\n") == 1
    assert message in settled("features", "list", "--set", "mine", exit_code=2)
