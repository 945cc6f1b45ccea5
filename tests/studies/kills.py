"""Kill -9 an ingest and build at random instants, many times, and check what is left each time."""

import sys
import tempfile
from collections import Counter
from pathlib import Path

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
    outcome = (
        f"After each of {sum(reached.values())} kills the last snapshot read back whole: every file's sha256, every "
        f"bar, every row. After each {KILLS_A_WAREHOUSE} the worker was let finish, and all bars and features equalled "
        "those of an undisturbed build to the last bit."
    )
    table = ["| the last snapshot held | kills |", "|---|---|"]
    table += [f"| {name} | {count} |" for name, count in reached.most_common()]
    lines = [f"Command: just study kills {n_kills} {seed}", "", *table, "", outcome]
    sys.stdout.write("\n".join(lines) + "\n")
