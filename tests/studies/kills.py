"""Kill -9 at random instants, many times: an ingest and build, and a download; check what is left each time."""

import sys
import tempfile
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from tests.pipeline.exchange_kills import KILLS_A_DOWNLOAD, N_BARS, Killed, kill_downloads
from tests.pipeline.kills import finish_and_compare, kill_repeatedly

KILLS_A_WAREHOUSE = 10


def main(n_kills: str = "200", seed: str = "0") -> None:
    """Print how many kills fell where, and that nothing was lost."""
    reached: Counter[str] = Counter()
    for round_ in range(-(-int(n_kills) // KILLS_A_WAREHOUSE)):
        with tempfile.TemporaryDirectory() as folder:
            kills = kill_repeatedly(Path(folder) / "killed", KILLS_A_WAREHOUSE, seed=int(seed) + round_)
            for kill in kills:
                behind = "features behind the bars" if kill.n_feature_rows < kill.n_bars else "both at the same bar"
                reached["nothing committed yet" if kill.snapshot == 0 else behind] += 1
            finish_and_compare(Path(folder) / "killed", Path(folder) / "fresh")
    with tempfile.TemporaryDirectory() as folder:
        downloads = list(kill_downloads(Path(folder), int(n_kills), seed=int(seed)))
    lines = [
        f"Command: `just study kills {n_kills} {seed}`",
        "",
        "## Ingest and build",
        "",
        *_table("the last snapshot held", reached.most_common()),
        "",
        f"After each of {sum(reached.values())} kills the last snapshot read back whole: every file's sha256, every",
        f"bar, every row. After each {KILLS_A_WAREHOUSE} the worker was let finish, and all bars and features equalled",
        "those of an undisturbed build to the last bit.",
        "",
        "## Download from an exchange",
        "",
        *_table("stored at the kill", _by_progress(downloads)),
        "",
        f"After each of {len(downloads)} kills the stored bars were a true beginning of the served ones; after each",
        f"{KILLS_A_DOWNLOAD} a rerun completed the download, and the stored bars equalled the served ones bit for bit.",
    ]
    sys.stdout.write("\n".join(lines) + "\n")


# ------------------------------------------------------------------------------------


def _table(what: str, counts: Iterable[tuple[str, int]]) -> list[str]:
    return [f"| {what} | kills |", "|---|---|", *(f"| {name} | {count} |" for name, count in counts)]


def _by_progress(downloads: list[Killed]) -> list[tuple[str, int]]:
    steps = Counter(_progress(killed.n_bars / N_BARS) for killed in downloads)
    return [(step, steps[step]) for step in ("nothing", "up to a half", "more than a half")]


def _progress(share: float) -> str:
    if share == 0:
        return "nothing"
    return "up to a half" if share <= 0.5 else "more than a half"
